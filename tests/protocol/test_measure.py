import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.optimize import linear_sum_assignment

from primaps.errors import ConfigError, DatasetError
from primaps.heads.loading import load_backbone
from primaps.progress import Silent
from primaps.protocol import deviations as protocol
from primaps.protocol import label_maps, measure
from primaps.protocol.fits import head_alone
from primaps.protocol.heads import Head, pixel_scores
from primaps.protocol.measure import RowPlace, measure_row
from primaps.protocol.row import Row

from .conftest import CLASSES, draw_scenes

STEPS = {
    "batch_size": 3,
    "epochs": 4,
    "kmeans_epochs": 2,
    "baseline_epochs": 4,
    "min_steps": 1,
    "pixels_per_image": 64,
}
STEPS |= {"cluster_restarts": 4, "proposal_steps": 8}
ROW = Row("folder", "texture", preset="fast", size=64, probe_steps=60, fit=STEPS)
PAPER = dataclasses.replace(ROW, preset="paper")
"""With the views that "agreement" needs, and EM on pixels."""


@pytest.fixture(scope="module")
def measured(scenes, texture, tmp_path_factory):
    """One row with two seeds: its folder and its metrics."""
    out = tmp_path_factory.mktemp("row") / "em"
    metrics, run = measure_row(dataclasses.replace(ROW, seeds=2), RowPlace(scenes, out), texture)
    assert not run.failures
    return out, metrics


@pytest.fixture(scope="module")
def measured_on_paper(scenes, texture, tmp_path_factory):
    out = tmp_path_factory.mktemp("row") / "paper"
    return out, measure_row(PAPER, RowPlace(scenes, out), texture)[0]


def framed_truth(root, name):
    """Labels of a measured image, resized and cropped by Pillow alone."""
    with Image.open(root / "labels" / "val" / name) as labels:
        resized = labels.resize((int(64 * 80 / 60), 64), Image.Resampling.NEAREST)
    left = round((resized.width - 64) / 2)
    return np.asarray(resized)[:, left : left + 64].astype(int)


def plain_scores(pairs, num_clusters, *, matched=True):
    """Accuracy, mean IoU and IoU per class from label maps pixel by pixel: one matching, further
    clusters join their majority.
    """
    predicted, truth = (np.concatenate([pair[part].ravel() for pair in pairs]) for part in (0, 1))
    predicted, truth = predicted[truth != 255], truth[truth != 255]
    names = range(len(CLASSES))
    hits = np.array(
        [
            [((predicted == cluster) & (truth == label)).sum() for label in names]
            for cluster in range(num_clusters)
        ]
    )
    meaning = hits.argmax(1)
    if matched:
        clusters, labels = linear_sum_assignment(-hits)
        meaning[clusters] = labels
    else:
        meaning = np.arange(num_clusters)
    predicted = meaning[predicted]
    iou = {}
    for label, name in enumerate(CLASSES):
        union = ((predicted == label) | (truth == label)).sum()
        iou[name] = ((predicted == label) & (truth == label)).sum() / union if union else None
    present = [value for value in iou.values() if value is not None]
    return (predicted == truth).mean(), np.mean(present), iou


def stored_pairs(out, root, folder):
    files = sorted((out / "labels" / folder).glob("*.png"))
    assert len(files) == 4
    return [
        (np.asarray(Image.open(file)).astype(int), framed_truth(root, file.stem)) for file in files
    ]


def contents(out):
    """Digest of what a resumed row must reproduce."""
    files = [
        *(out / "labels").rglob("*.png"),
        *(out / "features" / "fits").rglob("*.safetensors"),
        out / "row.md",
        out / "row.tex",
    ]
    return {
        file.relative_to(out).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(files)
    }


# ---- scores --------------------------------------------------------------------------------------


