from pathlib import Path

from primaps.outputs.class_table import ClassRow, class_table_text
from primaps.types import NamedClass


def test_the_largest_class_comes_first_with_its_examples():
    road = NamedClass(12, "road", (128, 64, 128), (3, 4), note="wet")
    rows = [
        ClassRow(NamedClass(0, None, (0, 0, 0), (0,)), 0.25, 2),
        ClassRow(road, 0.75, 3, (Path("a"),), 0.5),
        ClassRow(NamedClass(5, "car", (1, 2, 3), (), ignore=True), 0.0, 0),
    ]
    assert class_table_text(rows).splitlines() == [
        "id  name           colour   clusters   share  certainty  images",
        "12  road           #804080  3,4       75.0 %       50 %       3",
        "    a",
        "    note: wet",
        " 0  -              #000000  0         25.0 %          -       2",
        " 5  car (ignored)  #010203  none       0.0 %          -       0",
    ]


def test_without_label_maps_there_are_no_shares():
    text = class_table_text([ClassRow(NamedClass(0, "a", (0, 0, 0), (0,)), None, 0)])
    assert text.splitlines()[1].split() == ["0", "a", "#000000", "0", "-", "-", "0"]
