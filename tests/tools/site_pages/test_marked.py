"""Plain text as Markdown."""

import pytest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b <c> [d] *e* K|auto", r"a\_b \<c\> \[d\] \*e\* K\|auto"),
        ("see `primaps list_all` or\nnot", "see `primaps list_all` or not"),
    ],
)
def test_signs_mean_nothing(site_pages, text, expected):
    assert site_pages("marked").escaped(text) == expected


def test_a_table(site_pages):
    table = site_pages("marked").table(("a", "b"), [("1", "2")])
    assert table == "| a | b |\n| --- | --- |\n| 1 | 2 |"