def assert_scores_are_those_of_the_label_maps(out, root, metrics, num_clusters):
    for variant, entry in metrics["variants"].items():
        for seed, scores in entry["seeds"].items():
            folder = f"supervised/{variant}" if seed == "supervised" else f"seed-{seed}/{variant}"
            pairs = stored_pairs(out, root, folder)
            classes = len(CLASSES) if seed == "supervised" else num_clusters
            accuracy, miou, iou = plain_scores(pairs, classes, matched=seed != "supervised")
            assert scores["accuracy"] == pytest.approx(accuracy)
            assert scores["miou"] == pytest.approx(miou)
            assert scores["per_class_iou"] == pytest.approx(iou)
            assert scores["n_images"] == 4
            # no pixel is left out
            assert np.sum(scores["confusion"]) == sum((truth != 255).sum() for _, truth in pairs)
        values = [scores["miou"] for scores in entry["seeds"].values()]
        assert entry["miou"]["mean"] == pytest.approx(np.mean(values))
        assert entry["miou"]["std"] == (
            pytest.approx(np.std(values, ddof=1)) if len(values) > 1 else None
        )


@pytest.mark.slow
def test_scores_are_those_of_the_stored_label_maps(measured, scenes):
    out, metrics = measured
    assert list(metrics["variants"]) == [
        "teacher",
        "teacher+crf",
        "student",
        "student+crf",
        "linear",
        "linear+crf",
    ]
    assert_scores_are_those_of_the_label_maps(out, scenes, metrics, 4)
    assert metrics["variants"]["linear"]["uses_labels_to_fit"]
    assert not metrics["variants"]["teacher+crf"]["uses_labels_to_fit"]
    assert metrics["variants"]["linear"]["seeds"]["supervised"]["per_class_iou"]["absent"] is None
    assert metrics["variants"]["linear"]["accuracy"]["mean"] > 0.8


def test_overclustering_drops_no_pixel(scenes, texture, tmp_path, measured):
    row = dataclasses.replace(ROW, clusters=7, method="baseline")
    metrics, _ = measure_row(
        row, RowPlace(scenes, tmp_path / "row", store=shared_store(measured, tmp_path)), texture
    )
    assert list(metrics["variants"]) == ["teacher", "teacher+crf", "linear", "linear+crf"]
    assert len(metrics["variants"]["teacher"]["seeds"]["0"]["cluster_to_class"]) == 7
    assert_scores_are_those_of_the_label_maps(tmp_path / "row", scenes, metrics, 7)
    assert "7 clusters" in (tmp_path / "row" / "row.md").read_text("utf-8")


def test_metrics_say_what_was_done(measured):
    out, metrics = measured
    assert json.loads((out / "metrics.json").read_text("utf-8")) == json.loads(json.dumps(metrics))
    assert metrics["row"]["dataset"] == "folder"
    assert metrics["oracle"] is False
    assert metrics["published"] is None
    assert metrics["train_images"] == 7
    assert metrics["size"] == 64
    assert metrics["failures"] == 0
    assert {"torch", "python"} <= metrics["versions"].keys()
    assert {"proposals", "fit", "label maps", "scores"} <= metrics["seconds"].keys()
    assert set(metrics["selection"]) == {"0", "1"}
    assert metrics["selection"]["0"]["step"] == 8
    assert "PriMaPs-EM, texture, folder" in (out / "row.md").read_text("utf-8")


# ---- selection -----------------------------------------------------------------------------------


def shared_store(measured, tmp_path):
    """A copy of the features, so that only what is tested is computed."""
    return shutil.copytree(measured[0] / "features", tmp_path / "store")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "select"),
    [(PAPER, "agreement"), (PAPER, "oracle"), (ROW, "oracle")],
    ids=lambda x: str(x)[:20],
)
def test_selection_among_the_snapshots(
    measured, measured_on_paper, scenes, texture, tmp_path, row, select
):
    store = shared_store(measured if row is ROW else measured_on_paper, tmp_path)
    metrics, _ = measure_row(
        dataclasses.replace(row, select=select),
        RowPlace(scenes, tmp_path / "row", store=store),
        texture,
    )
    chosen = metrics["selection"]["0"]
    assert chosen["candidates"] == [2, 4, 6, 8]
    best = max(chosen["criterion"])
    assert chosen["step"] == max(
        step
        for step, value in zip(chosen["candidates"], chosen["criterion"], strict=True)
        if value == best
    )
    assert metrics["oracle"] is (select == "oracle")
    for name in ("row.md", "row.tex"):
        assert ("oracle" in (tmp_path / "row" / name).read_text("utf-8")) is (select == "oracle")
    # the fit was found beside the features
    assert "fit" not in metrics["seconds"] or metrics["seconds"]["fit"] < 1


