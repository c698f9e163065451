import hashlib
import json

import pytest

from primaps.errors import CheckpointError
from primaps.shards.places import place_of
from primaps.shards.plan import make_plan, references_of, references_sha256
from primaps.shards.reading import ShardedOutputs, is_sharded
from primaps.shards.records import (
    ShardRecord,
    entries_of,
    read_record,
    record_file,
    shard_file,
    write_record,
)
from primaps.shards.references import Listing, Reference
from primaps.shards.writing import write_shard
from primaps.types import Failure


@pytest.fixture
def sharded(tmp_path):
    """``sharded(count, size, failing, place, form)``: outputs of so many images in shards of a
    size.
    """

    def make(count, size, failing=(), place=None, form="tar"):
        place = place_of(tmp_path / "out") if place is None else place
        names = [f"{number:03d}.jpg" for number in range(count)]
        listing = Listing(tuple(Reference(name, f"/in/{name}", 1, "") for name in names))
        plan = make_plan(place, listing, size, form)
        for shard in range(plan.shards):
            finish(place, shard, failing, tmp_path / "scratch", form)
        return ShardedOutputs(place)

    return make


def finish(place, shard, failing, scratch, form="tar"):
    references = references_of(place, shard)
    good = [each.name for each in references if each.name not in failing]
    images = {name: {"labels": name.encode()} for name in good}
    members = write_shard(scratch, form, images, ("labels",))
    place.publish(shard_file(shard, form), scratch)
    content = scratch.read_bytes()
    write_record(
        place,
        ShardRecord(
            shard,
            hashlib.sha256(content).hexdigest(),
            len(content),
            entries_of(members, dict.fromkeys(good, "0" * 64)),
            tuple(Failure(f"/in/{name}", "read", "torn") for name in failing),
            references=references_sha256(references),
            format=form,
        ),
    )


@pytest.mark.parametrize("form", ["tar", "parquet"])
@pytest.mark.parametrize("kind", ["disk", "memory", "s3"])
def test_what_was_packed_is_read(kind, form, sharded, request):
    place = None
    if kind == "memory":
        place = place_of(f"memory://reading/{form}")
    if kind == "s3":
        place = place_of(f"{request.getfixturevalue('s3')}/out")
    outputs = sharded(7, 3, ["004.jpg"], place, form)
    assert is_sharded(outputs.place)
    assert not is_sharded(outputs.place.below("plan"))
    found = list(outputs.outputs())
    assert [(each.name, each.shard) for each in found] == [
        (f"{number:03d}.jpg", number // 3) for number in (0, 1, 2, 3, 5, 6)
    ]
    assert [outputs.read(each, "labels") for each in found] == [
        each.name.encode() for each in found
    ]
    assert list(outputs.verify()) == []


def test_a_sample_is_even_and_the_same_every_time(sharded):
    outputs = sharded(100, 7)
    chosen = [int(each.name[:3]) for each in outputs.sample(10)]
    assert chosen == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
    assert outputs.sample(10) == ShardedOutputs(outputs.place).sample(10)
    for count in (1, 33, 99, 100, 1000):
        names = [each.name for each in outputs.sample(count)]
        assert len(names) == len(set(names)) == min(count, 100)
        assert names == sorted(names)


def test_a_sample_takes_neighbours_of_what_failed(sharded):
    failing = [f"{number:03d}.jpg" for number in range(100) if number % 10 in {4, 5, 6}]
    outputs = sharded(100, 10, failing)
    chosen = [each.name for each in outputs.sample(20)]
    assert len(chosen) == len(set(chosen)) == 20
    assert not set(chosen) & set(failing)
    assert len(outputs.sample(90)) == 70


def test_a_sample_reads_the_shards_it_falls_into_only(sharded):
    outputs = sharded(100, 10)
    for shard in range(10):
        if shard not in {2, 7}:
            outputs.place.remove(record_file(shard))
    assert [each.shard for each in outputs.sample(2)] == [2, 7]
    with pytest.raises(CheckpointError, match="to be done, but it is not"):
        outputs.sample(3)


def test_no_sample_of_nothing(sharded):
    outputs = sharded(3, 2, ["000.jpg", "001.jpg", "002.jpg"])
    assert outputs.sample(2) == []
    assert outputs.sample(0) == []


def test_what_is_not_done_is_named(sharded):
    outputs = sharded(7, 3)
    outputs.place.remove(record_file(1))
    with pytest.raises(CheckpointError, match="shard 1 of"):
        list(outputs.outputs())
    assert list(outputs.verify()) == [(1, "it is not done")]


@pytest.mark.parametrize("form", ["tar", "parquet"])
def test_damage_is_found(form, sharded):
    outputs = sharded(12, 3, form=form)
    place = outputs.place
    files = [shard_file(shard, form) for shard in range(4)]
    tar = bytearray(place.read(files[0]))
    first = next(outputs.outputs())
    tar[first.entry.members["labels"].offset] ^= 1
    place.write(files[0], bytes(tar))
    place.write(files[1], place.read(files[1])[:-100])
    place.write(record_file(2, form), b"{}")
    place.remove(files[3])
    told = dict(outputs.verify())
    assert list(told) == [0, 1, 2, 3]
    wanted = ("another checksum", "bytes instead of", "000002.json", "is missing")
    for number, text in enumerate(wanted):
        assert text in told[number]
    with pytest.raises(CheckpointError, match="another one: the file is damaged"):
        outputs.read(first, "labels")
    with pytest.raises(CheckpointError, match=r"Expected overlay of 000\.jpg"):
        outputs.read(first, "overlay")


def test_shards_written_twice_at_the_same_time_are_equal(sharded, tmp_path):
    """Bytes follow from content: whichever of two writers comes last, tar and record fit."""
    outputs = sharded(6, 3)
    before = [outputs.place.read(path(n)) for n in range(2) for path in (shard_file, record_file)]
    for shard in range(2):
        finish(outputs.place, shard, (), tmp_path / "other.tar")
    after = [outputs.place.read(path(n)) for n in range(2) for path in (shard_file, record_file)]
    assert before == after


def test_the_record_of_the_run(sharded):
    outputs = sharded(1, 1)
    with pytest.raises(CheckpointError, match=r"run\.json, but there is none"):
        _ = outputs.run_record
    outputs.place.write("run.json", json.dumps({"format": 1}).encode())
    assert outputs.run_record == {"format": 1}
    for content in (b"{", b"[]"):
        outputs.place.write("run.json", content)
        with pytest.raises(CheckpointError, match=r"run\.json"):
            _ = ShardedOutputs(outputs.place).run_record


def test_no_outputs(tmp_path):
    with pytest.raises(CheckpointError, match="does not"):
        _ = ShardedOutputs(place_of(tmp_path)).plan
    assert read_record(place_of(tmp_path), 0) is None
