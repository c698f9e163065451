"""Events are read back with TensorBoard's own reader."""

import dataclasses
import importlib.util
import io
import os
import time

import numpy as np
import pytest
from PIL import Image

from primaps.errors import MissingExtraError, OutputError
from primaps.outputs.events import LiveEvents, require_tensorboard, write_events
from primaps.types import FitCurves

CURVES = FitCurves(
    np.array([0.9, 0.5, 0.25]),
    np.array([2, 3]),
    np.array([[0.5, 0.5], [0.75, 0.25]]),
    np.array([0.5, 1.0]),
)


def read(folder):
    """What lies in a log directory; everything of it is kept in memory."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra: tensorboard)")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    return found.Reload()


def scalars(found, tag):
    return [(event.step, event.value) for event in found.Scalars(tag)]


def test_events_hold_the_curves_and_pictures(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra: tensorboard)")
    picture = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    write_events(tmp_path / "logs", CURVES, {"confusion": picture})
    found = read(tmp_path / "logs")
    assert scalars(found, "loss") == [(1, pytest.approx(0.9)), (2, 0.5), (3, 0.25)]
    assert scalars(found, "usage/000") == [(2, 0.5), (3, 0.75)]
    assert scalars(found, "usage/001") == [(2, 0.5), (3, 0.25)]
    assert scalars(found, "agreement") == [(2, 0.5), (3, 1.0)]
    (image,) = found.Images("confusion")
    assert image.step == 3
    with Image.open(io.BytesIO(image.encoded_image_string)) as stored:
        assert np.array_equal(np.asarray(stored), picture)


def test_written_several_times_one_file_holds_all(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra: tensorboard)")
    for _ in range(4):
        write_events(tmp_path, CURVES)
    empty = [file for file in tmp_path.iterdir() if not file.stat().st_size]
    assert len(empty) == 3  # what a TensorBoard may still be reading from
    for file in empty:
        os.utime(file, (0, 0))
    write_events(tmp_path, CURVES)
    assert len(list(tmp_path.iterdir())) == 2
    assert len(scalars(read(tmp_path), "loss")) == 3


@pytest.mark.parametrize(
    "write", [write_events, lambda folder, curves: LiveEvents(folder, curves).close()]
)
def test_events_of_other_programs_stay(write, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra: tensorboard)")
    own, empty = (
        tmp_path / "events.out.tfevents.1700000000.host.1.0",
        tmp_path / "events.out.tfevents.1700000001.host.1.0",
    )
    own.write_bytes(b"somebody's")
    empty.touch()
    os.utime(empty, (0, 0))
    for _ in range(2):
        write(tmp_path, CURVES)
    assert own.read_bytes() == b"somebody's"
    assert empty.exists()
    ours = [file.stat().st_size > 0 for file in tmp_path.iterdir() if file not in (own, empty)]
    assert sorted(ours) == [False, True]  # the earlier one is emptied as before


def test_a_board_that_is_open_follows(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra: tensorboard)")
    LiveEvents(tmp_path, dataclasses.replace(CURVES, losses=CURVES.losses[:2])).close()
    board = read(tmp_path)
    assert len(scalars(board, "loss")) == 2
    time.sleep(1.1)  # files are ordered by their names, which hold the second
    live = LiveEvents(tmp_path, CURVES)
    live.add_loss(4, 0.125)
    live.close()
    assert [step for step, _ in scalars(board.Reload(), "loss")] == [1, 2, 3, 4]
    time.sleep(1.1)
    write_events(tmp_path, CURVES)
    board.Reload()
    assert [step for step, _ in scalars(board, "loss")] == [1, 2, 3]
    assert [step for step, _ in scalars(board, "agreement")] == [2, 3]


def test_a_folder_that_is_a_file_is_an_error(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra: tensorboard)")
    (tmp_path / "logs").write_text("not a folder")
    with pytest.raises(OutputError, match="Choose another folder"):
        write_events(tmp_path / "logs", CURVES)
    with pytest.raises(OutputError, match="Choose another folder"):
        LiveEvents(tmp_path / "logs", CURVES)


def test_without_tensorboard_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'primaps\[tensorboard\]'"):
        require_tensorboard()
    with pytest.raises(MissingExtraError):
        write_events(tmp_path / "logs", CURVES)
    assert not (tmp_path / "logs").exists()