@pytest.mark.slow
def test_labels_change_neither_fit_nor_selection(measured, scenes, texture, tmp_path):
    """All labels of the training and measured images are exchanged; every unsupervised label map
    stays the same.
    """
    root = shutil.copytree(scenes, tmp_path / "scenes")
    for file in (root / "labels").rglob("*.png"):
        wrong = np.random.default_rng(0).integers(0, 3, (60, 80)).astype(np.uint8)
        Image.fromarray(wrong).save(file)
    out = tmp_path / "row"
    measure_row(dataclasses.replace(PAPER, select="agreement"), RowPlace(root, out), texture)
    scrambled = contents(out)
    measure_row(
        dataclasses.replace(PAPER, select="agreement"), RowPlace(scenes, tmp_path / "true"), texture
    )
    true = contents(tmp_path / "true")
    unsupervised = [
        name for name in true if name.startswith("labels/seed-0") or "/snapshots/" in name
    ]
    assert len(unsupervised) > 16
    assert all(scrambled[name] == true[name] for name in unsupervised)
    probes = [name for name in true if "linear-probe" in name]
    assert len(probes) == 1
    assert probes[0] not in scrambled  # named after the labels, too


@pytest.mark.slow
@pytest.mark.parametrize(("row", "scale"), [(ROW, 0.5), (PAPER, 1.0)], ids=["fast", "paper"])
def test_the_crf_of_a_row_works_as_its_preset_says(
    measured, measured_on_paper, scenes, texture, tmp_path, monkeypatch, row, scale
):
    """The label maps of the row, made again of its scores."""
    asked, real = [], label_maps.variant_label_map

    def watched(features, head, picture, side, predict):
        asked.append(predict.crf_scale)
        return real(features, head, picture, side, predict)

    monkeypatch.setattr(label_maps, "variant_label_map", watched)
    out = shutil.copytree((measured if row is ROW else measured_on_paper)[0], tmp_path / "row")
    before = contents(out)
    shutil.rmtree(out / "labels")
    measure_row(
        dataclasses.replace(row, seeds=2 if row is ROW else 1), RowPlace(scenes, out), texture
    )
    assert contents(out) == before
    assert set(asked) == {scale}


# ---- resuming ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_cut_in_every_stage_and_resumed_gives_the_same(
    measured, scenes, texture, tmp_path, cutting
):
    row, out = dataclasses.replace(ROW, seeds=2), tmp_path / "row"
    for stage, step in (
        ("proposals", 3),
        ("measured images", 2),
        ("fit: clusters", 3),
        ("fit: em", 5),
        ("linear probe", 2),
        ("label maps", 2),
        ("scores", 1),
    ):
        with cutting.short():
            measure_row(row, RowPlace(scenes, out), texture, progress=cutting.at(stage, step))
        assert not (out / "metrics.json").exists()
        assert json.loads((out / "run.json").read_text("utf-8"))["status"] == "failed"
    metrics, _ = measure_row(row, RowPlace(scenes, out), texture)
    assert contents(out) == contents(measured[0])
    assert metrics["variants"] == measured[1]["variants"]


def test_a_finished_row_makes_nothing_anew(measured, scenes, texture):
    out, before = measured[0], contents(measured[0])
    times = {file: file.stat().st_mtime_ns for file in (out / "labels").rglob("*.png")}
    metrics, _ = measure_row(dataclasses.replace(ROW, seeds=2), RowPlace(scenes, out), texture)
    assert contents(out) == before
    assert {file: file.stat().st_mtime_ns for file in (out / "labels").rglob("*.png")} == times
    assert metrics["variants"] == measured[1]["variants"]


