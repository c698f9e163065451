"""`doctor` on outputs in shards, and the command that mends them."""

import pytest

from primaps.errors import CheckpointError
from primaps.pipeline.verifying import verify
from primaps.shards.places import place_of


@pytest.fixture
def sharded(draw, propose, tmp_path):
    """Photographs and the folder of their proposals in three shards."""
    photos, out = draw(tmp_path / "photos", 6), tmp_path / "out"
    propose(photos, out, shards=2)
    return photos, out


def test_whole_shards_are_sound(sharded):
    verdict = verify(sharded[1])
    assert verdict.sound, verdict.text()
    assert (verdict.kind, verdict.files) == ("run in shards", 4)


def test_torn_shards_are_named_removed_and_made_again(sharded, propose, contents):
    photos, out = sharded
    before = contents(out)
    tar = out / "shards" / "000001.tar"
    damaged = bytearray(tar.read_bytes())
    damaged[600] ^= 1
    tar.write_bytes(damaged)
    (out / "shards" / "000002.tar").unlink()
    verdict = verify(out)
    assert [fault.path for fault in verdict.faults] == [
        "shards/000001.json",
        "shards/000002.json",
    ]
    assert "another checksum" in verdict.faults[0].problem
    assert verdict.faults[1].problem == "its tar file is missing"
    assert "shards (2), by primaps proposals" in verdict.text()
    assert not verify(out, fix=True).sound
    assert not (out / "shards" / "000001.json").exists()
    propose(photos, out, shards=2)
    assert verify(out).sound
    assert contents(out) == before


def test_shards_that_are_not_done_are_named(sharded):
    (sharded[1] / "shards" / "000000.json").unlink()
    verdict = verify(sharded[1])
    assert [(fault.path, fault.there) for fault in verdict.faults] == [
        ("shards/000000.json", False)
    ]


def test_a_damaged_plan_and_lists_are_named_removed_and_made_again(sharded, propose, contents):
    photos, out = sharded
    before = contents(out)
    tars = [path.stat().st_mtime_ns for path in sorted(out.glob("shards/*.tar"))]
    (out / "plan" / "000000.jsonl").unlink()
    (out / "plan" / "000001.jsonl").write_text("{}")
    assert [(fault.path, fault.there) for fault in verify(out, fix=True).faults] == [
        ("plan/000000.jsonl", False),
        ("plan/000001.jsonl", True),
    ]
    propose(photos, out)
    assert contents(out) == before
    (out / "plan.json").write_text("{")
    assert [fault.path for fault in verify(out, fix=True).faults] == ["plan.json"]
    assert verify(out).kind == "run in shards"
    propose(photos, out)
    assert contents(out) == before
    assert [path.stat().st_mtime_ns for path in sorted(out.glob("shards/*.tar"))] == tars


def test_shards_in_an_object_store(sharded):
    store = place_of("memory://doctor/out")
    for path in sharded[1].rglob("*.*"):
        if path.is_file():
            store.write(path.relative_to(sharded[1]).as_posix(), path.read_bytes())
    assert verify(store.url).sound
    store.remove("shards/000001.tar")
    verdict = verify(store.url, fix=True)
    assert [(fault.path, fault.removed) for fault in verdict.faults] == [
        ("shards/000001.json", True)
    ]
    assert "--out memory://doctor/out" in verdict.text()
    assert not store.exists("shards/000001.json")
    with pytest.raises(CheckpointError, match=r"memory://doctor/none, but it has no run\.json"):
        verify("memory://doctor/none")
