import dataclasses
import hashlib
import json

import pytest

from primaps.errors import CheckpointError
from primaps.shards.places import place_of
from primaps.shards.records import (
    Entry,
    ShardRecord,
    entries_of,
    finished,
    read_record,
    record_file,
    shard_file,
    write_record,
)
from primaps.shards.tar_files import Member
from primaps.types import Failure

SUM = hashlib.sha256(b"").hexdigest()
RECORD = ShardRecord(
    3,
    SUM,
    5000,
    (
        Entry("a.jpg", "1" * 64, {"labels": Member("a.jpg.png", 512, 10, SUM)}),
        Entry("ü.jpg", "2" * 64, {}),
    ),
    (Failure("s3://x/b.jpg", "read", "torn"),),
    ({"path": "p", "stage": "read", "image": "a.jpg", "notes": ["x"], "kinds": ["alpha"]},),
    {"images": 2},
    "settings",
    "references",
)


@pytest.fixture
def place(tmp_path):
    return place_of(tmp_path)


def test_a_record_is_read_as_written(place):
    assert read_record(place, 3) is None
    write_record(place, RECORD)
    assert read_record(place, 3) == RECORD
    before = place.read(record_file(3))
    write_record(place, RECORD)
    assert place.read(record_file(3)) == before


def test_a_table_is_told_apart_from_a_tar_file(place):
    table = dataclasses.replace(RECORD, format="parquet", writer="pyarrow 26.0.1")
    write_record(place, table)
    assert read_record(place, 3, "parquet") == table
    assert record_file(3, "parquet") == "shards/_000003.json"  # readers of folders pass it over
    value = json.loads(place.read(record_file(3, "parquet")))
    assert value["parquet"] == {"sha256": SUM, "size": 5000, "writer": "pyarrow 26.0.1"}
    assert "tar" not in value
    place.write(shard_file(3), bytes(5000))
    assert finished(place, 3, "settings", "references", "parquet") is None
    place.write(shard_file(3, "parquet"), bytes(5000))
    assert finished(place, 3, "settings", "references", "parquet") == table
    assert finished(place, 3, "settings", "references") is None
    other = {**value, "tar": value["parquet"], "parquet": None}
    place.write(record_file(3, "parquet"), json.dumps(other).encode())
    with pytest.raises(CheckpointError, match="to be the record of a shard"):
        read_record(place, 3, "parquet")


def test_a_shard_is_finished_when_its_file_is_there(place):
    assert finished(place, 3, "settings", "references") is None
    write_record(place, RECORD)
    assert finished(place, 3, "settings", "references") is None
    place.write(shard_file(3), bytes(4999))
    assert finished(place, 3, "settings", "references") is None
    place.write(shard_file(3), bytes(5000))
    assert finished(place, 3, "settings", "references") == RECORD
    assert finished(place, 3, "others", "references") is None
    assert finished(place, 3, "settings", "others") is None
    place.write(record_file(3), b"{")
    assert finished(place, 3, "settings", "references") is None


def changed(**changes):
    def change(value):
        return {**value, **changes}

    return change


def with_member(*member):
    def change(value):
        value["images"][0]["members"]["labels"] = list(member)
        return value

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda _: [],
        lambda _: None,
        changed(format="primaps-shards-2"),
        changed(shard=4),
        changed(tar={"sha256": "x", "size": 5000}),
        changed(tar={}),
        changed(images=[{"name": "a"}]),
        changed(images=3),
        changed(failures=[{}]),
        with_member(-1, 5, SUM),
        with_member(4999, 2, SUM),
        with_member(0, -1, SUM),
        with_member(0, 1, "no sum"),
        with_member(0, 1),
        with_member("0", 1, SUM),
        lambda value: value["images"][0]["members"].update(odd=[0, 1, SUM]) or value,
    ],
)
def test_a_damaged_record(place, change):
    write_record(place, RECORD)
    value = change(json.loads(place.read(record_file(3))))
    place.write(record_file(3), json.dumps(value).encode())
    with pytest.raises(CheckpointError, match=r"000003\.json"):
        read_record(place, 3)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_record_that_is_no_json(place, content):
    place.write(record_file(3), content)
    with pytest.raises(CheckpointError, match=r"000003\.json"):
        read_record(place, 3)


def test_members_belong_to_images():
    """An image may have the name of another one's output."""
    members = [
        Member(name, 0, 0, SUM)
        for name in ("a.jpg.png", "a.jpg.certainty.png", "a.jpg.png.png", "b/c.png")
    ]
    entries = entries_of(members, {"a.jpg": "1", "a.jpg.png": "2", "b/c": "3", "d": "4"})
    assert [(entry.name, list(entry.members)) for entry in entries] == [
        ("a.jpg", ["labels", "certainty"]),
        ("a.jpg.png", ["labels"]),
        ("b/c", ["labels"]),
        ("d", []),
    ]
    with pytest.raises(ValueError, match="no image"):
        entries_of(members, {"b/c": "3"})


def test_names_of_files():
    assert (shard_file(0), record_file(0)) == ("shards/000000.tar", "shards/000000.json")
    assert dataclasses.replace(RECORD) == RECORD