@pytest.mark.slow
def test_damaged_or_missing_label_maps_are_made_again(measured, scenes, texture, tmp_path):
    out = shutil.copytree(measured[0], tmp_path / "row")
    (out / "labels" / "seed-0" / "teacher" / "scene20.png.png").write_bytes(b"")
    (out / "labels" / "seed-1" / "student+crf" / "scene21.png.png").unlink()
    measure_row(dataclasses.replace(ROW, seeds=2), RowPlace(scenes, out), texture)
    labels = {
        name: digest for name, digest in contents(measured[0]).items() if name.startswith("labels")
    }
    assert labels.items() <= contents(out).items()


# ---- what can go wrong ---------------------------------------------------------------------------


def test_other_settings_need_another_folder(measured, scenes, texture):
    with pytest.raises(ConfigError, match=r"benchmark.select: 'last' -> 'oracle'"):
        measure_row(
            dataclasses.replace(ROW, select="oracle"), RowPlace(scenes, measured[0]), texture
        )
    assert (measured[0] / "metrics.json").exists()
    with pytest.raises(ConfigError, match="--store to be another folder"):
        measure_row(
            dataclasses.replace(ROW, seeds=2),
            RowPlace(scenes, measured[0], store=measured[0]),
            texture,
        )


@pytest.mark.slow
def test_a_row_that_is_being_overwritten_is_not_finished(
    scenes, texture, tmp_path, measured, cutting
):
    out = shutil.copytree(measured[0], tmp_path / "row")
    row = dataclasses.replace(ROW, seeds=2, select="oracle")
    with cutting.short():
        measure_row(
            row,
            RowPlace(scenes, out, overwrite=True),
            texture,
            progress=cutting.at("select: oracle", 1),
        )
    assert not (out / "metrics.json").exists()
    metrics, _ = measure_row(row, RowPlace(scenes, out, overwrite=True), texture)
    assert metrics["selection"]["0"]["select"] == "oracle"
    assert (out / "metrics.json").exists()


def test_an_unreadable_image_is_reported_and_skipped(scenes, texture, tmp_path, measured):
    root = shutil.copytree(scenes, tmp_path / "scenes")
    for split, name in (("train", "scene3.png"), ("val", "scene21.png")):
        (root / "images" / split / name).write_bytes(b"no picture")
    metrics, run = measure_row(ROW, RowPlace(root, tmp_path / "row"), texture)
    assert sorted(failure.path.rsplit("/", 1)[1] for failure in run.failures) == [
        "scene21.png",
        "scene3.png",
    ]
    assert metrics["failures"] == 2
    assert len((tmp_path / "row" / "failures.jsonl").read_text("ascii").splitlines()) == 2
    assert metrics["train_images"] == 6
    assert metrics["variants"]["teacher"]["seeds"]["0"]["n_images"] == 3


def damage(root, split, name, kind):
    """Make a label image unusable."""
    file = root / "labels" / split / name
    if kind == "no picture":
        file.write_bytes(b"no picture")
    else:
        wrong = (
            np.full((60, 80), 77, np.uint8) if kind == "unknown id" else np.zeros((9, 9), np.uint8)
        )
        Image.fromarray(wrong).save(file)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["no picture", "unknown id", "other size"])
def test_bad_labels_are_reported_and_skipped(scenes, texture, tmp_path, measured, kind):
    root = shutil.copytree(scenes, tmp_path / "scenes")
    damage(root, "train", "scene3.png", kind)
    damage(root, "val", "scene21.png", kind)
    metrics, run = measure_row(
        ROW, RowPlace(root, tmp_path / "row", store=shared_store(measured, tmp_path)), texture
    )
    assert [failure.path.rsplit("/", 1)[1] for failure in run.failures] == [
        "scene3.png",
        "scene21.png",
    ]
    assert all("labels" in failure.reason for failure in run.failures)
    assert metrics["train_images"] == 7  # a fit needs no labels
    assert {
        name: entry["seeds"].popitem()[1]["n_images"] for name, entry in metrics["variants"].items()
    } == dict.fromkeys(metrics["variants"], 3)


