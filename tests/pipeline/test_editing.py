import contextlib
import json
import shutil
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import primaps as pm
from primaps.errors import ConfigError, OutputError
from primaps.outputs.label_files import read_label_image
from primaps.pipeline.candidates import CandidateFolder
from primaps.pipeline.editing import Editing, Stale
from primaps.pipeline.named_labels import correct, read_corrections
from primaps.runs import named_files, store

IMAGES = ("0.png", "2.png", "sub/1.png")


@pytest.fixture
def editing(named_run):
    return Editing(named_run)


def edit(kind, **values):
    return {"kind": kind, **values}


def names(state):
    return {each["id"]: each["name"] for each in state["classes"]}


def test_a_change_is_on_disk_at_once_and_said_in_words(editing, named_run):
    first = editing.state()
    assert (first["revision"], first["undo"], first["redo"]) == (0, None, None)
    state, made = editing.apply(edit("name", **{"class": 1, "name": "road"}), 0)
    assert made == "Class 1 named road."
    assert (state["revision"], state["undo"], state["redo"]) == (1, "class 1 named road", None)
    assert names(state)[1] == "road"
    assert pm.classes(named_run).classes[1].name == "road"
    state, made = editing.undo(1)
    assert made == "Taken back: class 1 named road."
    assert (state["revision"], state["undo"], state["redo"]) == (2, None, "class 1 named road")
    assert state["classes"] == first["classes"]
    state, made = editing.redo(2)
    assert (made, names(state)[1]) == ("Done again: class 1 named road.", "road")
    assert json.loads(json.dumps(state)) == state


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (edit("merge", classes=[1, 2], name="wall"), "Class 1 and class 2 merged into wall."),
        (edit("ignore", **{"class": 0, "ignore": True}), "Class 0 ignored."),
        (edit("colour", **{"class": 0, "colour": "#010203"}), "Colour of class 0 changed."),
        (edit("note", **{"class": 0, "note": "a note"}), "Note of class 0 changed."),
        (edit("dataset", name="camvid"), "Classes of camvid added."),
        (edit("cut", classes=2), "2 classes by the tree."),
        (
            edit("say", proposals=[["0.png", 1], ["2.png", 1]], **{"class": "door"}),
            "2 proposals said to be door.",
        ),
        (
            edit("say", proposals=[["0.png", 1]], **{"class": None}),
            "1 proposal said to be of no class.",
        ),
    ],
)
def test_every_kind_of_edit_can_be_taken_back_and_done_again(editing, named_run, asked, words):
    pm.classes(named_run)
    correct(named_run, [("sub/1.png", 1, 2)])
    path = named_run / "classes.yaml"
    path.write_text(path.read_text("utf-8") + "# mine\n", encoding="utf-8")
    first = editing.state()
    after, made = editing.apply(asked, first["revision"])
    assert made == words
    assert "# mine" in path.read_text("utf-8")
    back, _ = editing.undo(after["revision"])
    for key in ("classes", "corrections", "pixels"):
        assert back[key] == first[key]
    assert path.read_text("utf-8").endswith("# mine\n")
    again, _ = Editing(named_run).redo(back["revision"])  # another process would do as well
    for key in ("classes", "corrections", "pixels"):
        assert again[key] == after[key]


def test_reset_takes_names_away(editing):
    state, _ = editing.apply(edit("name", **{"class": 1, "name": "road"}), editing.revision())
    state, made = editing.apply(edit("reset"), state["revision"])
    assert made == "All names taken away."
    assert set(names(state).values()) == {None}


def test_a_name_that_does_not_exist_makes_the_class_in_the_same_step(editing):
    asked = edit("say", proposals=[["0.png", 1]], **{"class": "door"})
    state, _ = editing.apply(asked, editing.revision())
    made = next(each for each in state["classes"] if each["name"] == "door")
    assert (made["id"], made["clusters"]) == (4, [])
    assert state["corrections"] == {"0.png": {"1": 4}}
    assert [4, sum(n for c, n in state["pixels"]["0.png"] if c == 4)] in state["pixels"]["0.png"]
    state, _ = editing.undo(state["revision"])
    assert (len(state["classes"]), state["corrections"]) == (4, {})


def test_what_was_said_can_be_retracted_with_all_that_was_said_before(editing):
    state = editing.state()
    for target in (1, 2):
        asked = edit("say", proposals=[["0.png", 1], ["2.png", 1]], **{"class": target})
        state, _ = editing.apply(asked, state["revision"])
    state, made = editing.apply(edit("retract", proposals=[["0.png", 1]]), state["revision"])
    assert made == "What was said of 1 proposal taken back."
    assert state["corrections"] == {"2.png": {"1": 2}}
    with pytest.raises(ConfigError, match="nothing was said of these"):
        editing.apply(edit("retract", proposals=[["0.png", 1]]), state["revision"])
    state, _ = editing.undo(state["revision"])
    assert state["corrections"] == {"0.png": {"1": 2}, "2.png": {"1": 2}}


