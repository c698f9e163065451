"""Events of a fit while it runs, read with TensorBoard's own reader."""

import dataclasses
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from primaps import pipeline
from primaps.outputs.events import LiveEvents
from primaps.pipeline.fit_curves import fit_curves
from primaps.pipeline.live import LiveFit
from primaps.prototypes.loop.state import Snapshot
from primaps.runs.model import Model
from primaps.types import FitCurves

pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra: tensorboard)")


def reader(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def scalars(found, tag):
    return (
        [(event.step, event.value) for event in found.Scalars(tag)]
        if tag in found.Tags()["scalars"]
        else []
    )


def opened(photographs, out, backbone, config, progress=None):
    run = pipeline.open_run([str(photographs)], out, backbone, config, progress=progress)
    pipeline.extract(run)
    return run


def test_a_killed_fit_shows_what_it_did_and_goes_on_without_repeating(
    photographs, tmp_path, texture, small_config, cutting
):
    """10 steps of EM, snapshots after 4 and 8; killed in start 2 of k-means, after 3, 6 and 9 steps
    of EM.
    """
    logs = tmp_path / "logs"
    expected = pipeline.fit(opened(photographs, tmp_path / "whole", texture, small_config))
    losses = list(expected.fit.losses)
    for phase, step, shown, kept in (
        ("clusters", 2, 0, []),
        ("em", 3, 3, []),
        ("em", 6, 6, [4]),
        ("em", 9, 9, [4, 8]),
    ):
        run = opened(
            photographs, tmp_path / "run", texture, small_config, cutting.at(f"fit: {phase}", step)
        )
        with cutting.short():
            pipeline.fit(run, events=logs)
        found = reader(logs)
        assert scalars(found, "loss") == [
            (number + 1, pytest.approx(losses[number])) for number in range(shown)
        ]
        assert [step for step, _ in scalars(found, "agreement")] == kept
        assert [step for step, _ in scalars(found, "usage/002")] == kept
    run = opened(photographs, tmp_path / "run", texture, small_config)
    model = pipeline.fit(run, events=logs)
    assert list(model.fit.losses) == losses
    found = reader(logs)
    assert [step for step, _ in scalars(found, "loss")] == list(range(1, 11))
    curves = fit_curves(run, model, run.folder.model)
    measured = dict(zip(curves.steps.tolist(), curves.usage[:, 2].tolist(), strict=True))
    # of all five images
    assert scalars(found, "usage/002") == [(step, pytest.approx(measured[step])) for step in (4, 8)]


def test_a_fit_that_is_watched_is_the_same(photographs, tmp_path, texture, small_config):
    for name, events in (("plain", None), ("watched", tmp_path / "logs")):
        pipeline.fit(opened(photographs, tmp_path / name, texture, small_config), events=events)
    for file in ("model/prototypes.safetensors", "model/snapshots/step-0000004.safetensors"):
        assert (tmp_path / "plain" / file).read_bytes() == (
            tmp_path / "watched" / file
        ).read_bytes()


@pytest.mark.parametrize("harm", ["missing", "foreign"])
def test_snapshots_that_cannot_be_read_are_left_out_and_noted(
    harm, photographs, tmp_path, texture, small_config, cutting
):
    """The fit goes on and ends as it does without events."""
    expected = pipeline.fit(opened(photographs, tmp_path / "whole", texture, small_config))
    logs, earlier = (
        tmp_path / "logs",
        tmp_path / "run" / "model" / "snapshots" / "step-0000004.safetensors",
    )
    with cutting.short():
        pipeline.fit(
            opened(photographs, tmp_path / "run", texture, small_config, cutting.at("fit: em", 9)),
            events=logs,
        )
    if harm == "missing":
        earlier.unlink()
    else:
        save_file({**load_file(earlier), "identity": torch.zeros(16, dtype=torch.uint8)}, earlier)
    run, notes = opened(photographs, tmp_path / "run", texture, small_config), []
    run.progress.note = notes.append
    model = pipeline.fit_again(run, None, events=logs)
    assert list(model.fit.losses) == list(expected.fit.losses)
    assert torch.equal(model.prototypes, expected.prototypes)
    told = [
        note
        for note in notes
        if note.startswith("1 of 2 snapshots of the fit are not drawn. The first: Expected ")
    ]
    assert len(told) == 2  # when the fit went on, and when it was done
    assert all(str(earlier) in note for note in told)
    found = reader(logs)
    assert [step for step, _ in scalars(found, "loss")] == list(range(1, 11))
    assert [step for step, _ in scalars(found, "agreement")] == [8, 10]
    # measured again when the snapshot is back
    assert not (run.folder.model / "curves.json").exists()


def test_the_baseline_is_shown_while_its_k_means_runs(
    photographs, tmp_path, texture, small_config, cutting
):
    config = dataclasses.replace(
        small_config, fit=dataclasses.replace(small_config.fit, method="baseline")
    )
    with cutting.short():
        pipeline.fit(
            opened(photographs, tmp_path / "run", texture, config, cutting.at("fit: kmeans", 7)),
            events=tmp_path / "logs",
        )
    found = reader(tmp_path / "logs")
    assert [step for step, _ in scalars(found, "loss")] == list(range(1, 8))
    assert scalars(found, "agreement") == [(4, 1.0)]


def test_a_board_that_watches_all_the_time_sees_nothing_twice(
    photographs, tmp_path, texture, small_config, cutting
):
    """Live events, those of the fit that went on, and those of the finished fit, through one
    reader.
    """
    logs, model = tmp_path / "logs", tmp_path / "model"
    found = None
    for step in (6, 9):
        run = opened(
            photographs, tmp_path / "run", texture, small_config, cutting.at("fit: em", step)
        )
        with cutting.short():
            pipeline.fit_again(run, model, events=logs)
        found = reader(logs) if found is None else found.Reload()
        assert [step for step, _ in scalars(found, "loss")] == list(range(1, step + 1))
        time.sleep(1.1)  # files are ordered by their names, which hold the second
    run = opened(photographs, tmp_path / "run", texture, small_config)
    pipeline.fit_again(run, model, events=logs)
    found.Reload()
    curves = fit_curves(run, Model.load(model), model)
    losses = enumerate(curves.losses.tolist(), start=1)
    assert scalars(found, "loss") == [
        (step, pytest.approx(loss, rel=1e-4)) for step, loss in losses
    ]
    assert [step for step, _ in scalars(found, "agreement")] == curves.steps.tolist() == [4, 8, 10]
    assert len([file for file in logs.iterdir() if file.stat().st_size]) == 1


def test_events_are_flushed_while_the_writer_is_open(tmp_path, monkeypatch):
    monkeypatch.setattr("primaps.outputs.events.FLUSH_SECONDS", 0)
    nothing = FitCurves(np.zeros(0), np.zeros(0, np.int64), np.zeros((0, 0)), np.zeros(0))
    events = LiveEvents(tmp_path, nothing)
    for step in range(1, 50):
        events.add_loss(step, 1 / step)
    events._writer._get_file_writer().event_writer._async_writer._byte_queue.join()
    assert len(scalars(reader(tmp_path), "loss")) > 0
    events.close()
    assert len(scalars(reader(tmp_path), "loss")) == 49


def test_usage_is_measured_on_a_part_of_the_images(
    photographs, tmp_path, texture, small_config, monkeypatch
):
    monkeypatch.setattr("primaps.pipeline.live.IMAGES", 2)
    run = opened(photographs, tmp_path / "run", texture, small_config)
    teacher = torch.randn(3, texture.dim, generator=torch.Generator().manual_seed(0))
    with LiveFit(tmp_path / "logs", run, run.usable_images()) as live:
        live.begin([], [])
        live.keep(Snapshot(4, teacher, teacher))
    counts = torch.zeros(3)
    for image in (run.usable_images()[0], run.usable_images()[-1]):
        features = (
            run.store.source([image.name])
            .features(0, run.store.source([image.name]).views[0])
            .float()
        )
        counts += torch.bincount((teacher @ features.flatten(1)).argmax(0), minlength=3)
    found = reader(tmp_path / "logs")
    for cluster, share in enumerate((counts / counts.sum()).tolist()):
        assert scalars(found, f"usage/{cluster:03d}") == [(4, pytest.approx(share))]
