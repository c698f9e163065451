import pytest

from primaps.errors import ConfigError
from primaps.naming.asking import asked_change, checked_edit, words_of
from primaps.naming.table import fresh_table, name_class

TABLE, _ = name_class(fresh_table(8, [(0, 0, 0)] * 255), 3, "sky")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (None, "an edit with its kind, but got None"),
        ({"kind": 3}, "an edit with its kind"),
        ({"kind": "merg"}, "Did you mean"),
        ({"kind": "cut"}, "'cut' to have classes, kind, but got"),
        ({"kind": "cut", "classes": 2, "x": 1}, "'cut' to have classes, kind, but got"),
        ({"kind": "cut", "classes": 0}, "a number of classes, 1 or more, but got 0"),
        ({"kind": "cut", "classes": 2.0}, "1 or more, but got 2.0"),
        ({"kind": "merge", "classes": [1, "2"], "name": "x"}, "ids of classes"),
        ({"kind": "merge", "classes": [], "name": "x"}, "at least one"),
        ({"kind": "name", "class": 255, "name": "x"}, "the id of a class, but got 255"),
        ({"kind": "note", "class": 1, "note": None}, "to be text"),
        ({"kind": "say", "proposals": [["a", 0]], "class": 1}, "pairs of an image"),
        ({"kind": "say", "proposals": [["a"]], "class": 1}, "pairs of an image"),
        ({"kind": "say", "proposals": [["a", 1]], "class": 1.5}, "a name, or null"),
        ({"kind": "alike", "image": 1, "proposal": 1, "class": 1}, "the name of an image"),
        ({"kind": "name", "class": 1, "name": ["x" * 1000]}, r"\.\.\."),
    ],
)
def test_what_is_no_edit_is_refused_and_shown_in_short(edit, message):
    with pytest.raises(ConfigError, match=message) as error:
        checked_edit(edit)
    assert len(str(error.value)) < 400


def test_an_edit_is_checked_without_being_changed():
    edit = {"kind": "say", "proposals": [["a.jpg", 1]], "class": None}
    assert checked_edit(edit) == edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"kind": "merge", "classes": [1, 3, 4], "name": " x "}, "class 1, sky and class 4 merged"),
        (
            {"kind": "merge", "classes": [0, 1, 2, 4, 5, 6, 7], "name": "x"},
            "class 0, class 1, class 2, class 4 and 3 more merged into x",
        ),
        ({"kind": "name", "class": 3, "name": None}, "name of sky taken away"),
        ({"kind": "ignore", "class": 3, "ignore": False}, "sky no longer ignored"),
        ({"kind": "alike", "image": "a", "proposal": 1, "class": 3}, "5 proposals said to be sky"),
        ({"kind": "retract", "proposals": [["a", 1]]}, "what was said of 5 proposals taken back"),
    ],
)
def test_edits_are_said_in_words(edit, words):
    assert words_of(checked_edit(edit), TABLE, 5).startswith(words)


def test_changes_are_those_of_the_table():
    table, gone = asked_change({"kind": "merge", "classes": [1, 3], "name": "all"})(TABLE)
    assert (gone, table.classes[1].clusters) == ({3: 1}, (1, 3))
    table, _ = asked_change({"kind": "name", "class": 3, "name": "sky"})(TABLE)
    assert table == TABLE
    with pytest.raises(ConfigError, match="Merge the two"):
        asked_change({"kind": "name", "class": 1, "name": "sky"})(TABLE)
