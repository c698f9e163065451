import json
import multiprocessing
import sys

import pytest

import primaps as pm
from primaps.data import camvid
from primaps.errors import CheckpointError, ConfigError
from primaps.naming.table import find_class, fresh_table
from primaps.pipeline.classes import (
    ClassChanges,
    Clusters,
    clusters_of,
    copy_classes,
    default_colours,
    edit_classes,
    known_classes,
    read_classes,
    save_classes,
)
from primaps.pipeline.named_labels import correct, read_corrections
from primaps.runs.named_files import NamedFolder


def files(root):
    """What a person typed, by path."""
    paths = [root / "classes.yaml", root / "corrections.jsonl", *root.glob("classes-history/*")]
    return {path: path.read_bytes() for path in paths if path.exists()}


def test_segment_makes_names_for_its_clusters(named_run):
    text = (named_run / "classes.yaml").read_text()
    assert read_classes(named_run) == fresh_table(4, default_colours())
    assert (named_run / "model" / "classes.yaml").read_text() == text
    assert json.loads((named_run / "model" / "model.json").read_text())["fingerprint"] in text


def test_runs_of_earlier_versions_get_names(named_run):
    (named_run / "classes.yaml").unlink()
    assert read_classes(named_run) == fresh_table(4, default_colours())
    assert not (named_run / "classes.yaml").exists()
    assert pm.classes(named_run) == fresh_table(4, default_colours())
    assert (named_run / "classes.yaml").exists()


def test_everything_is_changed_in_one_go(named_run):
    table = pm.classes(
        named_run,
        dataset="camvid",
        merge={(1, 2): "building"},
        name={3: "road"},
        ignore=[0],
        colour={"road": "#010203"},
    )
    assert find_class(table, "road").clusters == (3,)
    assert find_class(table, "road").colour == (1, 2, 3)
    assert find_class(table, "building").clusters == (1, 2)
    assert find_class(table, "building").colour == (128, 0, 0)
    assert find_class(table, "sky").clusters == ()
    assert table.cluster_to_class()[0] == 255
    assert pm.classes(named_run / "model", unignore=[0]) == read_classes(named_run)
    assert read_classes(named_run).cluster_to_class()[0] == 0


def test_reset_keeps_the_former_names_in_the_history(named_run):
    pm.classes(named_run, name={1: "road"})
    assert pm.classes(named_run, reset=True) == fresh_table(4, default_colours())
    assert any("road" in path.read_text() for path in named_run.glob("classes-history/*"))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": {9: "road"}},
        {"name": {1: "road", 2: "road"}},
        {"name": {1: "road"}, "colour": {1: "red"}},
        {"name": {1: "road"}, "dataset": "camvit"},
        {"name": {1: "road"}, "dataset": "folder"},
        {"merge": {(1, 7): "x"}},
    ],
)
def test_what_is_refused_changes_nothing(named_run, changes):
    pm.classes(named_run, name={0: "sky"})
    before = files(named_run)
    with pytest.raises(ConfigError):
        pm.classes(named_run, **changes)
    assert files(named_run) == before


@pytest.mark.parametrize("text", ["classes: [", "num_clusters: 5", "classes: {1: {name: 3}}"])
def test_mistakes_are_refused_and_kept(named_run, text):
    (named_run / "classes.yaml").write_text(text)
    before = files(named_run)
    for attempt in (read_classes, lambda root: pm.classes(root, name={0: "sky"})):
        with pytest.raises(ConfigError, match=r"classes\.yaml"):
            attempt(named_run)
    assert files(named_run) == before


def test_names_for_another_model_are_refused(named_run):
    text = (named_run / "classes.yaml").read_text()
    (named_run / "classes.yaml").write_text(text.replace('model: "', 'model: "x'))
    with pytest.raises(ConfigError, match="carries names over"):
        pm.classes(named_run, name={0: "sky"})
    # without saying so they are for whatever is there
    unsaid = "".join(line for line in text.splitlines(True) if "model:" not in line)
    (named_run / "classes.yaml").write_text(unsaid)
    pm.classes(named_run, name={0: "sky"})


def test_a_folder_without_labels_or_model_is_told(tmp_path):
    (tmp_path / "run.json").write_text('{"format": 1}')
    with pytest.raises(CheckpointError, match="neither yet"):
        pm.classes(tmp_path)


def test_corrections_follow_and_keep_their_classes(named_run):
    correct(named_run, [("0.png", 1, 2)])
    pm.classes(named_run, merge={(1, 2): "wall"})
    assert [each.class_id for each in read_corrections(named_run).active()] == [1]
    pm.classes(named_run, dataset="camvid")
    correct(named_run, [("sub/1.png", 1, "car")])
    table = pm.classes(named_run, reset=True)
    assert find_class(table, "car").clusters == ()
    assert len(table.classes) == 5


def name_often(root, letter):
    for number in range(6):
        edit_classes(root, ClassChanges(names=[("abcd".index(letter), f"{letter}{number}")]))


@pytest.mark.skipif(sys.platform == "win32", reason="locks are not enforced there")
def test_two_at_once_lose_nothing(named_run):
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=name_often, args=(named_run, each)) for each in "abc"]
    for other in others:
        other.start()
    for other in others:
        other.join()
        assert other.exitcode == 0
    assert [each.name for each in read_classes(named_run).classes] == ["a5", "b5", "c5", None]
    versions = [path.read_text() for path in named_run.glob("classes-history/*.yaml")]
    assert len(versions) == 1 + 18
    assert len(set(versions)) == len(versions)


def test_published_classes_are_known():
    assert known_classes("camvid") == dict(camvid.CLASS_COLOURS)
    for dataset, number in (("cityscapes", 27), ("cocostuff", 27), ("potsdam", 3)):
        assert len(known_classes(dataset)) == number


def test_copies_follow_the_model_until_somebody_changes_them(named_run, tmp_path):
    source, clusters = NamedFolder.find(named_run), clusters_of(NamedFolder.find(named_run))
    target = NamedFolder(tmp_path / "out")
    assert copy_classes(source, target, clusters) is None
    pm.classes(named_run, name={0: "sky"})
    assert copy_classes(source, target, clusters) is None
    assert target.read_classes() == source.read_classes()
    target.classes.write_text(target.classes.read_text().replace("sky", "heaven"))
    assert "is kept" in copy_classes(source, target, clusters)
    assert "heaven" in target.read_classes()
    assert "another model" in copy_classes(None, target, Clusters(7, "other"))
    assert "heaven" not in target.read_classes()
    assert any("heaven" in path.read_text() for path in target.history.glob("*"))


def test_saved_names_keep_comments(named_run, tmp_path):
    path = named_run / "classes.yaml"
    path.write_text("# mine\n" + path.read_text())
    table = pm.classes(named_run, name={0: "sky"})
    model = str(clusters_of(NamedFolder.find(named_run)).model)
    save_classes(table, model, named_run, tmp_path / "saved")
    assert (tmp_path / "saved" / "classes.yaml").read_text() == path.read_text()
    save_classes(fresh_table(4, default_colours()), model, None, tmp_path / "saved")
    text = (tmp_path / "saved" / "classes.yaml").read_text()
    assert text.startswith("# mine")
    assert "sky" not in text
