import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from primaps import pipeline
from primaps.outputs.label_files import read_label_image, write_label_map
from primaps.pipeline import overview
from primaps.pipeline.named_labels import NamedLabels
from primaps.pipeline.overview import (
    best_examples,
    evenly,
    labelled_images,
    write_run_report,
)
from primaps.runs.model import Model

PIXELS = hnp.arrays(
    np.int64, st.tuples(st.integers(0, 8), st.integers(1, 5)), elements=st.integers(0, 50)
)


@pytest.fixture
def segmented(photographs, tmp_path, texture, small_config):
    """A finished run and its model."""
    config = dataclasses.replace(
        small_config,
        features=dataclasses.replace(small_config.features, flip=False, photometric_views=0),
        predict=dataclasses.replace(small_config.predict, crf=False),
    )
    run = pipeline.open_run([photographs], tmp_path / "run", texture, config)
    pipeline.segment(run, inputs=[str(photographs)])
    return run, Model.load(run.folder.model)


@pytest.fixture
def written(monkeypatch):
    """The reports that were written, in place of pages."""
    reports = []
    monkeypatch.setattr(overview, "write_report", lambda _, report: reports.append(report))
    return reports


# ---- which pictures ------------------------------------------------------------------------------


def test_best_examples_go_by_share_not_by_size():
    pixels = np.array([[90, 10], [600, 400], [0, 5], [0, 0]])
    assert best_examples(pixels, 4) == [[0, 1], [2, 1, 0]]
    assert best_examples(pixels, 1) == [[0], [2]]


@given(PIXELS, st.integers(1, 4))
def test_best_examples_equal_a_plain_sort(pixels, limit):
    found = best_examples(pixels, limit)
    for cluster, rows in enumerate(found):
        shares = [
            (-counts[cluster] / counts.sum(), row)
            for row, counts in enumerate(pixels)
            if counts[cluster]
        ]
        assert rows == [row for _, row in sorted(shares)[:limit]]
    assert len(found) == pixels.shape[1]


@given(st.integers(0, 3000), st.integers(1, 60))
def test_evenly_spreads_over_the_whole_range(total, limit):
    chosen = evenly(total, limit)
    assert len(chosen) == min(total, limit)
    assert chosen == sorted(set(chosen))
    if total:
        assert chosen[0] == 0
        assert 0 <= chosen[-1] < total
    if len(chosen) > 1:
        steps = np.diff(chosen)
        assert chosen[-1] == total - 1
        assert steps.max() - steps.min() <= 1


# ---- a run ---------------------------------------------------------------------------------------


def test_pixel_counts_equal_those_of_the_decoded_label_maps(segmented):
    run, model = segmented
    images = run.usable_images()
    expected = [
        np.bincount(
            read_label_image(run.folder.labels(image.name)).ravel(), minlength=model.num_clusters
        )
        for image in images
    ]
    labels = NamedLabels(run.folder.root)
    found = labels.pixels([image.name for image in images])
    np.testing.assert_array_equal(found[:, : model.num_clusters], expected)
    assert not found[:, model.num_clusters :].any()
    assert labels.pixels([]).shape == (0, 256)


def test_the_report_counts_every_image_and_pixel(segmented, written):
    run, model = segmented
    write_run_report(run, model, ["photos"])
    (report,) = written
    assert report.total_images == 5
    assert [panel.name for panel in report.images] == [image.name for image in run.images]
    assert sum(entry.share for entry in report.classes) == pytest.approx(1.0)
    assert [entry.id for entry in report.classes] == [0, 1, 2]
    for panel, image in zip(report.images, run.images, strict=True):
        assert panel.num_proposals == run.store.info(image.name).num_masks
    assert report.settings["fit"]["num_clusters"] == 3
    assert report.settings["versions"]["torch"]
    assert report.facts["proposals per photograph"].endswith(
        f"to {run.counts['proposals_per_image']['max']}"
    )


