import numpy as np
import pytest

from primaps.errors import ConfigError
from primaps.evaluation.by_name import clusters_by_name
from primaps.evaluation.evaluate import evaluate_label_maps
from primaps.types import ClassTable, NamedClass

GREY = (1, 2, 3)
NAMES = ("sky", "road", "tree")


def table(*entries):
    return ClassTable(4, tuple(NamedClass(number, *entry) for number, entry in enumerate(entries)))


def test_names_match_but_for_case():
    found = clusters_by_name(
        table(("Road", GREY, (0, 3)), ("sky", GREY, (1,)), (None, GREY, (2,))), NAMES
    )
    assert found.tolist() == [1, 0, 255, 1]


def test_foreign_names_and_ignored_classes_stand_for_nothing():
    found = clusters_by_name(
        table(("roads", GREY, (0,)), ("tree", GREY, (1,), True), ("sky", GREY, (2,))), NAMES
    )
    assert found.tolist() == [255, 255, 0, 255]


@pytest.mark.parametrize("name", [None, "car"])
def test_no_name_of_the_data_set_is_an_error(name):
    with pytest.raises(ConfigError, match="names of the data set, sky, road, tree"):
        clusters_by_name(table((name, GREY, (0,))), NAMES)


def test_names_of_a_data_set_that_differ_by_case_alone_are_refused():
    with pytest.raises(ConfigError, match="more than case"):
        clusters_by_name(table(("sky", GREY, (0,))), ("sky", "Sky"))


def test_unnamed_pixels_are_wrong_and_nothing_is_matched():
    truth = np.array([[0, 0, 1, 1]])
    labels = np.array([[0, 2, 1, 1]])
    known = clusters_by_name(table(("sky", GREY, (1,)), ("road", GREY, (0,))), NAMES)
    result = evaluate_label_maps([(labels, truth)], 4, NAMES, cluster_to_class=known)
    assert result.accuracy == 0.0
    assert result.per_class_iou["sky"] == 0.0
    assert evaluate_label_maps([(labels, truth)], 4, NAMES).accuracy == 0.75
