import json

import numpy as np
import pytest
from PIL import Image

import primaps as pm
from primaps.errors import ConfigError
from primaps.outputs.label_files import read_label_image, read_png_info, write_proposals
from primaps.pipeline.named_labels import (
    NamedLabels,
    correct,
    count_corrections,
    read_corrections,
    undo_correction,
)


def proposals(run, image="0.png"):
    return read_label_image(run / "proposals" / f"{image}.png")


def replace_proposals(run, ids, image="0.png"):
    path = run / "proposals" / f"{image}.png"
    write_proposals(path, ids, read_png_info(path))


def test_names_and_corrections_are_applied(named_run):
    pm.classes(named_run, merge={(1, 2): "wall"}, ignore=[0])
    correct(named_run, [("0.png", 1, 3)])
    labels = NamedLabels(named_run)
    clusters = read_label_image(named_run / "labels" / "0.png.png")
    expected = np.array([255, 1, 1, 3])[clusters]
    expected[proposals(named_run) == 1] = 3
    np.testing.assert_array_equal(labels.read("0.png"), expected)
    small = labels.read("0.png", (24, 32))
    assert small.shape == (24, 32)
    counts = labels.pixels(["0.png", "2.png"])
    np.testing.assert_array_equal(counts[0], np.bincount(expected.ravel(), minlength=256))
    plain = np.array([255, 1, 1, 3])[read_label_image(named_run / "labels" / "2.png.png")]
    np.testing.assert_array_equal(counts[1], np.bincount(plain.ravel(), minlength=256))


def test_label_maps_themselves_stay(named_run):
    before = {path: path.read_bytes() for path in (named_run / "labels").rglob("*.png")}
    pm.classes(named_run, merge={(1, 2): "wall"})
    correct(named_run, [("0.png", 1, "wall")])
    NamedLabels(named_run).read("0.png")
    assert {path: path.read_bytes() for path in before} == before


def test_corrections_are_taken_back_one_by_one(named_run):
    made = correct(named_run, [("0.png", 1, 3), ("sub/1.png", 1, 255)])
    assert [each.id for each in made] == [1, 2]
    assert undo_correction(named_run).undoes == 2
    assert undo_correction(named_run).undoes == 1
    assert read_corrections(named_run).active() == ()
    undo_correction(named_run, 4)
    assert read_corrections(named_run).active() == (made[0],)
    with pytest.raises(ConfigError, match=r"1\.\.5"):
        undo_correction(named_run, 17)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (("0.png", 999, 3), "proposal that exists"),
        (("7.png", 1, 3), "image of the run"),
        (("../0.png", 1, 3), "image of the run"),
        (("0.png", 1, "raod"), "Expected the id or name"),
    ],
)
def test_what_does_not_fit_is_refused_as_a_whole(named_run, said, message):
    with pytest.raises(ConfigError, match=message):
        correct(named_run, [("0.png", 1, 3), said])
    assert not (named_run / "corrections.jsonl").exists()


def test_corrections_are_found_again_or_sleep(named_run):
    correct(named_run, [("0.png", 1, 3), ("sub/1.png", 1, 2), ("2.png", 1, 2)])
    before = (named_run / "corrections.jsonl").read_bytes()
    ids = proposals(named_run)
    replace_proposals(named_run, np.where(ids == 1, 9, 0))
    replace_proposals(named_run, np.zeros_like(proposals(named_run, "sub/1.png")), "sub/1.png")
    labels = NamedLabels(named_run)
    assert labels.binding("0.png").classes == {9: 3}
    counts = count_corrections(labels)
    assert counts.bound == 1
    assert counts.rebound == ("proposal 1 of 0.png is now 9 (overlap 1.00)",)
    assert [line.split(":")[0] for line in counts.asleep] == ["proposal 1 of sub/1.png"]
    assert (named_run / "corrections.jsonl").read_bytes() == before


def test_corrections_of_photographs_that_left_sleep(named_run):
    correct(named_run, [("0.png", 1, 3)])
    manifest = named_run / "store" / "manifest.json"
    record = json.loads(manifest.read_text())
    del record["images"]["0.png"]
    manifest.write_text(json.dumps(record))
    counts = count_corrections(NamedLabels(named_run))
    assert counts.asleep == ("proposal 1 of 0.png: the photograph is not in the run",)
    assert NamedLabels(named_run).binding("0.png").classes == {}


def test_a_proposal_that_does_not_exist_is_named_with_its_line(named_run):
    line = '{"id": 1, "image": "0.png", "proposal": 99, "class": 1}\n'
    (named_run / "corrections.jsonl").write_text("\n" + line)
    with pytest.raises(ConfigError, match=r"corrections\.jsonl, line 2: .*no proposal 99"):
        count_corrections(NamedLabels(named_run))


def test_an_unknown_class_is_named_with_its_line(named_run):
    line = '{"id": 1, "image": "0.png", "proposal": 1, "class": "car"}\n'
    (named_run / "corrections.jsonl").write_text(line)
    with pytest.raises(ConfigError, match=r"corrections\.jsonl, line 1: .*'car'"):
        NamedLabels(named_run)


def test_colours_are_those_of_the_classes(named_run):
    pm.classes(named_run, colour={2: "#010203"})
    colours = NamedLabels(named_run).colours()
    assert colours[2].tolist() == [1, 2, 3]
    with Image.open(named_run / "labels" / "0.png.png") as picture:
        assert picture.getpalette()[:6] == colours[:2].ravel().tolist()
