"""The visual record of a row."""

import dataclasses
import importlib.util
import io

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from primaps.cli import app
from primaps.protocol import record as module
from primaps.protocol.heads import Head
from primaps.protocol.images import open_parts
from primaps.protocol.measure import RowPlace, measure_row
from primaps.protocol.record import as_classes, training_panels
from primaps.protocol.row import Row
from primaps.runs.model import Model
from primaps.runs.run import Run, RunFolder
from primaps.types import ClusterAssignment, View

STEPS = {
    "batch_size": 3,
    "epochs": 2,
    "kmeans_epochs": 2,
    "baseline_epochs": 4,
    "min_steps": 1,
    "pixels_per_image": 64,
}
STEPS |= {"proposal_steps": 4, "cluster_restarts": 4}
ROW = Row("folder", "texture", preset="fast", size=64, probe_steps=20, fit=STEPS, clusters=5)


@pytest.fixture(scope="module")
def measured(scenes, texture, tmp_path_factory):
    """One row with five clusters for four classes: its folder and metrics. With events where
    tensorboard is installed.
    """
    out = tmp_path_factory.mktemp("record") / "row"
    events = importlib.util.find_spec("tensorboard") is not None
    metrics, run = measure_row(ROW, RowPlace(scenes, out, events=events), texture)
    assert not run.failures
    return out, metrics


def panels_of(measured, scenes, texture):
    """What the record draws, its run and its teacher."""
    out, metrics = measured
    parts = open_parts(ROW, scenes)
    config = ROW.config(texture, 4, 7)
    run = Run(RunFolder(out / "features"), texture, config, parts[0].files)
    teacher = Head(
        "teacher",
        0,
        Model.load(next((out / "features" / "fits").glob("*/model.json")).parent).fit.teacher,
    )
    clusters = metrics["variants"]["teacher+crf"]["seeds"]["0"]["cluster_to_class"]
    assignment = ClusterAssignment(
        np.array([clusters[str(index)] for index in range(5)]), ("sky", "hill", "disc", "absent")
    )
    return training_panels(run, parts[0], teacher, assignment), run, teacher, assignment


def test_figures_are_written_and_shown_in_the_row(measured):
    out, metrics = measured
    assert set(metrics["record"]["0"]) == {"curves", "confusion", "panels"}
    text = (out / "row.md").read_text("utf-8")
    for name, path in metrics["record"]["0"].items():
        assert path == f"record/seed-0/{name}.png"
        assert f"]({path})" in text
        with Image.open(out / path) as picture:
            picture.load()
            assert picture.format == "PNG"


def test_the_confusion_matrix_is_that_of_the_headline_after_matching(
    measured, scenes, texture, monkeypatch, tmp_path
):
    out, metrics = measured
    seen = []
    real = module.confusion_figure
    monkeypatch.setattr(
        module,
        "confusion_figure",
        lambda table, names: seen.append((table, names)) or real(table, names),
    )
    measure_row(ROW, RowPlace(scenes, out), texture)
    scores = metrics["variants"]["teacher+crf"]["seeds"]["0"]
    expected = np.zeros((4, 4), dtype=np.int64)
    for truth, counts in enumerate(scores["confusion"]):
        for cluster, count in enumerate(counts):
            meaning = scores["cluster_to_class"][str(cluster)]
            assert count == 0 or meaning != 255
            if count:
                expected[truth, meaning] += count
    ((table, names),) = seen
    assert np.array_equal(table, expected)
    assert names == ("sky", "hill", "disc", "absent")
    assert np.trace(table) / table.sum() == pytest.approx(scores["accuracy"])


