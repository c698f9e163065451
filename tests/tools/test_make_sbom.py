"""A bill of materials holds what primaps needs, and nothing that is merely there."""

import importlib.util
import json
from email.message import Message
from pathlib import Path

import pytest

pytest.importorskip("packaging", reason="packaging is not installed here")

TOOL = Path(__file__).parents[2] / "tools" / "make_sbom.py"


class Installed:
    """A distribution, as `importlib.metadata` gives it."""

    def __init__(self, name, *requires, version="1"):
        self.metadata = Message()
        self.metadata["Name"] = name
        self.requires = list(requires) or None
        self.version = version


THERE = [
    Installed("primaps", "Numpy>=1", 'PyTest; extra == "test"', 'web[fast]; extra == "studio"'),
    Installed("numpy"),
    Installed("pytest", "pluggy"),
    Installed("pluggy"),
    Installed("web", 'loop; extra == "fast"', 'nothing; sys_platform == "none"', "primaps"),
    Installed("loop", "gone"),
    Installed("nothing"),
]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("make_sbom", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def described():
    """What `cyclonedx-py` tells of them, as far as it matters."""
    return {
        "metadata": {"component": {"bom-ref": "root-component", "name": "primaps"}},
        "components": [
            {"bom-ref": f"{each.metadata['Name']}==1", "name": each.metadata["Name"]}
            for each in THERE
        ],
        "dependencies": [],
    }


def test_what_is_needed_follows_the_extras(tool):
    assert set(tool.needs(THERE, frozenset())) == {"primaps", "numpy"}
    assert set(tool.needs(THERE, frozenset({"studio"}))) == {"primaps", "numpy", "web", "loop"}
    assert set(tool.needs(THERE, frozenset({"test"}))) == {"primaps", "numpy", "pytest", "pluggy"}


def test_extras_that_are_asked_for_later_count(tool):
    there = [
        Installed("primaps", "web", "shop"),
        Installed("web", 'loop; extra == "fast"'),
        Installed("shop", "web[fast]"),
        Installed("loop"),
    ]
    assert set(tool.needs(there, frozenset())) == {"primaps", "web", "shop", "loop"}


def test_an_environment_without_primaps_is_refused(tool):
    with pytest.raises(ValueError, match="Expected an environment with primaps"):
        tool.needs(THERE[1:], frozenset())


def test_the_bill_is_about_primaps_and_holds_the_rest(tool):
    made = tool.bill(described(), tool.needs(THERE, frozenset({"studio"})), "0.3.0")
    assert made["metadata"]["component"]["version"] == "0.3.0"
    assert [each["name"] for each in made["components"]] == ["numpy", "web", "loop"]
    assert {each["ref"]: each["dependsOn"] for each in made["dependencies"]} == {
        "root-component": ["numpy==1", "web==1"],
        "numpy==1": [],
        "web==1": ["loop==1"],
        "loop==1": [],
    }


def test_it_is_written(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, "describe", lambda python: described())
    monkeypatch.setattr(tool, "_packages", lambda python: THERE)
    out = tmp_path / "new" / "bill.json"
    assert tool.main([str(out), "--extras", "studio"]) == 0
    assert len(json.loads(out.read_text())["components"]) == 3
    assert "primaps 1, 3 components" in capsys.readouterr().out


def test_an_environment_is_asked_for(tool, tmp_path, capsys):
    assert tool.main([str(tmp_path / "a.json"), "--environment", str(tmp_path)]) == 2
    assert "Expected an environment" in capsys.readouterr().err


def test_this_environment_is_seen(tool):
    names = {each.metadata["Name"] for each in tool._packages(Path(tool.sys.executable))}
    assert {"numpy", "torch"} <= names