def test_no_usable_label_at_all(scenes, texture, tmp_path, measured):
    root, store = shutil.copytree(scenes, tmp_path / "scenes"), shared_store(measured, tmp_path)
    for number in range(20, 24):
        damage(root, "val", f"scene{number}.png", "unknown id")
    for select in ("last", "oracle"):
        with pytest.raises(DatasetError, match="all 4 inputs failed"):
            measure_row(
                dataclasses.replace(ROW, select=select),
                RowPlace(root, tmp_path / select, store=store),
                texture,
            )
    for number in range(7):
        damage(root, "train", f"scene{number}.png", "no picture")
    with pytest.raises(DatasetError, match="all 7 inputs failed"):
        measure_row(ROW, RowPlace(root, tmp_path / "probe", store=store), texture)


def test_a_bad_label_changes_no_fit_and_is_reported_once(scenes, texture, tmp_path):
    root = shutil.copytree(scenes, tmp_path / "scenes")
    damage(root, "val", "scene21.png", "no picture")
    row = dataclasses.replace(ROW, train_split="val", select="oracle", seeds=2, method="baseline")
    metrics, run = measure_row(row, RowPlace(root, tmp_path / "row"), texture)
    named = [failure.path.rsplit("/", 1)[1] for failure in run.failures]
    fitted = [
        json.loads((Path(folder) / "model.json").read_text("utf-8"))["settings"]["images"]
        for folder in metrics["models"].values()
    ]
    assert (fitted, named) == ([4, 4], ["scene21.png"])


def test_features_that_cannot_be_stored_are_those_of_one_bad_image(
    scenes, texture, tmp_path, measured, monkeypatch
):
    spoiled, forward = [], type(texture).forward

    def spoil(self, batch):
        features = forward(self, batch)
        if not spoiled:
            spoiled.append(True)
            features = features / 0
        return features

    store = shared_store(measured, tmp_path)
    (store / "measured" / "val" / "scene22.png.safetensors").unlink()
    monkeypatch.setattr(type(texture), "forward", spoil)
    metrics, run = measure_row(
        dataclasses.replace(ROW, method="baseline"),
        RowPlace(scenes, tmp_path / "row", store=store),
        texture,
    )
    assert [
        (failure.path.rsplit("/", 1)[1], "finite" in failure.reason) for failure in run.failures
    ] == [("scene22.png", True)]
    assert metrics["variants"]["teacher"]["seeds"]["0"]["n_images"] == 3


def test_seconds_are_those_of_this_row(scenes, texture, tmp_path, measured):
    store = shared_store(measured, tmp_path)
    metrics, _ = measure_row(ROW, RowPlace(scenes, tmp_path / "row", store=store), texture)
    assert not {"proposals", "measured images"} & metrics["seconds"].keys()  # found in the store
    assert {"proposals", "measured images"} <= measured[1]["seconds"].keys()
    assert {"label maps", "scores"} <= metrics["seconds"].keys()


class Intruding(Silent):
    """Progress that tries to work in a folder from another process during some stages."""

    def __init__(self, folder):
        self.folder, self.answers = folder, {}

    def start(self, stage, total, done=0):
        if stage in ("fit", "linear probe", "label maps"):
            code = (
                "import pathlib, sys; from primaps.runs.store import hold;"
                " hold(pathlib.Path(sys.argv[1]))"
            )
            done = subprocess.run(
                [sys.executable, "-c", code, str(self.folder)],
                capture_output=True,
                text=True,
                check=False,
            )
            self.answers[stage] = "another one is" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked on Windows")
def test_the_store_is_held_for_the_whole_row(scenes, texture, tmp_path, measured):
    intruding = Intruding(shared_store(measured, tmp_path))
    measure_row(
        ROW, RowPlace(scenes, tmp_path / "row", store=intruding.folder), texture, progress=intruding
    )
    assert intruding.answers == {"fit": True, "linear probe": True, "label maps": True}


