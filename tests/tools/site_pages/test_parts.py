"""Parts of pages that are made from the code."""

import pytest


def test_a_part_takes_the_place_of_its_name(site_pages):
    parts = site_pages("parts")
    text = parts.with_parts("# Codes\n\n<!-- made from the code: exit codes -->\n\nEnd.\n")
    assert text == f"# Codes\n\n{parts.PARTS['exit codes']()}\n\nEnd.\n"


def test_an_unknown_part_is_refused(site_pages):
    with pytest.raises(ValueError, match=r"Expected one of command line, .* names 'moods'"):
        site_pages("parts").with_parts("<!-- made from the code: moods -->")
