import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.errors import ConfigError
from primaps.naming.table import (
    checked_table,
    colour_class,
    find_class,
    fresh_table,
    ignore_class,
    merge_classes,
    name_class,
)
from primaps.naming.table_text import ClassesText, parse_classes, update_classes, write_classes
from primaps.types import ClassTable, NamedClass

COLOURS = [(number, 0, 255 - number) for number in range(255)]

BY_HAND = """\
# my photographs

format: 1
num_clusters: 4   # K
classes:
  # the street
  3:
    name: road   # and pavement
    colour: '#804080'
    clusters: [3, 1]

  # what is above
  0:
    name: sky
    clusters:
      - 0
    note: "a # is no comment here"
  2: {clusters: [2], ignore: true}
# the end
"""


def parse(text):
    return parse_classes(text, "F", COLOURS)


def changed(text, table, model=None):
    former = parse(text)
    new = update_classes(text, former, table, model)
    assert parse(new) == ClassesText(table, model)
    return new


def test_a_text_made_by_hand_is_read():
    assert parse(BY_HAND) == ClassesText(
        ClassTable(
            4,
            (
                NamedClass(0, "sky", COLOURS[0], (0,), note="a # is no comment here"),
                NamedClass(2, None, COLOURS[2], (2,), ignore=True),
                NamedClass(3, "road", (128, 64, 128), (1, 3)),
            ),
        ),
        None,
    )


def test_nothing_changes_without_a_change():
    former = parse(BY_HAND)
    assert update_classes(BY_HAND, former, former.table, None) == BY_HAND


def test_a_change_leaves_comments_and_order():
    table = colour_class(name_class(parse(BY_HAND).table, 0, "heaven")[0], 3, "#000102")
    new = changed(BY_HAND, table)
    expected = BY_HAND.replace("name: sky", "name: heaven").replace("'#804080'", '"#000102"')
    assert words(new) == words(expected)


def words(text):
    """The lines but for blanks and the way a list is indented."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("gone", [{0}, {3}, {0, 3}, {0, 2, 3}, {2}])
def test_comments_outlive_classes(gone):
    former = parse(BY_HAND).table
    table = checked_table(4, [each for each in former.classes if each.id not in gone])
    new = changed(BY_HAND, table, "m")
    for comment in (
        "# my",
        "# K",
        "# the street",
        "# and pavement",
        "# what is above",
        "# the end",
    ):
        assert comment in new


def test_classes_come_and_go_at_once():
    table = checked_table(9, [NamedClass(200, "x", (1, 2, 3), (7,), note="né")])
    assert "né" in changed(BY_HAND, table, "m")


def test_what_yaml_offers_besides_is_read_and_written_over():
    text = (
        "num_clusters: 2\nclasses:\n  0: &x {clusters: [0], colour: '#000001'}\n"
        "  1:\n    <<: *x\n    clusters: [1]\n# kept\n"
    )
    assert find_class(parse(text).table, 1).colour == (0, 0, 1)
    table = colour_class(parse(text).table, 0, "#010101")
    assert "# kept" in changed(text, table)


NAMES = st.sampled_from(["", "road", "yes", "a: b", "#x", "'", "null", "ä"])
NOTES = st.sampled_from(["", "x # y", "- a", "two\nlines", "~", "1"])
TABLES = st.builds(
    lambda owners, ignored, names, notes: checked_table(
        6,
        [
            NamedClass(
                number,
                f"{names[number]} {number}" if names[number] else None,
                COLOURS[number],
                tuple(cluster for cluster, owner in enumerate(owners) if owner == number),
                ignored[number],
                notes[number],
            )
            for number in sorted({*owners, 7} - {8})
        ],
    ),
    st.lists(st.integers(0, 8), min_size=6, max_size=6),
    st.lists(st.booleans(), min_size=9, max_size=9),
    st.lists(NAMES, min_size=9, max_size=9),
    st.lists(NOTES, min_size=9, max_size=9),
)


@settings(deadline=None)  # texts that were read before take less
@given(TABLES, TABLES)
def test_every_table_is_written_and_changed_into_every_other(table, other):
    text = write_classes(table, "m")
    assert parse(text) == ClassesText(table, "m")
    changed(text, other, "n")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("name: sky", "name: road", 14, r"class 3 \(line 8\) is 'road' too"),
        ("- 0", "- 1", 15, r"1 is in class 3 \(line 10\) too"),
        ("[3, 1]", "[3, 4]", 10, r"clusters 0\.\.3, but got 4"),
        ("[3, 1]", "[3, x]", 10, "list of numbers"),
        ("clusters: [3", "cluster: [3", 10, "Did you mean 'clusters'"),
        ("'#804080'", "#804080", 9, "quotes"),
        ("'#804080'", "804080", 9, "quotes"),
        ("'#804080'", "'#80'", 9, "six hexadecimal"),
        ("name: sky", "name: 12", 14, "Put quotes"),
        ("name: sky", "name: '12'", 14, "not a number"),
        ("ignore: true", "ignore: yes", 18, "true or false"),
        ("  0:", "  300:", 13, "class id 0..254"),
        ("  0:", "  x:", 13, "class id 0..254"),
        ("  0:", "  3:", 13, "duplicate key"),
        ("num_clusters: 4", "num_clusters: many", 4, "number of clusters"),
        ("num_clusters", "number_clusters", 4, "Did you mean 'num_clusters'"),
        ("format: 1", "format: 2", 3, "version of primaps"),
        ("[3, 1]", "[3, 1", 13, "Expected YAML"),
    ],
)
def test_mistakes_are_named_with_their_line(old, new, line, message):
    assert old in BY_HAND
    with pytest.raises(ConfigError, match=rf"^F, line {line}: .*{message}"):
        parse(BY_HAND.replace(old, new, 1))


@pytest.mark.parametrize("text", ["", "- 1", "just text", "classes: [1]\nnum_clusters: 2", "\0"])
def test_what_is_no_table_is_refused(text):
    with pytest.raises(ConfigError, match=r"^F"):
        parse(text)


def test_a_merge_and_an_ignore_show_in_the_text():
    text = write_classes(fresh_table(3, COLOURS), "m")
    table = ignore_class(merge_classes(parse(text).table, [0, 2], "wall")[0], 1)
    new = update_classes(text, parse(text), table, "m")
    assert "name: wall" in new
    assert "clusters: [0, 2]" in new
    assert "ignore: true" in new
