"""Workers whose outputs are tar files."""

import json
import shutil
import tarfile

import pytest

from primaps.engine.limits import Limits
from primaps.engine.sharded import record_folder
from primaps.errors import ConfigError, DatasetError, MissingExtraError
from primaps.pipeline.sampled_store import sample_store
from primaps.pipeline.verifying import verify
from primaps.shards import parquet_files
from primaps.shards.places import place_of
from primaps.shards.reading import ShardedOutputs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packed(tmp_path_factory, draw, propose):
    """Images, and the shards that one worker makes of them."""
    root = tmp_path_factory.mktemp("packed")
    images = draw(root / "images", 11)
    propose(images, root / "out", workers=1, shards=4)
    return images, root / "out"


def test_every_image_stands_once_in_the_manifest(packed):
    images, out = packed
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    names = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png"))
    assert [line["name"] for line in lines] == names
    for line in lines:
        with tarfile.open(out / "shards" / f"{line['shard']:06d}.tar") as tar:
            held = {member.name: member for member in tar}
        offset, size = line["members"]["proposals"]
        member = held[f"{line['name']}.proposals.png"]
        assert (member.offset_data, member.size) == (offset, size)
    record = json.loads((out / "run.json").read_text())
    assert record["sample"] == {"of": 11, "images": names}
    counts = record["counts"]
    assert (counts["images"], counts["shards"]) == (11, {"number": 3, "made": 3})


def test_members_are_the_files_of_the_usual_folders(packed, tmp_path, propose):
    images, out = packed
    propose(images, tmp_path / "usual")
    found = {}
    for shard in sorted((out / "shards").glob("*.tar")):
        with tarfile.open(shard) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar}
    for name in (path.relative_to(images).as_posix() for path in images.rglob("*.png")):
        usual = tmp_path / "usual"
        assert found[f"{name}.proposals.png"] == (usual / "proposals" / f"{name}.png").read_bytes()
        assert (
            found[f"{name}.safetensors"] == (usual / "store" / f"{name}.safetensors").read_bytes()
        )


def test_a_lost_shard_is_made_again_and_nothing_else(packed, tmp_path, propose, contents, heard):
    images, out = packed
    before = contents(out)
    (out / "shards" / "000001.json").unlink()
    propose(images, out, heard, workers=1)  # that there are shards is known
    assert contents(out) == before
    assert json.loads((out / "run.json").read_text())["counts"]["shards"]["made"] == 1


def test_another_size_of_shards_is_refused(packed, propose):
    images, out = packed
    with pytest.raises(ConfigError, match="Expected shards of 4 images"):
        propose(images, out, workers=1, shards=5)


def test_another_format_is_refused(packed, propose):
    images, out = packed
    with pytest.raises(ConfigError, match=r"Expected tar files.*--shard-format tar"):
        propose(images, out, workers=1, shard_format="parquet")


@pytest.fixture(scope="module")
def tables(packed, tmp_path_factory, propose):
    """The same images as tables."""
    pytest.importorskip("pyarrow")
    images, _ = packed
    out = tmp_path_factory.mktemp("tables") / "out"
    propose(images, out, workers=1, shards=4, shard_format="parquet")
    return out


def test_tables_hold_what_tar_files_hold(packed, tables):
    import pyarrow.parquet as pq

    _, out = packed
    whole = pq.read_table(tables / "shards")  # as one data set
    held = ShardedOutputs(place_of(out))
    expected = [
        {"name": each.name, **{kind: held.read(each, kind) for kind in ("proposals", "store")}}
        for each in held.outputs()
    ]
    assert sorted(whole.to_pylist(), key=lambda row: row["name"]) == expected
    found = ShardedOutputs(place_of(tables))
    assert [found.read(each, "store") for each in found.outputs()] == [
        row["store"] for row in expected
    ]
    record = json.loads((tables / "shards" / "_000000.json").read_text())
    assert record["parquet"]["writer"].startswith("pyarrow ")
    assert not list((tables / "shards").glob("*.tar"))


def test_a_torn_table_is_made_again(packed, tables, propose, contents, heard):
    images, _ = packed
    before = contents(tables)
    torn = tables / "shards" / "000001.parquet"
    torn.write_bytes(torn.read_bytes()[:-1] + b"x")
    assert [fault.path for fault in verify(tables, fix=True).faults] == ["shards/_000001.json"]
    propose(images, tables, heard, workers=1)  # the format is known
    assert contents(tables) == before
    assert verify(tables).sound


