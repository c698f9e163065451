import pytest
from hypothesis import given
from hypothesis import strategies as st

from primaps.errors import ConfigError
from primaps.naming.table import (
    add_class,
    checked_table,
    colour_class,
    colour_text,
    find_class,
    fresh_table,
    ignore_class,
    is_touched,
    merge_classes,
    name_class,
    note_class,
    parse_colour,
    with_known_classes,
)
from primaps.types import ClassTable, NamedClass

COLOURS = [(number, 0, 255 - number) for number in range(255)]


@pytest.fixture
def table():
    return fresh_table(5, COLOURS)


def named(table, **names):
    for name, key in names.items():
        table = name_class(table, key, name)[0]
    return table


def test_a_fresh_table_has_a_class_per_cluster(table):
    assert [each.id for each in table.classes] == [0, 1, 2, 3, 4]
    assert [each.clusters for each in table.classes] == [(0,), (1,), (2,), (3,), (4,)]
    assert not any(is_touched(each) for each in table.classes)
    assert table.cluster_to_class()[:5].tolist() == [0, 1, 2, 3, 4]


def test_classes_are_found_by_id_and_by_name(table):
    table = named(table, road=3)
    for key in (3, "3", "road", " road "):
        assert find_class(table, key).id == 3
    with pytest.raises(ConfigError, match=r"got 'raod'\. Did you mean 'road'\?"):
        find_class(table, "raod")
    with pytest.raises(ConfigError, match="no class 9"):
        find_class(table, 9)


def test_an_id_that_is_gone_tells_where_its_cluster_is(table):
    table, _ = merge_classes(table, [1, 4], "building")
    with pytest.raises(ConfigError, match=r"Cluster 4 belongs to class 1 \(building\)"):
        find_class(table, 4)


def test_naming_keeps_all_else(table):
    road = find_class(named(table, road=3), "road")
    assert road == NamedClass(3, "road", COLOURS[3], (3,))
    assert name_class(named(table, road=3), "road", None)[0] == table


@pytest.mark.parametrize("name", ["", "  ", "12", "a\nb", "x" * 101])
def test_what_is_no_name_is_refused(table, name):
    with pytest.raises(ConfigError, match="Expected a name"):
        name_class(table, 3, name)


def test_a_name_is_given_once(table):
    with pytest.raises(ConfigError, match=r"class 3 \(road\) has it already.*--merge 1=road"):
        name_class(named(table, road=3), 1, "road")


def test_a_name_that_waits_is_taken_up(table):
    table = add_class(table, "road", (1, 2, 3))
    found, gone = name_class(table, 3, "road")
    assert find_class(found, "road") == NamedClass(5, "road", (1, 2, 3), (3,))
    assert gone == {3: 5}


def test_merging_takes_clusters_notes_and_the_first_id(table):
    classes = [
        NamedClass(each.id, None, each.colour, each.clusters, note=f"note {each.id}")
        for each in table.classes
    ]
    found, gone = merge_classes(ClassTable(5, tuple(classes)), [4, "1"], "building")
    merged = find_class(found, "building")
    assert (merged.id, merged.clusters, merged.colour) == (4, (1, 4), COLOURS[4])
    assert merged.note == "note 4; note 1"
    assert gone == {1: 4}
    assert [each.id for each in found.classes] == [0, 2, 3, 4]


def test_merging_into_a_name_that_is_there_keeps_its_class(table):
    found, gone = merge_classes(named(table, road=3), [0, 1], "road")
    assert find_class(found, "road").clusters == (0, 1, 3)
    assert gone == {0: 3, 1: 3}


def test_ignored_classes_count_as_unlabelled(table):
    ignored = ignore_class(table, 2)
    assert ignored.cluster_to_class()[[1, 2]].tolist() == [1, 255]
    assert ignore_class(ignored, 2, ignore=False) == table


def test_a_known_data_set_gives_names_that_wait_and_colours(table):
    known = {"road": (1, 2, 3), "sky": (4, 5, 6)}
    found = with_known_classes(named(table, sky=2), known)
    assert find_class(found, "sky") == NamedClass(2, "sky", (4, 5, 6), (2,))
    assert find_class(found, "road") == NamedClass(5, "road", (1, 2, 3), ())
    assert with_known_classes(found, known) == found


def test_there_are_255_classes_at_most():
    table = fresh_table(254, COLOURS)
    table = add_class(table, "one", (0, 0, 0))
    with pytest.raises(ConfigError, match="no id left for 'two'"):
        add_class(table, "two", (0, 0, 0))
    merged, _ = merge_classes(table, [3, 4], "x")
    assert find_class(add_class(merged, "two", (0, 0, 0)), "two").id == 4


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([NamedClass(0, "a", (0, 0, 0), (0,)), NamedClass(1, "a", (0, 0, 0), ())], "both 'a'"),
        ([NamedClass(0, "a", (0, 0, 0), (0,)), NamedClass(1, "b", (0, 0, 0), (0,))], "one class"),
        ([NamedClass(0, "a", (0, 0, 0), (7,))], "clusters 0..1"),
        ([NamedClass(0, None, (0, 0, 0), ()), NamedClass(0, None, (0, 0, 0), ())], "distinct"),
        ([NamedClass(255, None, (0, 0, 0), ())], "0..254"),
    ],
)
def test_tables_that_do_not_fit_are_refused(classes, message):
    with pytest.raises(ConfigError, match=message):
        checked_table(2, classes)


def test_colours_are_six_digits(table):
    assert find_class(colour_class(table, 1, "#804080"), 1).colour == (128, 64, 128)
    assert find_class(colour_class(table, 1, (1, 2, 3)), 1).colour == (1, 2, 3)
    for text in ("red", "#12345", "#12345g", ""):
        with pytest.raises(ConfigError, match="six hexadecimal digits"):
            parse_colour(text)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_colours_and_their_texts_are_one(colour):
    assert parse_colour(colour_text(colour)) == colour


def test_a_class_has_a_note():
    table = fresh_table(2, [(0, 0, 0)] * 255)
    assert note_class(table, 1, " two\nlines ").classes[1].note == "two\nlines"
    assert note_class(note_class(table, 1, "a"), 1, "").classes[1].note == ""
    for note in ("a\x00", "a" * 2001, "\ud800"):
        with pytest.raises(ConfigError, match="plain text"):
            note_class(table, 1, note)
