import tarfile

import pytest

from primaps.shards.writing import write_shard, writer_of

IMAGES = {"a.jpg": {"store": b"1", "proposals": b"22"}, "b.jpg": {"proposals": b"333"}}


@pytest.mark.parametrize("form", ["tar", "parquet"])
def test_the_same_is_written_in_either_format(form, tmp_path):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    members = write_shard(tmp_path / "x", form, IMAGES, ("proposals", "store"))
    content = (tmp_path / "x").read_bytes()
    assert {each.name: content[each.offset :][: each.size] for each in members} == {
        "a.jpg.proposals.png": b"22",
        "a.jpg.safetensors": b"1",
        "b.jpg.proposals.png": b"333",
    }
    assert tarfile.is_tarfile(tmp_path / "x") == (form == "tar")
    assert writer_of(form).partition(" ")[0] == ("pyarrow" if form == "parquet" else "")
