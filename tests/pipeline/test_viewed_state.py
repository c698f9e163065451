import json

import numpy as np
import pytest

import primaps as pm
from primaps import pipeline
from primaps.errors import ConfigError
from primaps.outputs.label_files import read_label_image
from primaps.pipeline.accepting import accept
from primaps.pipeline.named_fit import fit_with_names
from primaps.pipeline.named_labels import NamedLabels, correct, undo_correction
from primaps.pipeline.viewed_state import candidate_records, state_of


def test_a_fresh_folder_has_a_class_per_cluster_and_nothing_said(finished_run):
    state = state_of(finished_run)
    assert json.loads(json.dumps(state)) == state
    assert state["revision"] == 0
    assert state["undo"] is state["redo"] is state["accepted"] is None
    assert state["corrections"] == state["pixels"] == {}
    assert state["asleep"] == state["candidates"] == []
    assert [each["clusters"] for each in state["classes"]] == [[0], [1], [2], [3]]
    assert all(each["name"] is None and not each["ignore"] for each in state["classes"])


def test_classes_are_those_of_the_table(named_run):
    pm.classes(named_run, name={0: "</script>"}, merge={(1, 2): "東京"}, ignore=[3])
    pm.classes(named_run, colour={"東京": "#01ff80"})
    found = {each["id"]: each for each in state_of(named_run)["classes"]}
    assert found[0]["name"] == "</script>"
    assert found[1] == {
        "id": 1,
        "name": "東京",
        "colour": "#01ff80",
        "clusters": [1, 2],
        "ignore": False,
        "note": "",
    }
    assert found[3]["ignore"]


def test_corrected_images_have_exact_pixels(named_run):
    correct(named_run, [("0.png", 1, 3), ("0.png", 2, 255), ("sub/1.png", 1, 0)])
    state = state_of(named_run)
    assert state["corrections"] == {"0.png": {"1": 3, "2": 255}, "sub/1.png": {"1": 0}}
    labels = NamedLabels(named_run)
    for image, pairs in state["pixels"].items():
        counts = np.bincount(labels.read(image).ravel(), minlength=256)
        assert dict(map(tuple, pairs)) == {k: n for k, n in enumerate(counts.tolist()) if n}
    assert state["pixels"].keys() == state["corrections"].keys()
    proposals = read_label_image(named_run / "proposals" / "0.png.png")
    assert dict(map(tuple, state["pixels"]["0.png"]))[255] == (proposals == 2).sum()


def test_what_is_taken_back_is_gone(named_run):
    correct(named_run, [("0.png", 1, 3)])
    undo_correction(named_run)
    state = state_of(named_run)
    assert state["corrections"] == state["pixels"] == {}


def test_corrections_of_photographs_that_left_sleep(named_run):
    correct(named_run, [("0.png", 1, 3)])
    manifest = named_run / "store" / "manifest.json"
    listing = json.loads(manifest.read_text())
    del listing["images"]["0.png"]
    manifest.write_text(json.dumps(listing))
    state = state_of(named_run)
    assert state["corrections"] == {}
    assert state["asleep"] == ["proposal 1 of 0.png: the photograph is not in the run"]


def test_corrections_whose_label_map_is_gone_have_no_pixels(named_run):
    correct(named_run, [("0.png", 1, 3)])
    (named_run / "labels" / "0.png.png").unlink()
    state = state_of(named_run)
    assert state["corrections"] == {"0.png": {"1": 3}}
    assert state["pixels"] == {}


def test_a_mistake_in_the_names_is_told(named_run):
    (named_run / "classes.yaml").write_text("classes: [")
    with pytest.raises(ConfigError, match=r"classes\.yaml"):
        state_of(named_run)


def test_candidates_and_the_accepted_one(named_run):
    correct(named_run, [("0.png", 1, 0), ("0.png", 2, 1)])
    run = pipeline.reopen(named_run, {}, device="cpu")
    candidate = fit_with_names(run)
    assert state_of(named_run)["candidates"] == [
        {"number": 1, "kind": "names", "classes": list(candidate.classes), "clicks": 2}
    ]
    path = named_run / "candidates" / "1" / "candidate.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "kind": "split"}))
    assert candidate_records(named_run)[0]["kind"] == "split"
    assert state_of(named_run)["accepted"] is None
    accept(pipeline.reopen(named_run, {}, device="cpu"), 1)
    assert state_of(named_run)["accepted"] == 1
