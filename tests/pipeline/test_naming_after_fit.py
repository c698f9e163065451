import pytest

import primaps as pm
from primaps import pipeline
from primaps.errors import ConfigError
from primaps.naming.table import fresh_table
from primaps.pipeline import naming_after_fit
from primaps.pipeline.classes import default_colours, read_classes
from primaps.pipeline.named_labels import correct
from primaps.progress import Silent
from primaps.runs.model import Model


class Told(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)

    @property
    def about_names(self):
        return [note for note in self.notes if "lusters are new" in note]


@pytest.fixture
def told():
    return Told()


def fit(run, told, model=None, *, overwrite=True, **changes):
    opened = pipeline.reopen(run, changes, device="cpu", progress=told)
    return pipeline.fit_again(opened, model, overwrite=overwrite)


def named(run):
    return {each.name: each for each in read_classes(run).classes if each.name is not None}


def test_the_same_fit_leaves_names_alone(named_run, told):
    pm.classes(named_run, name={0: "sky"})
    text = (named_run / "classes.yaml").read_bytes()
    fit(named_run, told)
    assert (named_run / "classes.yaml").read_bytes() == text
    assert not (named_run / "model" / "named.safetensors").exists()
    assert told.about_names == []


def test_names_go_to_the_clusters_of_another_fit(named_run, told):
    pm.classes(named_run, name={0: "a", 1: "b", 2: "c", 3: "d"}, colour={0: "#010203"})
    (named_run / "classes.yaml").write_text("# mine\n" + (named_run / "classes.yaml").read_text())
    former = Model.load(named_run)
    model = fit(named_run, told, seed=5)
    assert model.fingerprint != former.fingerprint
    text = (named_run / "classes.yaml").read_text()
    assert text.startswith("# mine")
    assert model.fingerprint in text
    assert named(named_run)["a"].colour == (1, 2, 3)
    assert set(named(named_run)) == set("abcd")
    assert sum(len(each.clusters) for each in named(named_run).values()) >= 3
    (note,) = told.about_names
    assert "%)" in note
    assert (named_run / "model" / "classes.yaml").read_text() == text


def test_classes_that_wait_are_asked_for(named_run, told):
    pm.classes(named_run, name={0: "a", 1: "b", 2: "c", 3: "d"})
    fit(named_run, told, num_clusters=2)
    waiting = [name for name, each in named(named_run).items() if not each.clusters]
    assert len(waiting) >= 2
    for name in waiting:
        assert f"--merge CLASS={name}" in told.about_names[0]


def test_names_without_their_model_wait_as_a_whole(named_run, told):
    pm.classes(named_run, name={0: "a"})
    model = (named_run / "model" / "model.json").read_text()
    (named_run / "model" / "model.json").write_text("{}")
    for path in (named_run / "labels").rglob("*.png"):
        path.unlink()
    fit(named_run, told, num_clusters=3)
    assert model != (named_run / "model" / "model.json").read_text()
    assert "nothing could be carried over" in told.about_names[0]
    assert named(named_run)["a"].clusters == ()


def test_label_maps_stand_in_for_lost_prototypes(named_run, told):
    pm.classes(named_run, name={0: "a", 1: "b", 2: "c", 3: "d"})
    (named_run / "model" / "model.json").write_text("{}")
    fit(named_run, told, seed=5)
    assert "Names carried over" in told.about_names[0]
    assert sum(len(each.clusters) for each in named(named_run).values()) >= 3


def test_a_fit_that_was_killed_before_its_names_carries_them_over_later(
    named_run, told, monkeypatch
):
    pm.classes(named_run, name={0: "a", 1: "b", 2: "c", 3: "d"})
    for path in (named_run / "labels").rglob("*.png"):
        path.unlink()

    def killed(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(naming_after_fit, "_settle", killed)
        with pytest.raises(RuntimeError, match="killed"):
            fit(named_run, told, seed=5)
    fit(named_run, told, seed=5)
    assert "Names carried over" in told.about_names[0]
    assert sum(len(each.clusters) for each in named(named_run).values()) >= 3


def test_untouched_classes_are_made_anew_in_silence(named_run, told):
    fit(named_run, told, num_clusters=3)
    assert read_classes(named_run) == fresh_table(3, default_colours())
    assert told.about_names == []


def test_another_model_takes_the_names_of_the_run(named_run, told, tmp_path):
    pm.classes(named_run, name={0: "a", 1: "b", 2: "c", 3: "d"})
    before = (named_run / "classes.yaml").read_bytes()
    fit(named_run, told, tmp_path / "other", num_clusters=6)
    assert set(named(tmp_path / "other")) == set("abcd")
    assert read_classes(tmp_path / "other").num_clusters == 6
    assert (named_run / "classes.yaml").read_bytes() == before


def test_classes_with_corrections_stay(named_run, told):
    correct(named_run, [("0.png", 1, 3)])
    fit(named_run, told, num_clusters=2)
    assert 3 in {each.id for each in read_classes(named_run).classes}


@pytest.mark.parametrize("name", ["classes.yaml", "corrections.jsonl"])
def test_mistakes_are_named_before_the_fit(named_run, told, name):
    model = (named_run / "model" / "model.json").read_bytes()
    (named_run / name).write_text("{")
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        fit(named_run, told, num_clusters=2)
    assert (named_run / name).read_text() == "{"
    assert (named_run / "model" / "model.json").read_bytes() == model


def test_mistakes_made_during_the_fit_cost_nothing(named_run, told, monkeypatch):
    plain = naming_after_fit.fit

    def edited_meanwhile(*arguments, **options):
        model = plain(*arguments, **options)
        (named_run / "classes.yaml").write_text("{")
        return model

    monkeypatch.setattr(naming_after_fit, "fit", edited_meanwhile)
    fit(named_run, told, num_clusters=2)
    assert (named_run / "classes.yaml").read_text() == "{"
    assert any("Names are left as they are" in note for note in told.notes)