def test_to_say_the_same_again_is_no_step(editing):
    asked = edit("say", proposals=[["0.png", 1]], **{"class": 2})
    state, _ = editing.apply(asked, editing.revision())
    again, made = editing.apply(asked, state["revision"])
    assert (made, again["revision"]) == ("Nothing changed.", state["revision"])


def test_the_group_of_a_proposal_is_one_step(named_run):
    editing = Editing(named_run, lambda image, proposal: [(image, proposal), ("2.png", 1)])
    asked = edit("alike", image="0.png", proposal=1, **{"class": "door"})
    state, made = editing.apply(asked, editing.revision())
    assert made == "2 proposals said to be door."
    assert state["corrections"] == {"0.png": {"1": 4}, "2.png": {"1": 4}}
    state, _ = editing.undo(state["revision"])
    assert state["corrections"] == {}
    other = edit("say", proposals=[["2.png", 1]], **{"class": 0})
    state, _ = editing.apply(other, state["revision"])
    state, made = editing.apply(asked, state["revision"])
    assert made == "1 proposal said to be door."  # what a person said of single ones stays
    assert state["corrections"] == {"0.png": {"1": 4}, "2.png": {"1": 0}}
    with pytest.raises(ConfigError, match="what looks alike"):
        Editing(named_run).apply(asked, editing.revision())


def test_an_old_revision_changes_nothing(editing, named_run):
    editing.apply(edit("name", **{"class": 1, "name": "road"}), editing.revision())
    before = {path: path.read_bytes() for path in named_run.glob("*.*") if path.is_file()}
    other = Editing(named_run)
    for call in (
        lambda: other.apply(edit("name", **{"class": 1, "name": "sky"}), 0),
        lambda: other.undo(0),
        lambda: other.redo(0),
    ):
        with pytest.raises(Stale, match="changed elsewhere"):
            call()
    assert {path: path.read_bytes() for path in before} == before


def test_a_change_from_outside_is_a_step_of_its_own(editing, named_run):
    state, _ = editing.apply(edit("name", **{"class": 1, "name": "road"}), editing.revision())
    pm.classes(named_run, name={2: "sky"})
    correct(named_run, [("0.png", 1, "sky")])
    with pytest.raises(Stale):
        editing.undo(state["revision"])
    outside = editing.state()
    assert outside["undo"] == "a change made outside the studio"
    back, _ = editing.undo(outside["revision"])
    assert names(back) == {0: None, 1: "road", 2: None, 3: None}
    assert back["corrections"] == {}
    first, _ = editing.undo(back["revision"])
    assert set(names(first).values()) == {None}


def test_lines_of_corrections_changed_by_hand_stop_the_undo(editing, named_run):
    asked = edit("say", proposals=[["0.png", 1]], **{"class": 2})
    state, _ = editing.apply(asked, editing.revision())
    path = named_run / "corrections.jsonl"
    path.write_text(path.read_text("utf-8").replace('"class": 2', '"class": 3'), "utf-8")
    state = editing.state()
    assert (state["undo"], state["corrections"]) == (None, {"0.png": {"1": 3}})
    with pytest.raises(ConfigError, match="lines of it were changed elsewhere"):
        editing.undo(state["revision"])
    state, _ = editing.apply(edit("name", **{"class": 1, "name": "road"}), state["revision"])
    assert editing.undo(state["revision"])[0]["undo"] is None


def test_another_model_stops_the_undo(editing, named_run):
    editing.apply(edit("name", **{"class": 1, "name": "road"}), editing.revision())
    for path in (named_run / "model" / "model.json", named_run / "classes.yaml"):
        text = path.read_text("utf-8")
        known = json.loads((named_run / "model" / "model.json").read_text("utf-8"))
        path.write_text(text.replace(known["fingerprint"], "0123456789abcdef"), "utf-8")
        if path.suffix == ".json":
            (named_run / "classes.yaml").write_text(
                (named_run / "classes.yaml")
                .read_text("utf-8")
                .replace(known["fingerprint"], "0123456789abcdef"),
                "utf-8",
            )
    state = editing.state()
    assert state["undo"] is None
    with pytest.raises(ConfigError, match="another model"):
        editing.undo(state["revision"])


def test_nothing_to_take_back_or_to_do_again(editing):
    with pytest.raises(ConfigError, match="to take back, but there is none"):
        editing.undo(editing.revision())
    with pytest.raises(ConfigError, match="to do again, but there is none"):
        editing.redo(editing.revision())


