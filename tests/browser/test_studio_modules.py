"""Parts of the studio's page that are pure: the same results as the pipeline's."""

import numpy as np
import pytest

from primaps.naming.class_tree import grow_tree


@pytest.fixture
def module(new_page, web_server):
    """``module("tree.js", "cut", ...)``: what a function of a module gives."""
    page = new_page(web_server.page())

    def called(name, function, *arguments):
        return page.evaluate(
            "([name, key, given]) => import(`viewer/studio/${name}`)"
            ".then((all) => all[key](...given))",
            [name, function, list(arguments)],
        )

    return called


def entry(class_id, name=None, clusters=(), **more):
    plain = {"colour": "#808080", "ignore": False, "note": ""}
    return {"id": class_id, "name": name, "clusters": list(clusters), **plain, **more}


def state(*classes, **more):
    return {"revision": 0, "classes": list(classes), "corrections": {}, "undo": None,
            "redo": None, **more}  # fmt: skip


def test_cut_is_that_of_the_pipeline(module):
    random = np.random.default_rng(0)
    for clusters in (2, 3, 9, 20):
        tree = grow_tree(random.normal(size=(clusters, 5)), random.random(clusters) + 0.1)
        record = {"num_clusters": clusters, "merges": tree.links().tolist()}
        for number in range(1, clusters + 1):
            expected = sorted(sorted(group) for group in tree.cut(number))
            assert module("tree.js", "cut", record, number) == expected


def test_a_plan_keeps_names_and_says_what_stands_against_it(module):
    tree = {"num_clusters": 3, "merges": [[0, 1, 0.1, 0.5], [3, 2, 0.2, 1.0]]}
    one = state(entry(0, "sky", [0]), entry(1, None, [1]), entry(2, None, [2], note="far"))
    plan = module("tree.js", "planCut", tree, one, 2)
    assert plan["problems"] == []
    assert [part["clusters"] for part in plan["parts"]] == [[0, 1], [2]]
    assert [part["entry"]["id"] for part in plan["parts"]] == [0, 2]
    assert plan["parts"][0]["colour"] != plan["parts"][1]["colour"]
    plan = module("tree.js", "planCut", tree, one, 1)
    assert plan["problems"] == ["sky and class 2 would become one class."]
    merged = state(entry(0, "sky", [0, 1]), entry(2, None, [2]))
    plan = module("tree.js", "planCut", tree, merged, 3)
    assert plan["problems"] == ["sky would be parted."]


@pytest.mark.parametrize(
    ("edit", "done"),
    [
        ({"kind": "name", "class": 0, "name": "sky"}, True),
        ({"kind": "name", "class": 0, "name": "road"}, False),
        ({"kind": "name", "class": 7, "name": "sky"}, False),
        ({"kind": "merge", "classes": [0, 4], "name": "sky"}, True),
        ({"kind": "merge", "classes": [0, 1], "name": "sky"}, False),
        ({"kind": "say", "proposals": [["a.jpg", 2]], "class": "sky"}, True),
        ({"kind": "say", "proposals": [["a.jpg", 2]], "class": None}, False),
        ({"kind": "say", "proposals": [["a.jpg", 3]], "class": None}, True),
        ({"kind": "say", "proposals": [["a.jpg", 3]], "class": "new"}, False),
        ({"kind": "retract", "proposals": [["a.jpg", 4]]}, True),
        ({"kind": "alike", "image": "a.jpg", "proposal": 2, "class": 0}, False),
        ({"kind": "reset"}, False),
    ],
)
def test_an_edit_that_was_made_is_known(edit, done, module):
    now = state(entry(0, "sky"), entry(1), corrections={"a.jpg": {"2": 0, "3": 255}})
    assert module("foresee.js", "isDone", now, edit) is done


def test_what_is_on_its_way_is_seen_at_once(module):
    before = state(entry(0, "sky"), entry(1))
    after = module("foresee.js", "foresee", before, {"kind": "name", "class": 1, "name": "road"})
    assert [each["name"] for each in after["classes"]] == ["sky", "road"]
    say = {"kind": "say", "proposals": [["a.jpg", 2]], "class": "sky"}
    after = module("foresee.js", "foresee", before, say)
    assert after["corrections"] == {"a.jpg": {"2": 0}}
    back = {"kind": "retract", "proposals": [["a.jpg", 2]]}
    assert module("foresee.js", "foresee", after, back)["corrections"] == {"a.jpg": {}}


def test_what_others_did_is_told(module):
    before = state(undo="a", redo=None)
    assert module("foresee.js", "whatHappened", before, state(undo="b")) == "b"
    assert module("foresee.js", "whatHappened", before, state(redo="a")) == "taken back: a"


@pytest.mark.parametrize("text", ["1.2", "0.5 0.6", "a, b", "0.2 0.2 0.2 0.4", "-1, 2"])
def test_shares_that_are_none_are_said(text, module):
    assert text in module("exporting.js", "sharesOf", text)


def test_shares(module):
    assert module("exporting.js", "sharesOf", "") == []
    assert module("exporting.js", "sharesOf", " .8, .1 / 0.1 ") == [0.8, 0.1, 0.1]


KEYS = """async (visits) => {
  const { ClassKeys } = await import("viewer/studio/class_keys.js");
  const kept = {};
  const storage = { getItem: (key) => kept[key] ?? null,
                    setItem: (key, text) => { kept[key] = text; } };
  return visits.map(([model, classes]) => {
    const byId = new Map(classes.map((each) => [each.id, each]));
    const keys = new ClassKeys({ run: { model }, state: { classes }, byId, share: () => 0,
                                 listen: () => {} }, storage, "keys");
    return Object.fromEntries(classes.map(({ id }) => [id, keys.keyOf(id)]));
  });
}"""


def test_named_classes_have_the_first_keys_and_keep_them_in_another_model(new_page, web_server):
    plain = [entry(each) for each in range(4)]
    named = [*plain[:2], entry(2, "sky"), entry(3, "road")]
    more = [*plain[:2], *named[2:], entry(4, "cow")]
    other = [entry(0, "road"), entry(1), entry(2, "cow"), entry(3, "bus")]
    visits = [["a", plain], ["a", named], ["a", more], ["b", other]]
    first, second, third, fourth = new_page(web_server.page()).evaluate(KEYS, visits)
    assert first == {"0": "1", "1": "2", "2": "3", "3": "4"}
    assert second == first  # a name changes no key
    assert third == {"0": "5", "1": "2", "2": "3", "3": "4", "4": "1"}
    assert fourth == {"0": "4", "1": "3", "2": "1", "3": "2"}
