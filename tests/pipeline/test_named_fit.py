import pytest
import torch

import primaps as pm
from primaps import pipeline
from primaps.errors import ConfigError
from primaps.outputs.label_files import read_label_image
from primaps.pipeline.candidates import CandidateFolder
from primaps.pipeline.named_fit import fit_with_names, named_table
from primaps.pipeline.named_labels import correct
from primaps.runs.model import Model
from primaps.types import ClassTable, NamedClass


def opened(folder):
    return pipeline.reopen(folder, {})


def name_some(folder):
    """Three classes by clicks, in four photographs of sky, meadow and a red block."""
    pm.classes(folder, dataset="camvid")
    table = {each.name: each.id for each in pm.classes(folder).classes}
    said = []
    for image in ("0.png", "2.png"):
        proposals = read_label_image(folder / "proposals" / f"{image}.png")
        for name, (row, column) in (("sky", (5, 5)), ("tree", (45, 5)), ("car", (5, 60))):
            number = int(proposals[row, column])
            if number and (image, number) not in {each[:2] for each in said}:
                said.append((image, number, table[name]))
    correct(folder, said)
    return said


def test_a_candidate_has_model_label_maps_names_and_report(named_run):
    said = name_some(named_run)
    before = {path: path.read_bytes() for path in (named_run / "labels").rglob("*.png")}
    candidate = fit_with_names(opened(named_run))
    assert candidate.number == 1
    assert candidate.clicks == len(said)
    folder = named_run / "candidates" / "1"
    table = pm.classes(folder)
    classes = [each for each in table.classes if each.clusters]
    assert [each.title for each in classes] == list(candidate.classes)
    assert all(each.clusters == (each.id,) for each in classes)
    colours = {each.name: each.colour for each in pm.classes(named_run).classes}
    assert all(colours[each.name] == each.colour for each in table.classes)
    assert (folder / "report.html").exists()
    assert len(list((folder / "labels").rglob("*.png"))) == 4
    assert {path: path.read_bytes() for path in before} == before
    sky = read_label_image(folder / "labels" / "sub" / "1.png.png")[5, 5]
    assert table.classes[sky].name == "sky"


def test_the_model_is_a_plain_one_and_says_what_it_took(named_run):
    name_some(named_run)
    candidate = fit_with_names(opened(named_run))
    model = Model.load(named_run / "candidates" / "1")
    assert model.fingerprint == candidate.fingerprint
    assert not model.fit.cosine
    assert model.settings["names"]["clicks"] == candidate.clicks
    assert model.num_clusters == len(candidate.classes)
    segmenter = pm.Segmenter.load(named_run / "candidates" / "1", device="cpu")
    assert {each.name for each in segmenter.classes.classes} >= set(candidate.classes)


def test_equal_names_give_equal_models_under_another_number(named_run):
    name_some(named_run)
    first, second = fit_with_names(opened(named_run)), fit_with_names(opened(named_run))
    assert (first.number, second.number) == (1, 2)
    assert first.fingerprint == second.fingerprint
    models = [Model.load(named_run / "candidates" / str(number)) for number in (1, 2)]
    assert torch.equal(models[0].prototypes, models[1].prototypes)


def test_an_unfinished_candidate_is_made_anew(named_run):
    name_some(named_run)
    fit_with_names(opened(named_run))
    (named_run / "candidates" / "1" / "candidate.json").unlink()
    assert fit_with_names(opened(named_run)).number == 1


def test_named_clusters_alone_are_enough(named_run):
    pm.classes(named_run, name={0: "sky", 1: "meadow"})
    assert fit_with_names(opened(named_run)).classes == ("sky", "meadow")


def test_one_class_is_too_few(named_run):
    pm.classes(named_run, name={0: "sky"})
    with pytest.raises(ConfigError, match="Expected two or more classes with names, but got 1"):
        fit_with_names(opened(named_run))
    assert CandidateFolder(named_run).numbers() == []


def test_classes_of_which_nothing_is_said_wait():
    grey = (1, 2, 3)
    table = ClassTable(
        3,
        (
            NamedClass(0, None, grey, (0,)),
            NamedClass(1, "sky", grey, (1,)),
            NamedClass(2, None, grey, (2,)),
            NamedClass(7, "waiting", (9, 9, 9), ()),
            NamedClass(9, "tree", (5, 5, 5), ()),
        ),
    )
    found, moves = named_table(table, [table.classes[1], table.classes[4]])
    assert [(each.id, each.name, each.clusters) for each in found.classes] == [
        (0, "sky", (0,)),
        (1, "tree", (1,)),
        (2, "waiting", ()),
    ]
    assert moves == {1: 0, 9: 1, 7: 2}
