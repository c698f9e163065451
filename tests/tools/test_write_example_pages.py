"""Pages out of the examples."""

import importlib.util
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "write_example_pages", Path(__file__).parents[2] / "tools" / "write_example_pages.py"
)
tool = importlib.util.module_from_spec(_SPEC)
sys.modules["write_example_pages"] = tool  # dataclasses look their module up
_SPEC.loader.exec_module(tool)

EXAMPLE = '''"""Do a thing.

You see `it`,
here.

    python examples/x.py ~/photos
"""

import sys

print(sys.argv)
'''


def test_an_example_is_read_by_its_docstring(tmp_path):
    (tmp_path / "x.py").write_text(EXAMPLE)
    found = tool.read_example(tmp_path / "x.py")
    assert found.title == "Do a thing"
    assert found.text == "You see `it`,\nhere."
    assert found.call == "python examples/x.py ~/photos"
    assert found.code == "import sys\n\nprint(sys.argv)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys\n", "begin with a docstring"),
        ('"""Do a thing."""\n', "one indented line .* but got 0"),
    ],
)
def test_what_says_too_little_is_refused(tmp_path, text, message):
    (tmp_path / "x.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        tool.read_example(tmp_path / "x.py")


def test_the_pages_are_up_to_date():
    found, again = tool.examples(), "run: python tools/write_example_pages.py"
    assert tool.LIST.read_text(encoding="utf-8") == tool.the_list(found), again
    assert tool.PAGE.read_text(encoding="utf-8") == tool.the_page(found), again
