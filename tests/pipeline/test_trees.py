import json

import pytest

from primaps import pipeline
from primaps.errors import CheckpointError, ConfigError
from primaps.naming.class_tree import tree_from_record
from primaps.pipeline.class_overview import class_report
from primaps.pipeline.classes import ClassChanges, classes, read_classes
from primaps.pipeline.trees import cluster_titles, keep_tree, read_tree, tree_of
from primaps.runs.model import Model


def test_every_run_keeps_its_tree(finished_run):
    model = Model.load(finished_run)
    record = json.loads((finished_run / "model" / "tree.json").read_text())
    assert tree_from_record(record, model.fingerprint).cut(2) == tree_of(model).cut(2)
    assert record["num_clusters"] == 4
    assert len(record["merges"]) == 3


def test_where_none_is_kept_it_is_made_from_the_model(named_run):
    path = named_run / "model" / "tree.json"
    kept = read_tree(named_run)
    path.unlink()
    assert read_tree(named_run / "model").cut(3) == kept.cut(3)
    assert not path.exists()
    keep_tree(Model.load(named_run), named_run / "model")
    assert read_tree(named_run).cut(3) == kept.cut(3)


def test_a_tree_of_another_model_or_a_damaged_one_is_made_anew(named_run):
    path, model = named_run / "model" / "tree.json", Model.load(named_run)
    record = json.loads(path.read_text())
    for other in ({**record, "model": "other"}, {**record, "merges": []}):
        path.write_text(json.dumps(other))
        keep_tree(model, named_run / "model")
        assert json.loads(path.read_text()) == record
    path.write_text(json.dumps({**record, "merges": []}))
    with pytest.raises(CheckpointError, match="Delete the file"):
        read_tree(named_run)


def test_label_maps_alone_have_no_tree(finished_run, tmp_path, texture):
    model = Model.load(finished_run)
    run = pipeline.reopen(finished_run, {}, device="cpu")
    out = tmp_path / "out"
    pipeline.predict_from_store(run, out, finished_run / "model")
    assert model.num_clusters == 4
    assert read_tree(out) is None
    with pytest.raises(ConfigError, match="label maps only"):
        classes(out, cut=2)
    assert "Coarser" not in class_report(out, ClassChanges())


def test_clusters_are_called_by_number_and_name(named_run):
    table = classes(named_run, name={2: "road"})
    assert cluster_titles(table) == ["0", "1", "2 road", "3"]


def test_a_cut_goes_coarse_and_fine(named_run):
    before = read_classes(named_run)
    coarse = classes(named_run, cut=2)
    assert [each.clusters for each in coarse.classes] == list(read_tree(named_run).cut(2))
    assert classes(named_run, cut=4) == before
    assert len(classes(named_run, cut=3).classes) == 3
    assert len(list((named_run / "classes-history").glob("*.yaml"))) == 4


def test_a_cut_that_does_not_fit_changes_nothing(named_run):
    pair = next(each for each in read_tree(named_run).cut(3) if len(each) == 2)
    classes(named_run, name={pair[0]: "sky", pair[1]: "sea"})
    text = (named_run / "classes.yaml").read_text()
    with pytest.raises(ConfigError, match="sky and sea would become one class"):
        classes(named_run, cut=3)
    with pytest.raises(ConfigError, match=r"at most 4 classes.*primaps fit RUN --classes 9"):
        classes(named_run, cut=9)
    with pytest.raises(ConfigError, match="1 or more"):
        classes(named_run, cut=0)
    assert (named_run / "classes.yaml").read_text() == text
    assert len(classes(named_run, cut=3, reset=True).classes) == 3


def test_the_table_tells_coarser_cuts_in_words(named_run):
    classes(named_run, name={1: "sky"})
    lines = class_report(named_run, ClassChanges()).splitlines()
    start = lines.index("Coarser, by the tree of the clusters:")
    assert [line.split()[:2] for line in lines[start + 1 :]] == [["--cut", "2"], ["--cut", "3"]]
    assert all("1 sky" in line and "|" in line for line in lines[start + 1 :])
