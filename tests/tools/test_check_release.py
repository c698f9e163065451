"""What has to be done before a release, and its notes."""

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "check_release.py"
CHANGELOG = """# Changelog

## [0.2.0] - 2026-02-03

### Added

- Two.

## [0.1.0] - 2026-01-02

- One.
"""


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("check_release", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tool, tmp_path, monkeypatch):
    """A repository that is ready for 0.2.0."""
    (tmp_path / "src" / "primaps").mkdir(parents=True)
    (tmp_path / "src" / "primaps" / "version.py").write_text('"""V."""\n\n__version__ = "0.2.0"\n')
    (tmp_path / "CITATION.cff").write_text("title: primaps\nversion: 0.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "README.md").write_text("what this is\n")
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    return tmp_path


def test_the_notes_are_the_section_of_the_version(tool, checkout, capsys):
    assert tool.main(["v0.2.0"]) == 0
    assert capsys.readouterr().out == "### Added\n\n- Two.\n"


def test_the_last_section_ends_with_the_file(tool):
    assert tool.notes(CHANGELOG, "0.1.0") == "- One."
    assert tool.notes(CHANGELOG, "0.3.0") is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("src/primaps/version.py", '__version__ = "0.2.1"\n', "The tag is v0.2.0, but"),
        ("CITATION.cff", "version: 0.1.0\n", "CITATION.cff does not say version: 0.2.0"),
        ("CHANGELOG.md", "## [0.2.0]\n\n- Two.\n", "no section '## [0.2.0] - YYYY-MM-DD'"),
        ("CHANGELOG.md", f"## [Unreleased]\n\n{CHANGELOG}", "still has a section '## [Unre"),
        ("changelog.d/+a.added.md", "A.\n", "changelog.d/+a.added.md is in no section yet"),
    ],
)
def test_what_is_missing_is_said(tool, checkout, capsys, name, text, message):
    (checkout / name).write_text(text)
    assert tool.main(["v0.2.0"]) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


def test_one_tag_is_asked_for(tool, capsys):
    assert tool.main([]) == 2
    assert "Expected one tag, got 0" in capsys.readouterr().err


def test_the_checkout_states_its_version(tool):
    from primaps.version import __version__

    assert tool.stated_version(TOOL.parents[1]) == __version__
