import json

import pytest

from primaps.errors import CheckpointError, ConfigError
from primaps.shards import plan as plan_module
from primaps.shards.places import place_of
from primaps.shards.plan import (
    Plan,
    load_plan,
    make_plan,
    references_file,
    references_of,
    references_sha256,
)
from primaps.shards.references import Listing, Reference
from primaps.types import Failure


def references(*names, stamp="1"):
    return tuple(Reference(name, f"/in/{name}", 3, stamp) for name in sorted(names))


def listing(*names):
    return Listing(references(*names), (Failure("/in/x", "scan", "gone"),), {".txt": 2}, ("/run",))


@pytest.fixture
def place(tmp_path):
    return place_of(tmp_path / "out")


def test_a_plan_is_found_again(place):
    plan = make_plan(place, listing(*"abcde"), 2)
    assert (plan.images, plan.shards, plan.sizes) == (5, 3, (2, 2, 1))
    assert load_plan(place) == plan
    assert (plan.failures, plan.passed_over, plan.runs) == (
        (Failure("/in/x", "scan", "gone"),),
        {".txt": 2},
        ("/run",),
    )
    assert references_of(place, 1) == list(references("c", "d"))
    assert references_sha256(references("c", "d")) != references_sha256(references("c", "e"))
    before = place.read("plan.json")
    assert make_plan(place, listing(*"abcde"), 2) == plan
    assert place.read("plan.json") == before


def test_shards_keep_their_format(place):
    assert make_plan(place, listing(*"abc"), 2, "parquet").shard_format == "parquet"
    assert load_plan(place).shard_format == "parquet"
    with pytest.raises(ConfigError, match=r"Expected parquet files.*--shard-format parquet"):
        make_plan(place, listing(*"abc"), 2, "tar")
    value = json.loads(place.read("plan.json"))
    place.write("plan.json", json.dumps({**value, "shard_format": "zip"}).encode())
    with pytest.raises(CheckpointError, match="its shards are 'zip'"):
        load_plan(place)
    del value["shard_format"]  # of an earlier version
    place.write("plan.json", json.dumps(value).encode())
    assert load_plan(place).shard_format == "tar"


def test_it_is_the_same_everywhere(tmp_path):
    one, other = place_of(tmp_path / "1"), place_of("memory://plan/2")
    make_plan(one, listing(*"abc"), 2)
    make_plan(other, listing(*"cba"), 2)
    for path in ("plan.json", "plan/000000.jsonl", "plan/000001.jsonl"):
        assert one.read(path) == other.read(path)


def test_new_images_are_further_shards(place):
    old = make_plan(place, listing("b", "d", "f"), 2)
    first = place.read(references_file(0))
    new = make_plan(place, listing(*"abcdef"), 2)
    assert new.sizes == (2, 1, 2, 1)
    assert new.sha256 != old.sha256
    assert place.read(references_file(0)) == first
    assert references_of(place, 1) == list(references("f"))
    assert references_of(place, 2) == list(references("a", "c"))
    assert references_of(place, 3) == list(references("e"))
    assert make_plan(place, listing(*"abcdef"), 2) == new == load_plan(place)


def test_images_that_are_gone_or_changed_are_refused(place):
    make_plan(place, listing(*"abcdef"), 2)
    changed = Listing(
        tuple(
            sorted((*references("b", "c", "d"), *references("a", stamp="2")), key=lambda x: x.name)
        )
    )
    with pytest.raises(ConfigError, match=r"a \(changed\), e \(gone\), f \(gone\)\. Put"):
        make_plan(place, changed, 2)
    with pytest.raises(ConfigError, match=r"c \(gone\) and 3 more\."):
        make_plan(place, Listing(()), 2)
    assert load_plan(place).images == 6


def test_another_size_of_shards_is_refused(place):
    make_plan(place, listing(*"abc"), 2)
    with pytest.raises(ConfigError, match="--shards 2, or choose"):
        make_plan(place, listing(*"abc"), 3)
    with pytest.raises(ConfigError, match="at least 1"):
        make_plan(place, listing(*"abc"), 0)


def test_a_plan_that_was_interrupted_is_made_again(place, monkeypatch):
    written = []

    def write(self, path, data):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        original(self, path, data)

    original = plan_module.Place.write
    monkeypatch.setattr(plan_module.Place, "write", write)
    with pytest.raises(KeyboardInterrupt):
        make_plan(place, listing(*"abcde"), 2)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="does not"):
        load_plan(place)
    assert make_plan(place, listing(*"abcd"), 2).sizes == (2, 2)


def test_growth_that_was_interrupted_leaves_the_former_plan(place, monkeypatch):
    old = make_plan(place, listing("a", "b"), 2)
    original = plan_module.Place.write

    def write(self, path, data):
        if path == "plan.json":
            raise KeyboardInterrupt
        original(self, path, data)

    monkeypatch.setattr(plan_module.Place, "write", write)
    with pytest.raises(KeyboardInterrupt):
        make_plan(place, listing(*"abcd"), 2)
    monkeypatch.undo()
    assert load_plan(place) == old
    assert make_plan(place, listing(*"abc"), 2).sizes == (2, 1)


def damaged(record, **changes):
    return json.dumps({**record, **changes}).encode()


def test_a_damaged_plan(place):
    make_plan(place, listing(*"abc"), 2)
    record = json.loads(place.read("plan.json"))
    for content in (
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        damaged(record, format="primaps-plan-9"),
        damaged(record, sizes=[2, 3]),
        damaged(record, sizes=[2, -1]),
        damaged(record, sizes=None),
        damaged(record, failures=[{"x": 1}]),
        damaged(record, passed_over=[]),
    ):
        place.write("plan.json", content)
        with pytest.raises(CheckpointError, match=r"plan\.json"):
            load_plan(place)


def test_damaged_references(place):
    make_plan(place, listing(*"abc"), 2)
    content = place.read(references_file(0))
    for other in (
        b"",
        content[:-5],
        content.replace(b'"a"', b'"z"'),
        content.replace(b'"shard": 0', b'"shard": 1'),
        place.read(references_file(1)),
    ):
        place.write(references_file(0), other)
        with pytest.raises(CheckpointError, match="000000"):
            references_of(place, 0)
    place.remove(references_file(0))
    with pytest.raises(CheckpointError, match="there is none"):
        references_of(place, 0)


def test_a_list_that_was_lost_or_damaged_is_filled_again(place):
    make_plan(place, listing(*"abcd"), 2)
    plan = make_plan(place, listing(*"abcde"), 2)
    before = [place.read(references_file(number)) for number in range(3)]
    place.remove(references_file(0))
    place.write(references_file(2), before[2][:-3])
    assert make_plan(place, listing(*"abcde"), 2) == plan
    assert [place.read(references_file(number)) for number in range(3)] == before


def test_a_lost_list_of_images_that_are_gone_is_refused(place):
    make_plan(place, listing(*"abcd"), 2)
    place.remove(references_file(1))
    with pytest.raises(ConfigError, match=r"plan/000001\.jsonl is lost, and some are gone"):
        make_plan(place, listing(*"abc"), 2)


def test_numbers():
    assert Plan(2, (2, 2, 1), "").images == 5
    assert references_file(7) == "plan/000007.jsonl"
    assert references_file(1_234_567) == "plan/1234567.jsonl"