def test_panels_show_truth_proposals_and_votes_of_training_images(measured, scenes, texture):
    panels, run, teacher, assignment = panels_of(measured, scenes, texture)
    assert [panel.name for panel in panels] == [f"scene{index}.png" for index in (0, 1, 2, 3, 4, 6)]
    voted = 0
    for panel in panels:
        with Image.open(scenes / "labels" / "train" / panel.name) as labels:
            framed = np.asarray(labels.resize((85, 64), Image.Resampling.NEAREST))[:, 10:74]
        assert np.array_equal(panel.truth, framed)
        assert np.array_equal(panel.proposals, run.store.proposals(panel.name).numpy())
        features = run.store.features(panel.name, View()).float()
        scores = torch.einsum("kc,chw->khw", teacher.weight, features)
        classes = (
            torch.nn.functional.interpolate(scores[None], (64, 64), mode="bilinear")[0]
            .argmax(0)
            .numpy()
        )
        assert (panel.pseudo_label[panel.proposals == 0] == 255).all()
        for proposal in range(1, panel.proposals.max() + 1):
            inside = panel.proposals == proposal
            found = np.unique(panel.pseudo_label[inside])
            assert len(found) == 1
            counts = np.bincount(classes[inside], minlength=5)
            first, second = np.sort(counts)[[-1, -2]]
            if first > second + 0.01 * inside.sum():  # threads may round single pixels
                voted += 1
                assert found[0] == assignment.cluster_to_class[counts.argmax()]
        assert panel.prediction.shape == (64, 64)
    assert voted > 0


def test_an_unreadable_training_image_is_reported_and_left_out(
    measured, scenes, texture, monkeypatch
):
    real = module.read_photo

    def read(path, limit):
        if path.name == "scene2.png":
            raise OSError("gone")
        return real(path, limit)

    monkeypatch.setattr(module, "read_photo", read)
    panels, run, _, _ = panels_of(measured, scenes, texture)
    assert [panel.name for panel in panels] == [f"scene{index}.png" for index in (0, 1, 3, 4, 6)]
    (failure,) = run.failures
    assert failure.path.endswith("scene2.png")


def test_clusters_become_classes():
    assignment = ClusterAssignment(np.array([2, 0, 255]), ("a", "b", "c"))
    assert as_classes(np.array([[0, 1], [2, 255]], dtype=np.uint8), assignment).tolist() == [
        [2, 0],
        [255, 255],
    ]


def test_events_hold_curves_confusion_and_panels(measured):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra: tensorboard)")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out, metrics = measured
    found = EventAccumulator(
        str(out / "tensorboard" / "seed-0"), size_guidance={"scalars": 0, "images": 0}
    ).Reload()
    model = Model.load(next((out / "features" / "fits").glob("*/model.json")).parent)
    assert [event.value for event in found.Scalars("loss")] == pytest.approx(list(model.fit.losses))
    usage = [found.Scalars(f"usage/{cluster:03d}")[-1].value for cluster in range(5)]
    assert usage == pytest.approx((model.fit.usage / model.fit.usage.sum()).tolist())
    assert [event.step for event in found.Scalars("agreement")] == [2, 4]
    for tag in ("confusion", "panels"):
        (image,) = found.Images(tag)
        with (
            Image.open(io.BytesIO(image.encoded_image_string)) as stored,
            Image.open(out / metrics["record"]["0"][tag]) as file,
        ):
            assert np.array_equal(np.asarray(stored), np.asarray(file.convert("RGB")))


def test_the_baseline_has_a_record_too(measured, scenes, texture, tmp_path):
    row = dataclasses.replace(ROW, method="baseline")
    metrics, _ = measure_row(
        row, RowPlace(scenes, tmp_path / "row", store=measured[0] / "features"), texture
    )
    assert set(metrics["record"]["0"]) == {"curves", "confusion", "panels"}
    assert not (tmp_path / "row" / "tensorboard").exists()


def test_without_tensorboard_the_extra_is_named_before_anything_is_done(
    scenes, tmp_path, monkeypatch
):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorboard" else real(name, *rest),
    )
    options = [
        "--dataset",
        "folder",
        "--root",
        str(scenes),
        "--backbone",
        "texture",
        "--out",
        str(tmp_path / "row"),
    ]
    result = CliRunner().invoke(app, ["benchmark", *options, "--tensorboard"])
    assert result.exit_code == 2
    assert "primaps[tensorboard]" in "".join(result.stderr.split())
    assert not (tmp_path / "row").exists()
