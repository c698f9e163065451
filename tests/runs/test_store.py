import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.errors import CheckpointError, OutputError
from primaps.runs.store import (
    LOCK_NAME,
    TEMPORARY_SUFFIX,
    FeatureStore,
    ShardInfo,
    atomic_write,
    atomic_write_parts,
    fingerprint,
    hold,
    read_json,
    read_json_lines,
    read_tensors,
    release,
    remove_temporaries,
    write_json,
    write_tensors,
)
from primaps.types import MaskProposals, View

VIEWS = (View(), View(flip=True))


@pytest.fixture
def image_file(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"content")
    return path


def info_of(path, settings="s"):
    status = path.stat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ShardInfo(
        settings,
        digest,
        status.st_size,
        status.st_mtime_ns,
        16,
        24,
        2,
        0.5,
        (0.9, 0.8),
        ("zero_tokens",),
    )


@pytest.fixture
def filled(tmp_path, image_file):
    store = FeatureStore(tmp_path / "store", "s", VIEWS)
    labels = np.arange(16 * 24, dtype=np.int32).reshape(16, 24) % 3
    features = torch.arange(2 * 4 * 2 * 3, dtype=torch.float32).reshape(2, 4, 2, 3)
    store.write(
        "sub/a.jpg",
        features,
        MaskProposals(labels, np.array([0.9, 0.8], dtype=np.float32)),
        info_of(image_file),
    )
    return store, features, labels


def test_what_is_written_is_read(filled):
    store, features, labels = filled
    assert torch.equal(store.features("sub/a.jpg", View(flip=True)).float(), features[1])
    assert store.features("sub/a.jpg", View()).dtype == torch.float16
    np.testing.assert_array_equal(store.proposals("sub/a.jpg").numpy(), labels)
    info = store.info("sub/a.jpg")
    assert (info.num_masks, info.scores, info.guards) == (2, (0.9, 0.8), ("zero_tokens",))


