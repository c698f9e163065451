import dataclasses

import pytest

from primaps.errors import ConfigError
from primaps.outputs.suggestion_table import SuggestionRow, read_table, write_table

ROWS = [
    SuggestionRow('a, "b".jpg', 3, "", "0001.jpg", 7, 0.25, "group", "road"),
    SuggestionRow("straße/ü.jpg", 12, "Bäume", "0002.jpg", 0, 0.125, "uncertain", ""),
]


def test_what_is_written_is_read_back():
    found = read_table(write_table(ROWS), "t.csv")
    assert [(row.image, row.proposal, row.name) for row in found] == [
        (row.image, row.proposal, row.name) for row in ROWS
    ]
    assert [row.line for row in found] == [2, 3]


def test_spreadsheets_write_other_marks_and_columns():
    text = "image;proposal;class;mine\r\na.jpg;3; road ;x\r\n;;;\r\nb.jpg;4;;\r\n"
    found = read_table(text.encode(), "t.csv")
    assert [(row.image, row.proposal, row.name) for row in found] == [
        ("a.jpg", 3, "road"),
        ("b.jpg", 4, ""),
    ]


def test_equal_rows_give_equal_bytes():
    assert write_table(ROWS) == write_table([dataclasses.replace(row) for row in ROWS])
    assert write_table(ROWS).startswith(b"\xef\xbb\xbfclass,")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image,proposal,clas\na,1,x\n", "line 1: Expected a column 'class'"),
        (b"", "line 1: Expected a column"),
        (b"class,image,proposal\nroad,a,x\n", "line 2: Expected the name of an image"),
        (b"class,image,proposal\nroad,,1\n", "line 2: Expected the name of an image"),
        (b"class,image,proposal\n,a,1\nStra\xdfe,a,1\n", "line 3: Expected a name in UTF-8"),
    ],
)
def test_other_tables_are_refused_by_line(content, message):
    with pytest.raises(ConfigError, match=message):
        read_table(content, "t.csv")


def test_names_of_files_may_be_of_any_bytes():
    row = SuggestionRow(b"caf\xe9.jpg".decode("utf-8", "surrogateescape"), 1)
    assert read_table(write_table([row]), "t.csv")[0].image == row.image
