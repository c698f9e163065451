"""Every cell of docs/inputs.md has its test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(
    set(
        re.findall(
            r"`((?:[\w/]+/)?test_\w+\.py)(?:::(\w+))?`",
            (ROOT / "docs" / "inputs.md").read_text("utf-8"),
        )
    )
)


def test_there_are_many():
    assert len(NAMED) > 40


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_it_exists(file, name):
    path = ROOT / "tests" / file
    found = {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert not name or name in found


def test_every_line_of_a_table_names_one():
    text = (ROOT / "docs" / "inputs.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    headings = [line for line in rows if line.rstrip(" |").endswith("test")]
    assert all("test_" in row for row in rows if row not in headings)
