"""The version stands in one place, and everything that shows it says the same."""

import importlib.metadata
import json
import re
import tomllib
from pathlib import Path

import primaps
from primaps.runs.run import versions
from primaps.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_it_is_a_version_that_a_release_can_have():
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", __version__)


def test_the_build_takes_it_from_the_module():
    assert "version" in PROJECT["project"]["dynamic"]
    assert "version" not in PROJECT["project"]
    module = ROOT / PROJECT["tool"]["hatch"]["version"]["path"]
    assert f'\n__version__ = "{__version__}"\n' in module.read_text(encoding="utf-8")


def test_package_metadata_run_json_and_citation_say_the_same():
    assert importlib.metadata.version("primaps") == __version__
    assert primaps.__version__ == __version__
    assert versions()["primaps"] == __version__
    assert json.loads(json.dumps(versions()))["primaps"] == __version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [__version__]


def test_no_module_asks_for_it_elsewhere():
    asking = re.compile(r"version\(\s*[\"']primaps[\"']\s*\)")
    for path in (ROOT / "src").rglob("*.py"):
        assert not asking.search(path.read_text(encoding="utf-8")), path
