"""Classes as exports write them."""

import numpy as np

from primaps.outputs.export.classes import ExportClasses
from primaps.types import ClassTable, NamedClass


def test_ignored_classes_are_left_out_and_names_and_colours_told_apart(drawn):
    classes = ExportClasses.of(drawn.CLASSES)
    assert {each.id: each.name for each in classes.classes} == drawn.NAMES
    colours = [each.colour for each in classes.classes]
    assert len(set(colours)) == len(colours)
    assert (0, 0, 0) not in colours
    assert classes.classes[0].hexadecimal == "#e6194b"


def test_a_name_on_several_lines_or_of_blanks_becomes_one_line():
    table = ClassTable(
        2, (NamedClass(0, "a\n b\t\x00", (1, 1, 1), (0,)), NamedClass(1, "  ", (2, 2, 2), (1,)))
    )
    assert [each.name for each in ExportClasses.of(table).classes] == ["a b", "class 1"]


def test_numbers_are_consecutive():
    table = ClassTable(9, tuple(NamedClass(i, None, (i, 9, 9), ()) for i in (2, 5, 7)))
    numbers = ExportClasses.of(table).numbered(1, 0)
    assert numbers[[2, 5, 7]].tolist() == [1, 2, 3]
    assert np.count_nonzero(numbers) == 3


def test_colours_that_a_format_needs_are_kept_free():
    table = ClassTable(1, (NamedClass(0, "x", (224, 224, 192), (0,)),))
    classes = ExportClasses.of(table)
    assert classes.classes[0].colour == (224, 224, 192)
    assert classes.apart_from([(224, 224, 192)]).classes[0].colour != (224, 224, 192)
