import shutil

import numpy as np
import pytest

import primaps as pm
from primaps.outputs.label_files import read_label_image
from primaps.pipeline.class_overview import class_report, class_rows, labelled_files, listed_images
from primaps.pipeline.classes import ClassChanges, clusters_of
from primaps.pipeline.named_labels import correct
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import RunFolder

NAMES = ["0.png", "2.png", "sub/1.png", "sub/3.png"]


def test_shares_and_examples_are_those_of_the_label_maps(named_run):
    pm.classes(named_run, merge={(1, 2): "wall"}, ignore=[0])
    rows, counts = class_rows(named_run)
    maps = {name: read_label_image(named_run / "labels" / f"{name}.png") for name in NAMES}
    shares = {name: np.isin(ids, (1, 2)).mean() for name, ids in maps.items()}
    wall = next(row for row in rows if row.entry.name == "wall")
    assert wall.share == pytest.approx(np.mean(list(shares.values())))
    best = sorted(shares, key=lambda name: -shares[name])[:2]
    assert [path.name for path in wall.examples] == [name.split("/")[-1] for name in best]
    assert all(path.is_file() for path in wall.examples)
    ignored = next(row for row in rows if row.entry.ignore)
    assert ignored.share == pytest.approx(np.mean([(ids == 0).mean() for ids in maps.values()]))
    assert sum(row.share for row in rows) == pytest.approx(1.0)
    assert all(0 < row.certainty < 1 for row in rows if row.share)
    assert counts.bound == 0


def test_the_report_tells_what_is_out_of_the_ordinary(named_run):
    correct(named_run, [("0.png", 1, 3)])
    path = named_run / "classes.yaml"
    path.write_text(path.read_text().replace("clusters: [2]", "clusters: []"))
    text = class_report(named_run, ClassChanges(names=[(3, "road")]))
    assert "road" in text
    assert "Clusters of no class, which count as unlabelled: 2." in text
    assert "Corrections: 1 in force" in text


def test_a_model_alone_has_no_shares(named_run, tmp_path):
    shutil.copytree(named_run / "model", tmp_path / "alone")
    rows, _ = class_rows(tmp_path / "alone")
    assert [row.share for row in rows] == [None] * 4


def test_images_are_listed_or_found(named_run):
    files = RunFolder(named_run)
    model = clusters_of(NamedFolder.find(named_run)).model
    assert [image.name for image in labelled_files(files, model)] == NAMES
    assert labelled_files(files, "another") == []
    shutil.rmtree(named_run / "store")
    assert [image.name for image in listed_images(files)] == NAMES
    assert listed_images(files)[0].path == named_run / "labels" / "0.png.png"
