import json

import numpy as np
import pytest

from primaps.pipeline.viewed_facts import (
    backbone_facts,
    curves_record,
    run_facts,
    run_settings,
    run_warnings,
    title_of,
    viewed_tree,
)
from primaps.runs.run import RunFolder
from primaps.types import FitCurves, NumberChoice


def described(**description):
    return {"settings": {"backbone": description}}


@pytest.mark.parametrize(
    ("name", "levels", "training", "told"),
    [
        ("texture", None, "no label", None),
        ("efficientnet_lite0", "8,16,32", "ImageNet", None),
        ("timm:x", "4,8", "see", "4,8"),
        ("my own", None, "not known here", None),
    ],
)
def test_what_the_backbone_was_trained_with(name, levels, training, told):
    found = backbone_facts(described(name=name, levels=levels))
    assert found["name"] == name
    assert found["training"].startswith(training)
    assert found["levels"] == told  # what is taken anyway need not be said


def test_a_head_is_named():
    found = backbone_facts(described(name="texture", head={"kind": "stego"}))
    assert found["name"] == "texture with a head of kind stego"


def test_figures_in_words(finished_run):
    files = RunFolder(finished_run)
    facts = run_facts(files)
    counts = files.record["counts"]["proposals_per_image"]
    assert facts["proposals per photograph"].endswith(f"{counts['min']} to {counts['max']}")
    assert facts["covered by proposals"].endswith("% of the pixels")
    assert facts["similarity threshold"] == f"{files.threshold.value:g}, the backbone's"
    files.record = {}
    assert run_facts(files) == {}


def test_a_calibrated_threshold_tells_its_candidates(finished_run):
    files = RunFolder(finished_run)
    record = json.loads(json.dumps(files.record))
    record["threshold"] |= {
        "source": "calibrated",
        "candidates": [{"threshold": 0.5, "proposals": 9.5, "coverage": 0.75}],
        "sample": ["a.jpg", "b.jpg"],
    }
    files.record = record
    told = run_settings(files, stored=True)["threshold"]
    assert told["sample"] == "a.jpg, b.jpg"
    assert told["candidates"] == {"0.5": "9.5 proposals per photograph, 75% covered"}
    assert run_facts(files)["similarity threshold"].endswith("calibrated on 2 photographs")


def test_label_maps_alone_have_the_settings_of_label_maps(finished_run):
    assert set(run_settings(RunFolder(finished_run), stored=False)) == {
        "backbone",
        "predict",
        "versions",
    }


def test_warnings_count_what_is_empty_and_what_is_left_out():
    assert run_warnings(4, 4, 0) == []
    first, second = run_warnings(4, 2, 7)
    assert first == "Of the 4 classes that were fitted, 2 have no pixel in any label map."
    assert "not made with the present model of this folder: 7. Run" in second


def test_curves_are_plain_numbers():
    curves = FitCurves(
        np.array([0.5, 0.25]), np.array([1, 2]), np.array([[0.5, 0.5], [1, 0]]), np.array([0.1, 1])
    )
    assert curves_record(curves) == {
        "losses": [0.5, 0.25],
        "steps": [1, 2],
        "usage": [[0.5, 0.5], [1.0, 0.0]],
        "agreement": [0.1, 1.0],
    }
    assert curves_record(None) is None


def test_how_the_number_of_classes_came_about(finished_run):
    files = RunFolder(finished_run)
    assert viewed_tree(files)["number"] is None
    files.record = {
        **files.record,
        "number_of_classes": {"value": 4, "curve": [[3, 0.25], [4, 0.5]]},
    }
    assert files.number == NumberChoice(4, ((3, 0.25), (4, 0.5)))
    assert viewed_tree(files)["number"] == {"value": 4, "curve": [[3, 0.25], [4, 0.5]]}


def test_the_title_is_the_name_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert title_of(tmp_path / ".") == title_of(tmp_path) == tmp_path.name