@pytest.mark.slow
def test_published_scores_stand_beside_the_same_protocol_only(
    scenes, texture, tmp_path, measured, monkeypatch
):
    monkeypatch.setattr(protocol, "SIZES", (64,))
    monkeypatch.setattr(measure, "published", lambda *cell: (50.0, 25.0))
    row, store = dataclasses.replace(ROW, method="baseline"), shared_store(measured, tmp_path)
    metrics, _ = measure_row(row, RowPlace(scenes, tmp_path / "row", store=store), texture)
    assert metrics["published"]["miou"] == 0.25
    metrics, _ = measure_row(
        dataclasses.replace(row, split="train"),
        RowPlace(scenes, tmp_path / "other", store=store),
        texture,
    )
    assert metrics["published"] is None
    assert "measured on train" in (tmp_path / "other" / "row.md").read_text("utf-8")


def test_a_trial_takes_a_part_of_the_images(scenes, texture, tmp_path, measured):
    row = dataclasses.replace(ROW, limit=2, method="baseline")
    metrics, _ = measure_row(
        row, RowPlace(scenes, tmp_path / "row", store=shared_store(measured, tmp_path)), texture
    )
    assert metrics["train_images"] == 2
    assert metrics["variants"]["teacher"]["seeds"]["0"]["n_images"] == 2
    assert "trial" in (tmp_path / "row" / "row.md").read_text("utf-8")


def test_missing_folder_split_and_classes(scenes, texture, tmp_path):
    with pytest.raises(ConfigError, match="--root to be the folder"):
        measure_row(ROW, RowPlace(tmp_path / "nowhere", tmp_path / "row"), texture)
    with pytest.raises(DatasetError, match="no split 'validation'"):
        measure_row(
            dataclasses.replace(ROW, split="validation"),
            RowPlace(scenes, tmp_path / "row"),
            texture,
        )
    root = draw_scenes(tmp_path / "unnamed", {"train": [0], "val": [20]})
    (root / "classes.txt").unlink()
    Image.fromarray(np.zeros((60, 80), dtype=np.uint8)).save(
        root / "labels" / "train" / "scene0.png"
    )
    with pytest.raises(DatasetError, match="train has 1 and val has 3"):
        measure_row(ROW, RowPlace(root, tmp_path / "row"), texture)
    assert not (tmp_path / "row").exists()


def test_preset_paper_frames_measured_images_without_antialiasing(scenes, texture, tmp_path):
    row = dataclasses.replace(
        ROW, preset="paper", method="baseline", limit=2, fit={**STEPS, "pixels_per_image": None}
    )
    metrics, _ = measure_row(row, RowPlace(scenes, tmp_path / "row"), texture)
    assert metrics["settings"]["protocol"] == {"interpolation": "tensor"}
    store = tmp_path / "row" / "features" / "measured" / "val"
    stored = load_file(store / "scene20.png.safetensors")["features"]
    from primaps.data.framing import crop_values

    with Image.open(scenes / "images" / "val" / "scene20.png") as image:
        values = crop_values(np.asarray(image), "tensor", 64)
    normalised = (values - values.new_tensor(texture.mean)[:, None, None]) / values.new_tensor(
        texture.std
    )[:, None, None]
    assert np.allclose(
        stored[0].float(), texture.forward(normalised[None])[0].half().float(), atol=1e-3
    )
    assert stored.shape[0] == 2


@pytest.mark.slow
@pytest.mark.parametrize("method", ["baseline", "em"])
@pytest.mark.parametrize(
    ("name", "num_classes"), [("cityscapes", 27), ("cocostuff", 27), ("potsdam", 3)]
)
def test_the_data_sets_of_the_paper(trees, texture, tmp_path, name, num_classes, method):
    root = getattr(trees, f"write_{name}")(tmp_path / name)
    fit = {"baseline_epochs": 2, "epochs": 2, "kmeans_epochs": 1}
    row = dataclasses.replace(ROW, dataset=name, preset="paper", method=method, size=40, fit=fit)
    metrics, run = measure_row(row, RowPlace(root, tmp_path / "row"), texture)
    assert not run.failures
    assert metrics["num_clusters"] == metrics["num_classes"] == num_classes
    scores = metrics["variants"]["teacher+crf"]["seeds"]["0"]
    assert scores["n_images"] == 2
    assert 0 < scores["accuracy"] <= 1
    assert len(scores["per_class_iou"]) == num_classes
    assert list(metrics["variants"])[2:4] == (
        ["student", "student+crf"] if method == "em" else ["linear", "linear+crf"]
    )
    absent = [value for value in scores["per_class_iou"].values() if value is None]
    # of the drawn classes few occur; empty clusters stand for the others
    assert len(absent) >= num_classes - 15