def test_the_report_says_what_the_backbone_was_trained_with(segmented, written, monkeypatch):
    run, model = segmented
    described = dict(run.backbone.describe())
    for name, levels, training in (
        ("texture", None, "no label"),
        ("efficientnet_lite0", "8,16,32", "ImageNet"),
        ("timm:x", "4,8", "see"),
    ):
        monkeypatch.setattr(
            run.backbone,
            "describe",
            lambda named={"name": name, "levels": levels}: {**described, **named},
        )
        write_run_report(run, model, [])
        assert written[-1].training.startswith(training)
        # what is taken anyway need not be said
        assert written[-1].levels == (levels if name.startswith("timm:") else None)


def test_a_class_has_as_many_examples_as_images_at_most_four(segmented, written):
    run, model = segmented
    write_run_report(run, model, [])
    (report,) = written
    for entry in report.classes:
        assert len(entry.examples) == min(entry.num_images, overview.EXAMPLES_PER_CLASS)


def test_only_some_panels_of_a_large_run(segmented, written, monkeypatch):
    run, model = segmented
    monkeypatch.setattr(overview, "MAX_PANELS", 2)
    write_run_report(run, model, [])
    (report,) = written
    assert report.total_images == 5
    assert [panel.name for panel in report.images] == [run.images[0].name, run.images[-1].name]


def test_label_maps_of_another_model_are_left_out_with_notice(segmented, written):
    run, model = segmented
    assert labelled_images(run, model) == (list(run.images), 0)
    other = dataclasses.replace(model, fingerprint="another")
    assert labelled_images(run, other) == ([], 5)
    write_run_report(run, other, [])
    (report,) = written
    assert report.total_images == 0
    assert any(
        "not made with the present model of this folder: 5." in line for line in report.warnings
    )


def test_label_maps_without_a_header_are_left_out_with_notice(segmented, written):
    run, model = segmented
    path = run.folder.labels(run.images[0].name)
    write_label_map(path, read_label_image(path), {})  # as a paint program would save it
    write_run_report(run, model, [])
    (report,) = written
    assert report.total_images == 4
    assert any(
        "not made with the present model of this folder: 1." in line for line in report.warnings
    )


def test_refitting_with_fewer_classes_and_reporting(segmented):
    run, _ = segmented
    again = pipeline.reopen(run.folder.root, {"num_clusters": 2}, device="cpu")
    pipeline.fit_again(again, None, overwrite=True)
    pipeline.report_again(pipeline.reopen(run.folder.root, {}, device="cpu"))
    assert "not made with the present model" in run.folder.report.read_text()


def test_images_without_a_label_map_do_not_count(segmented, written):
    run, model = segmented
    run.folder.labels(run.images[2].name).unlink()
    write_run_report(run, model, [])
    (report,) = written
    assert report.total_images == 4
    assert not any("Label maps" in line for line in report.warnings)


def test_a_photograph_that_is_gone_is_reported(segmented, written):
    run, model = segmented
    gone = run.images[1]
    gone.path.unlink()
    write_run_report(run, model, [])
    (report,) = written
    assert [(failure.path, failure.stage) for failure in report.failures] == [
        (str(gone.path), "report")
    ]
    assert gone.name not in {panel.name for panel in report.images}


def test_dead_classes_are_warned_about(segmented, written):
    run, model = segmented
    usage = model.fit.usage.clone()
    usage[:2] = 0
    usage[2] = 1
    write_run_report(
        run, dataclasses.replace(model, fit=dataclasses.replace(model.fit, usage=usage)), []
    )
    (report,) = written
    assert report.warnings == ["2 of 3 classes own no part of any photograph."]


def test_label_maps_larger_than_the_picture_are_reduced_with_it(segmented, written, monkeypatch):
    run, model = segmented
    monkeypatch.setattr(overview, "PICTURE_PIXELS", 1200)
    write_run_report(run, model, [])
    (report,) = written
    counts = NamedLabels(run.folder.root).pixels([image.name for image in run.images])
    for panel, pixels in zip(report.images, counts, strict=True):
        assert 900 < panel.photo.shape[0] * panel.photo.shape[1] <= 1200
        for cluster, share in panel.classes:
            assert share == pytest.approx(pixels[cluster] / pixels.sum(), abs=0.03)


def test_the_page_is_written(segmented):
    run, model = segmented
    run.folder.report.unlink()
    write_run_report(run, model, ["photos"])
    page = run.folder.report.read_text()
    assert page.count("<html") == 1
    assert json.dumps("p0.png").strip('"') in page