def test_a_fit_reads_tables_as_it_reads_tar_files(packed, tables, tmp_path, heard):
    for name, out in (("tar", packed[1]), ("parquet", tables)):
        sample_store(out, tmp_path / name, 5, progress=heard)
    stores = [sorted((tmp_path / name / "store").rglob("*")) for name in ("tar", "parquet")]
    assert len(stores[0]) >= 5
    for one, other in zip(*stores, strict=True):
        assert one.name == other.name
        assert one.is_dir() or one.read_bytes() == other.read_bytes()


def test_a_format_makes_shards_of_few_images(packed, tmp_path, propose, monkeypatch):
    images, _ = packed
    monkeypatch.setattr(parquet_files.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="pyarrow"):
        propose(images, tmp_path / "out", shard_format="parquet")
    assert not (tmp_path / "out").exists()
    assert propose(images, tmp_path / "out", shard_format="tar").sharded


def test_a_run_with_the_usual_folders_gets_no_shards(packed, tmp_path, propose):
    images, _ = packed
    propose(images, tmp_path / "usual")
    with pytest.raises(ConfigError, match=r"is a run with the usual folders.*--shards off"):
        propose(images, tmp_path / "usual", shards=4)


def test_many_images_get_shards_with_a_note(packed, tmp_path, propose, heard, monkeypatch):
    images, _ = packed
    from primaps.engine import commands

    monkeypatch.setattr(commands, "SHARDED_FROM", 11)
    outcome = propose(images, tmp_path / "out", heard)
    assert outcome.sharded
    assert any("--shards off makes the usual folders" in note for note in heard.notes)


def test_an_object_store_on_both_ends(packed, s3, tmp_path, propose):
    import fsspec

    images, out = packed
    store = fsspec.filesystem("s3")
    store.put(str(images), f"{s3}/images", recursive=True)
    propose(f"{s3}/images", f"{s3}/out", workers=1, shards=4)
    names = [
        json.loads(line)["name"]
        for line in store.cat(f"{s3}/out/manifest.jsonl").decode().splitlines()
    ]
    lines = (out / "manifest.jsonl").read_text().splitlines()
    assert names == [json.loads(line)["name"] for line in lines]
    assert json.loads(store.cat(f"{s3}/out/run.json"))["status"] == "finished"
    (tmp_path / "fetched").mkdir()
    store.get(f"{s3}/out/shards/000000.tar", str(tmp_path / "fetched" / "0.tar"))
    with tarfile.open(tmp_path / "fetched" / "0.tar") as tar:
        first = tar.extractfile(f"{names[0]}.proposals.png").read()
    with tarfile.open(out / "shards" / "000000.tar") as tar:
        assert first == tar.extractfile(f"{names[0]}.proposals.png").read()


def test_errors_name_the_object_store_and_not_the_copy_of_its_records():
    place = place_of("memory://elsewhere/out")
    with pytest.raises(ConfigError, match=r"^memory://elsewhere/out holds a run"):  # noqa: SIM117
        with record_folder(place) as folder:
            raise ConfigError(f"{folder} holds a run with other settings")


def test_what_took_too_long_is_tried_again_by_the_next_command(draw, tmp_path, propose):
    images, out = draw(tmp_path / "images", 1), tmp_path / "out"
    with pytest.raises(DatasetError, match="all 1 inputs failed"):
        propose(images, out, workers=1, shards=2, limits=Limits(seconds=0.001))
    assert propose(images, out, workers=1).failures == ()


def test_a_command_that_ended_before_its_plan_goes_on(packed, tmp_path, propose, contents):
    images, expected = packed
    out = tmp_path / "out"
    shutil.copytree(expected, out)
    (out / "plan.json").unlink()
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**record, "status": "running"}))
    before = (out / "shards" / "000001.tar").stat().st_mtime_ns
    propose(images, out, workers=1)  # that there are to be shards is known
    assert contents(out) == contents(expected)
    assert (out / "shards" / "000001.tar").stat().st_mtime_ns == before


def test_shards_get_no_usual_folders(packed, propose):
    images, out = packed
    with pytest.raises(ConfigError, match=r"--shards 4, as .* has them, but got off"):
        propose(images, out, workers=1, shards=0)
