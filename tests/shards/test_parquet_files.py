import hashlib

import pytest

from primaps.errors import MissingExtraError, OutputError
from primaps.shards import parquet_files
from primaps.shards.parquet_files import parquet_writer, require_parquet, write_parquet

pa = pytest.importorskip("pyarrow", reason="pyarrow, the extra hf, is not installed")
KINDS = ("labels", "overlay", "store")


def noise(seed, size):
    """Bytes that follow from a seed."""
    parts = (hashlib.sha256(f"{seed} {at}".encode()).digest() for at in range(0, size, 32))
    return b"".join(parts)[:size]


@pytest.fixture
def images(tmp_path):
    """Contents of five images; the store of the third is a file, the fourth has none."""
    contents = {
        name: {"labels": noise(name, 1000 + 7 * number), "store": noise(f"{name}s", 50_000)}
        for number, name in enumerate(("a.jpg", "b/ü 東.png", "c.jpg", "d.jpg", "e.jpg"))
    }
    (tmp_path / "file").write_bytes(contents["c.jpg"]["store"])
    contents["c.jpg"]["store"] = tmp_path / "file"
    del contents["d.jpg"]["store"]
    return contents


def bytes_of(content):
    return content if isinstance(content, bytes) else content.read_bytes()


def test_values_lie_where_it_is_told(images, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_files, "GROUP_BYTES", 60_000)  # several groups of rows
    members = write_parquet(tmp_path / "x.parquet", images, KINDS)
    content = (tmp_path / "x.parquet").read_bytes()
    found = {each.name: content[each.offset : each.offset + each.size] for each in members}
    expected = {f"{name}.png": bytes_of(each["labels"]) for name, each in images.items()}
    expected |= {
        f"{name}.safetensors": bytes_of(each["store"])
        for name, each in images.items()
        if "store" in each
    }
    assert found == expected
    assert all(hashlib.sha256(found[each.name]).hexdigest() == each.sha256 for each in members)


def test_others_read_the_table(images, tmp_path):
    import pyarrow.parquet as pq

    write_parquet(tmp_path / "x.parquet", images, KINDS)
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.schema.names == ["name", *KINDS]
    assert [str(each) for each in table.schema.types] == ["string", "binary", "binary", "binary"]
    rows = {row.pop("name"): row for row in table.to_pylist()}
    assert rows == {
        name: {kind: bytes_of(each[kind]) if kind in each else None for kind in KINDS}
        for name, each in images.items()
    }
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(tmp_path / "x.parquet")
    assert list(frame["name"]) == list(images)
    assert frame["labels"][1] == images["b/ü 東.png"]["labels"]


def test_equal_contents_give_equal_bytes(images, tmp_path):
    for name in ("1", "2"):
        write_parquet(tmp_path / name, images, KINDS)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_no_images_and_empty_values(tmp_path):
    import pyarrow.parquet as pq

    assert write_parquet(tmp_path / "none", {}, KINDS) == []
    assert pq.read_table(tmp_path / "none").num_rows == 0
    (empty,) = write_parquet(tmp_path / "empty", {"a": {"labels": b""}}, KINDS)
    assert empty.size == 0
    assert pq.read_table(tmp_path / "empty")["labels"].to_pylist() == [b""]


def test_equal_values_are_each_found(tmp_path):
    same = {name: {"labels": b"same" * 100} for name in "abc"}
    members = write_parquet(tmp_path / "x", same, KINDS)
    assert len({each.offset for each in members}) == 3


def test_what_has_no_column_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a has labels, which have no column"):
        write_parquet(tmp_path / "x", {"a": {"labels": b""}}, ("store",))


def test_another_way_of_storing_is_noticed(images, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    plain = pq.ParquetWriter

    def zipped(path, schema, **settings):
        return plain(path, schema, **{**settings, "compression": "ZSTD"})

    monkeypatch.setattr(pq, "ParquetWriter", zipped)
    repeated = {name: {"labels": bytes(10_000)} for name in images}
    with pytest.raises(OutputError, match=r"Expected pyarrow .* stores them in another way"):
        write_parquet(tmp_path / "x", repeated, KINDS)


def test_a_missing_package_is_named(monkeypatch):
    require_parquet()
    assert parquet_writer() == f"pyarrow {pa.__version__}"
    monkeypatch.setattr(parquet_files.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'primaps\[hf\]'"):
        require_parquet()