@given(
    seed=st.integers(0, 10_000),
    grid=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    num_masks=st.sampled_from([0, 1, 255, 256, 400]),
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_every_bit_of_an_image_comes_back(tmp_path_factory, seed, grid, size, num_masks, numbers):
    generator = np.random.default_rng(seed)
    bits = torch.from_numpy(generator.integers(-(2**15), 2**15, grid).astype(np.int16))
    half = bits.view(torch.float16)
    half = torch.where(half.isfinite(), half, torch.zeros_like(half))  # -0 and subnormals included
    labels = generator.integers(0, num_masks + 1, size).astype(np.int32)
    views = tuple(View(photometric=draw or None) for draw in range(grid[0]))
    info = ShardInfo(
        "s", "0" * 64, 2**40 + seed, 2**60 + seed, *size, num_masks, 0.1, tuple(numbers), ("a",)
    )
    store = FeatureStore(tmp_path_factory.mktemp("store"), "s", views)
    scores = np.zeros(num_masks, dtype=np.float32)
    store.write("a.jpg", half, MaskProposals(labels, scores), info)
    again = FeatureStore(store.root, "s", views)
    for place, view in enumerate(views):
        found = again.features("a.jpg", view)
        assert torch.equal(found.view(torch.int16), half[place].view(torch.int16))
    np.testing.assert_array_equal(again.proposals("a.jpg").numpy(), labels)
    assert again.info("a.jpg") == info


def test_other_settings_count_as_absent(filled):
    store, _, _ = filled
    assert FeatureStore(store.root, "other", VIEWS).info("sub/a.jpg") is None


def test_unchanged_content_is_current_whatever_the_time_stamp(filled, image_file):
    store, _, _ = filled
    assert store.is_current("sub/a.jpg", image_file)
    os.utime(image_file, ns=(1, 1))
    assert store.is_current("sub/a.jpg", image_file)
    image_file.write_bytes(b"CONTENT")
    assert not store.is_current("sub/a.jpg", image_file)
    image_file.unlink()
    assert not store.is_current("sub/a.jpg", image_file)


def test_a_damaged_shard_is_absent_and_reading_it_says_so(filled, image_file):
    store, _, _ = filled
    store.path("sub/a.jpg").write_bytes(b"nonsense")
    assert store.info("sub/a.jpg") is None
    assert not store.is_current("sub/a.jpg", image_file)
    with pytest.raises(CheckpointError, match="Run the proposals stage again"):
        store.proposals("sub/a.jpg")


def test_features_that_do_not_fit_half_precision_are_refused(tmp_path, image_file):
    store = FeatureStore(tmp_path / "store", "s", (View(),))
    proposals = MaskProposals(np.zeros((8, 8), dtype=np.int32), np.zeros(0, dtype=np.float32))
    with pytest.raises(OutputError, match="finite features"):
        store.write("a", torch.full((1, 2, 1, 1), 1e6), proposals, info_of(image_file))


def test_a_source_reads_by_index(filled):
    store, features, _ = filled
    source = store.source(["sub/a.jpg"])
    assert len(source) == 1
    assert source.views == VIEWS
    assert torch.equal(source.features(0, View()).float(), features[0])


def test_atomic_write_leaves_nothing_else(tmp_path):
    target = tmp_path / "new" / "file.bin"
    atomic_write(target, b"one")
    atomic_write(target, b"two")
    assert target.read_bytes() == b"two"
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


def test_a_file_in_parts_is_there_as_a_whole_or_as_it_was(tmp_path):
    path = tmp_path / "a" / "b.txt"
    atomic_write_parts(path, (bytes([each]) for each in b"former"))
    assert path.read_bytes() == b"former"

    def broken():
        yield b"new"
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        atomic_write_parts(path, broken())
    assert path.read_bytes() == b"former"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "file.bin"
    atomic_write(target, b"old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="disk is full"):
        atomic_write(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="part of this path is something else"):
        atomic_write(tmp_path / "file" / "inner", b"")


def test_temporaries_below_another_lock_are_left_to_its_holder(tmp_path):
    below = tmp_path / "features"
    (below / "fits").mkdir(parents=True)
    for folder in (tmp_path, below):
        (folder / LOCK_NAME).touch()
    files = [folder / f".00{TEMPORARY_SUFFIX}" for folder in (tmp_path, below, below / "fits")]
    for file in files:
        file.touch()
    remove_temporaries(tmp_path)
    assert [file.exists() for file in files] == [False, True, True]
    remove_temporaries(below)
    assert not any(file.exists() for file in files)


def test_temporaries_of_killed_writers_are_removed(tmp_path):
    left = tmp_path / "sub" / ".0123.primaps-tmp"
    left.parent.mkdir()
    left.write_bytes(b"half")
    kept = tmp_path / "sub" / "file"
    kept.write_bytes(b"whole")
    remove_temporaries(tmp_path)
    assert not left.exists()
    assert kept.exists()


def test_json_round_trip_and_errors(tmp_path):
    write_json(tmp_path / "a.json", {"ü": [1, None]})
    assert read_json(tmp_path / "a.json") == {"ü": [1, None]}
    with pytest.raises(CheckpointError, match="there is none"):
        read_json(tmp_path / "b.json")
    (tmp_path / "c.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="JSON object"):
        read_json(tmp_path / "c.json")
    (tmp_path / "d.json").write_text('{"a": ' + "[" * 200_000 + "]" * 200_000 + "}")
    with pytest.raises(CheckpointError, match="to be readable JSON"):
        read_json(tmp_path / "d.json")
    with pytest.raises(CheckpointError, match="there is none"):
        read_tensors(Path(tmp_path / "none.safetensors"))


def test_fingerprint_ignores_the_order_of_keys_only():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


# ---- one command at a time in a folder -----------------------------------------------------------


def hold_elsewhere(root):
    """Whether another process can hold a folder."""
    code = (
        "import sys; from pathlib import Path; from primaps.runs.store import hold;"
        " hold(Path(sys.argv[1]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0 or "only command at work" in result.stderr, result.stderr
    return result.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked on Windows")
def test_a_folder_is_held_by_one_process_until_it_lets_go_or_ends(tmp_path):
    root = tmp_path / "new" / "run"
    assert hold_elsewhere(root)  # and ended
    hold(root)
    hold(root)  # the same process may, as often as it likes
    assert not hold_elsewhere(root)
    release(root)
    release(root)
    assert hold_elsewhere(root)


def test_a_folder_that_cannot_be_made_cannot_be_held(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a part of this path is something else"):
        hold(tmp_path / "file" / "run")


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "a", b"data")
    assert list(tmp_path.iterdir()) == []


def test_json_with_paths_that_are_no_utf8_comes_back(tmp_path):
    value = {"path": os.fsdecode(b"/caf\xe9/a.jpg")}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


# ---- damaged files -------------------------------------------------------------------------------


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def test_a_bit_that_turned_in_a_shard_is_found(filled):
    store, _, _ = filled
    assert store.is_sound("sub/a.jpg")
    flip(store.path("sub/a.jpg"), -5)
    assert not store.is_sound("sub/a.jpg")
    for read in (lambda: store.features("sub/a.jpg", View()), lambda: store.proposals("sub/a.jpg")):
        with pytest.raises(CheckpointError, match=r"does not fit its checksum.*Delete the file"):
            read()


def test_shards_of_earlier_versions_have_no_checksum_and_are_read(filled):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    store, features, _ = filled
    path = store.path("sub/a.jpg")
    with safe_open(path, framework="pt") as shard:
        metadata = {key: value for key, value in shard.metadata().items() if key != "crc32"}
    save_file(load_file(path), path, metadata)
    assert store.is_sound("sub/a.jpg")
    assert store.info("sub/a.jpg") is not None
    assert torch.equal(store.features("sub/a.jpg", View()), features[0].half())


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "{}", '{"settings": 3}', "[" * 100_000])
def test_a_shard_with_strange_information_counts_as_absent(filled, text):
    from safetensors.torch import load_file, save_file

    store, _, _ = filled
    path = store.path("sub/a.jpg")
    save_file(load_file(path), path, {"format": "primaps-shard-1", "info": text})
    assert store.info("sub/a.jpg") is None


@pytest.mark.parametrize(
    "tensors",
    [
        {"features": torch.zeros(3), "proposals": torch.zeros(3)},
        {"features": torch.zeros(2, 1, 2, 3), "proposals": torch.zeros(2, 2)},
        {"features": torch.zeros(0, 1, 2, 3, dtype=torch.float16)},
        {},
    ],
)
def test_a_shard_of_other_tensors_is_refused(filled, tensors):
    from safetensors.torch import save_file

    store, _, _ = filled
    save_file(tensors, store.path("sub/a.jpg"))
    for read in (
        lambda: store.features("sub/a.jpg", View(flip=True)),
        lambda: store.proposals("sub/a.jpg"),
    ):
        with pytest.raises(CheckpointError, match=r"Expected (stored features|all views) of"):
            read()


def test_tensors_with_a_turned_bit_are_refused(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"a": torch.ones(9)}, {"x": "y"})
    assert torch.equal(read_tensors(tmp_path / "a.safetensors")["a"], torch.ones(9))
    flip(tmp_path / "a.safetensors", -2)
    with pytest.raises(CheckpointError, match=r"a\.safetensors.*does not fit its checksum"):
        read_tensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize("text", ["{", "3\n", "[]\n", '{"a": NaN}\n', "[" * 100_000, "\udcff"])
def test_lines_that_are_no_objects_are_refused(tmp_path, text):
    path = tmp_path / "a.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=r"a\.jsonl to hold one JSON object per line"):
        read_json_lines(path)


def test_numbers_that_json_lacks_are_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"a": NaN}')
    with pytest.raises(CheckpointError, match="NaN, which is no number of JSON"):
        read_json(tmp_path / "a.json")


def test_a_thinned_shard_keeps_the_plain_view(filled):
    store, features, labels = filled
    assert store.held("sub/a.jpg") == 2
    info = store.info("sub/a.jpg")
    for _ in range(2):
        store.thin("sub/a.jpg")
        assert store.held("sub/a.jpg") == 1
        assert store.info("sub/a.jpg") == info
        assert torch.equal(store.features("sub/a.jpg", View()).float(), features[0])
        np.testing.assert_array_equal(store.proposals("sub/a.jpg").numpy(), labels)
    with pytest.raises(CheckpointError, match="--store full"):
        store.features("sub/a.jpg", View(flip=True))
    assert store.held("b.jpg") == 0
    assert FeatureStore(store.root, "other", VIEWS).held("sub/a.jpg") == 0