def test_a_new_change_drops_what_was_taken_back(editing):
    state, _ = editing.apply(edit("name", **{"class": 1, "name": "road"}), editing.revision())
    state, _ = editing.undo(state["revision"])
    state, _ = editing.apply(edit("name", **{"class": 1, "name": "sky"}), state["revision"])
    assert state["redo"] is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([], "Expected an edit with its kind"),
        (edit("nmae"), "Did you mean"),
        (edit("reset", more=1), "'reset' to have kind"),
        (edit("name", **{"class": True, "name": "road"}), "class of the edit 'name'"),
        (edit("name", **{"class": 9, "name": "road"}), "there is no class 9"),
        (edit("name", **{"class": 1, "name": "7"}), "that is not a number"),
        (edit("ignore", **{"class": 1, "ignore": 1}), "true or false"),
        (edit("colour", **{"class": 1, "colour": "red"}), "hexadecimal"),
        (edit("note", **{"class": 1, "note": "a\x00"}), "plain text"),
        (edit("say", proposals=[], **{"class": 1}), "at least one"),
        (edit("say", proposals=[["0.png", 999]], **{"class": 1}), "proposal that exists"),
        (edit("say", proposals=[["../0.png", 1]], **{"class": 1}), "image of the run"),
        (edit("say", proposals=[["0.png", 1]], **{"class": 255}), "or null for no class"),
        (edit("say", proposals=[["0.png", 1], ["0.png", "1"]], **{"class": 1}), "pairs"),
        (edit("cut", classes=99), "at most 4"),
        (edit("dataset", name="camvd"), "camvd"),
        (edit("merge", classes=[1, 9], name="x"), "there is no class 9"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(editing, named_run, asked, message):
    revision = editing.state()["revision"]
    before = {path: path.read_bytes() for path in named_run.glob("*.*") if path.is_file()}
    with pytest.raises(ConfigError, match=message):
        editing.apply(asked, revision)
    assert {path: path.read_bytes() for path in before} == before
    assert not (named_run / "edits-pending.json").exists()


def test_a_taken_name_says_to_merge(editing):
    state, _ = editing.apply(edit("name", **{"class": 1, "name": "road"}), editing.revision())
    with pytest.raises(ConfigError, match="Merge the two"):
        editing.apply(edit("name", **{"class": 2, "name": " road "}), state["revision"])


def test_an_exchange_of_models_that_was_stopped_comes_first(editing, named_run):
    plan = CandidateFolder(named_run).plan
    plan.parent.mkdir()
    plan.write_text("{}", "utf-8")
    with pytest.raises(ConfigError, match="stopped halfway"):
        editing.state()


def test_names_are_changed_while_a_job_holds_the_run(editing, named_run):
    store.hold(named_run)
    try:
        state, _ = editing.apply(edit("name", **{"class": 1, "name": "road"}), editing.revision())
    finally:
        store.release(named_run)
    assert names(state)[1] == "road"


RACE = """
import sys
from primaps.pipeline.editing import Editing, Stale
try:
    Editing(sys.argv[1]).apply({"kind": "name", "class": 1, "name": sys.argv[2]}, 0)
    print("made")
except Stale:
    print("stale")
"""


def test_of_two_processes_at_once_one_wins(editing, named_run):
    editing.state()
    both = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, named_run, name], stdout=subprocess.PIPE, text=True
        )
        for name in ("road", "sky")
    ]
    assert sorted(each.communicate(timeout=60)[0].strip() for each in both) == ["made", "stale"]
    assert editing.revision() == 1


# --- random sequences ---------------------------------------------------------------------------

TEXTS = st.sampled_from(["road", "sky", "door"])
CLASSES = st.integers(0, 6)
PROPOSALS = st.lists(
    st.tuples(st.sampled_from(IMAGES), st.integers(1, 2)).map(list), min_size=1, max_size=3
)
EDITS = st.one_of(
    st.builds(lambda c, n: edit("name", **{"class": c, "name": n}), CLASSES, TEXTS | st.none()),
    st.builds(
        lambda c, n: edit("merge", classes=c, name=n),
        st.lists(CLASSES, min_size=1, max_size=3),
        TEXTS,
    ),
    st.builds(lambda c, i: edit("ignore", **{"class": c, "ignore": i}), CLASSES, st.booleans()),
    st.builds(
        lambda p, c: edit("say", proposals=p, **{"class": c}),
        PROPOSALS,
        CLASSES | TEXTS | st.none(),
    ),
    st.builds(lambda p: edit("retract", proposals=p), PROPOSALS),
    st.builds(lambda n: edit("cut", classes=n), st.integers(1, 4)),
    st.just(edit("reset")),
    st.just(edit("dataset", name="camvid")),
)
OUTSIDE = st.one_of(
    st.tuples(st.just("names"), CLASSES, TEXTS),
    st.tuples(st.just("said"), st.sampled_from(IMAGES), CLASSES),
    st.tuples(st.just("comment"), CLASSES, TEXTS),
)
ACTIONS = st.one_of(EDITS, EDITS, OUTSIDE, st.just("undo"), st.just("redo"))