def test_a_row_on_top_of_a_head(trees, texture_head, tmp_path):
    backbone = load_backbone("texture", device="cpu", head=texture_head)
    root = trees.write_potsdam(tmp_path / "potsdam")
    row = dataclasses.replace(ROW, dataset="potsdam", size=40)
    metrics, _ = measure_row(row, RowPlace(root, tmp_path / "row"), backbone)
    assert metrics["head"] == "stego"
    assert metrics["settings"]["fit"]["initialise"] == "head"
    assert "PriMaPs-EM on STEGO" in (tmp_path / "row" / "row.md").read_text("utf-8")
    with pytest.raises(ConfigError, match="the head has cluster centres, 3, but got 5"):
        measure_row(
            dataclasses.replace(row, clusters=5), RowPlace(root, tmp_path / "other"), backbone
        )


def test_a_head_alone_is_measured_by_its_cluster_centres(trees, texture_head, tmp_path):
    """Against twice the cosines of upsampled codes, computed here; beside EM from the same
    store.
    """
    backbone = load_backbone("texture", device="cpu", head=texture_head)
    root = trees.write_potsdam(tmp_path / "potsdam")
    row = dataclasses.replace(ROW, dataset="potsdam", size=40, method="head", head="stego")
    out = tmp_path / "alone"
    metrics, _ = measure_row(row, RowPlace(root, out, store=tmp_path / "store"), backbone)
    assert list(metrics["variants"]) == ["teacher", "teacher+crf", "linear", "linear+crf"]
    assert metrics["models"] == {}
    assert metrics["selection"]["0"]["step"] == 0
    assert not list((tmp_path / "store").rglob("model.json"))
    assert set(metrics["record"]["0"]) == {"confusion", "panels"}
    assert "STEGO alone, texture, Potsdam-3" in (out / "row.md").read_text("utf-8")
    files = sorted((tmp_path / "store" / "measured" / "val").glob("*.safetensors"))
    assert len(files) == 2
    centres = torch.nn.functional.normalize(backbone.head.centres, dim=1)
    for file in files:
        plain, mirrored = load_file(file)["features"].float()
        codes = torch.nn.functional.interpolate(
            ((plain + mirrored.flip(-1)) / 2)[None], size=(40, 40), mode="bilinear"
        )[0]
        scores = 2 * torch.einsum(
            "kd,dhw->khw", centres, torch.nn.functional.normalize(codes, dim=0)
        )
        found = np.asarray(
            Image.open(
                out
                / "labels"
                / "seed-0"
                / "teacher"
                / f"{file.name.removesuffix('.safetensors')}.png"
            )
        )
        assert (found == scores.argmax(0).numpy()).mean() > 0.999
        torch.testing.assert_close(
            pixel_scores((plain + mirrored.flip(-1)) / 2, alone(centres), (40, 40)), scores
        )
    em, _ = measure_row(
        dataclasses.replace(row, method="em"),
        RowPlace(root, tmp_path / "em", store=tmp_path / "store"),
        backbone,
    )
    assert "proposals" not in em["seconds"]
    assert em["variants"]["linear"] == metrics["variants"]["linear"]


def alone(centres):
    return Head("teacher", 0, head_alone(centres * 7).snapshot.teacher, cosine=True)


def test_a_backbone_without_the_head_of_the_row_is_refused(trees, texture, tmp_path):
    root = trees.write_potsdam(tmp_path / "potsdam")
    with pytest.raises(ConfigError, match="but it carries no head"):
        measure_row(
            dataclasses.replace(ROW, dataset="potsdam", size=40, head="hp"),
            RowPlace(root, tmp_path / "row"),
            texture,
        )
    assert not (tmp_path / "row").exists()
