"""Fragments of the changelog have known kinds, and become a section in its format."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "changelog.d"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["towncrier"]
KINDS = [kind["directory"] for kind in SETTINGS["type"]]
NAME = re.compile(rf"(\+[a-z0-9-]+|\d+)\.({'|'.join(KINDS)})(\.\d+)?\.md")
FRAGMENTS = sorted(path for path in FOLDER.iterdir() if path.name != "README.md")


def test_kinds_are_those_of_keep_a_changelog_and_explained():
    assert KINDS == ["added", "changed", "deprecated", "removed", "fixed", "security"]
    table = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == KINDS


def test_every_fragment_has_a_known_kind_and_is_one_entry():
    for path in FRAGMENTS:
        assert NAME.fullmatch(path.name), f"{path.name}: expected +WORDS.KIND.md, {KINDS}"
        text = path.read_text(encoding="utf-8")
        assert text.strip(), f"{path.name} is empty"
        assert not re.search(r"^(#|[-*] )", text, re.MULTILINE), (
            f"{path.name}: one entry, no heading"
        )


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("+geotiff-names.fixed.md", True),
        ("123.added.md", True),
        ("+two.added.1.md", True),
        ("geotiff.fixed.md", False),
        ("+geotiff.bugfix.md", False),
        ("+geotiff.fixed.rst", False),
    ],
)
def test_names(name, fits):
    assert bool(NAME.fullmatch(name)) is fits


def test_the_head_of_the_changelog_is_where_sections_are_put():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.count(SETTINGS["start_string"]) == 1
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) <= {k.title() for k in KINDS}


@pytest.mark.skipif(
    importlib.util.find_spec("towncrier") is None, reason="towncrier is not installed here"
)
def test_fragments_become_a_section_below_the_head(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "+one.added.md").write_text("`--one` makes one.\n")
    (tmp_path / "changelog.d" / "7.fixed.md").write_text("Seven is seven.\n")
    head = f"# Changelog\n\n{SETTINGS['start_string']}"
    old = "\n## [0.1.0] - 2026-01-01\n\n### Added\n\n- All.\n"
    (tmp_path / "CHANGELOG.md").write_text(head + old)
    options = ("--yes", "--version", "0.2.0", "--date", "2026-02-02")
    subprocess.run(
        [sys.executable, "-m", "towncrier", "build", *options],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    text = (tmp_path / "CHANGELOG.md").read_text()
    added, fixed = "### Added\n\n- `--one` makes one.\n", "### Fixed\n\n- Seven is seven. (#7)\n"
    assert text == f"{head}\n## [0.2.0] - 2026-02-02\n\n{added}\n{fixed}\n{old}"