@pytest.fixture(scope="module")
def playground(finished_run, tmp_path_factory):
    return shutil.copytree(finished_run, tmp_path_factory.mktemp("editing") / "run")


def cleared(folder):
    """The folder as if nobody had said anything yet."""
    shutil.rmtree(folder / "classes-history", ignore_errors=True)
    for name in ("corrections.jsonl", "edits.jsonl", "edits-pending.json", "classes.yaml"):
        (folder / name).unlink(missing_ok=True)
    return Editing(folder)


def act(editing, action):
    """One action; what does not fit is refused."""
    revision, folder = editing.revision(), editing.named.root
    try:
        if action == "undo":
            return editing.undo(revision)[0]
        if action == "redo":
            return editing.redo(revision)[0]
        if isinstance(action, dict):
            return editing.apply(action, revision)[0]
        what, first, second = action
        if what == "names":
            pm.classes(folder, name={first: second})
        elif what == "said":
            correct(folder, [(first, 1, second)])
        else:
            path = folder / "classes.yaml"
            path.write_text(path.read_text("utf-8") + f"# {second}\n", "utf-8")
    except ConfigError:
        pass
    return editing.state()


PLAYED = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@PLAYED
@given(actions=st.lists(ACTIONS, max_size=10))
def test_all_taken_back_gives_the_first_names_and_done_again_the_last(playground, actions):
    editing = cleared(playground)
    first, text = editing.state(), (playground / "classes.yaml").read_bytes()
    state, revision = first, first["revision"]
    for action in actions:
        state = act(editing, action)
        assert state["revision"] >= revision
        revision = state["revision"]
    facts = ("classes", "corrections", "pixels")
    last = {key: state[key] for key in facts}
    steps = 0
    while state["undo"] is not None:
        state, _ = editing.undo(state["revision"])
        steps += 1
    assert {key: state[key] for key in facts} == {key: first[key] for key in facts}
    assert (playground / "classes.yaml").read_bytes() == text
    assert read_corrections(playground).active() == ()
    for _ in range(steps):
        state, _ = Editing(playground).redo(state["revision"])
    assert {key: state[key] for key in facts} == last


class KilledError(BaseException):
    """As if the process had ended."""


@PLAYED
@given(before=st.lists(EDITS, max_size=4), last=EDITS | st.just("undo"), writes=st.integers(0, 8))
def test_killed_at_any_write_the_next_start_finds_all_or_nothing(playground, before, last, writes):
    editing = cleared(playground)
    for action in before:
        act(editing, action)
    facts = ("classes", "corrections", "pixels")
    former, left = editing.state(), writes
    real = store.atomic_write

    def failing(path, data):
        nonlocal left
        if not left:
            raise KilledError
        left -= 1
        real(path, data)

    with pytest.MonkeyPatch.context() as patch:
        for module in (store, named_files):
            patch.setattr(module, "atomic_write", failing)
        patch.setattr("primaps.pipeline.edit_log.atomic_write", failing)
        with contextlib.suppress(KilledError):
            act(editing, last)
    # other commands can read what lies there, even before it is finished
    pm.classes(playground)
    read_corrections(playground)
    found = Editing(playground).state()
    if found["revision"] == former["revision"]:
        assert {key: found[key] for key in facts} == {key: former[key] for key in facts}
        assert found["undo"] == former["undo"]
    elif found["revision"] == former["revision"] + 1:
        again = cleared(playground)
        for action in (*before, last):
            expected = act(again, action)
        assert {key: found[key] for key in facts} == {key: expected[key] for key in facts}
        assert (found["undo"], found["redo"]) == (expected["undo"], expected["redo"])
    else:
        raise AssertionError(found["revision"])


def test_a_full_disk_is_told_and_changes_nothing(editing, named_run, monkeypatch):
    revision = editing.state()["revision"]

    def full(path, data):
        raise OutputError("The disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "atomic_write", full)
        with pytest.raises(OutputError, match="full"):
            editing.apply(edit("name", **{"class": 1, "name": "road"}), revision)
    assert editing.state()["revision"] == revision


def test_the_maps_lie_as_they_lay(editing, named_run):
    labels = {path: path.read_bytes() for path in (named_run / "labels").rglob("*.png")}
    editing.apply(edit("say", proposals=[["0.png", 1]], **{"class": "door"}), editing.revision())
    assert {path: path.read_bytes() for path in labels} == labels
    assert read_label_image(named_run / "labels" / "0.png.png").max() < 4
