"""The plan of the house, read from a toy package."""

import importlib.util
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "import_graph.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("import_graph", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["import_graph"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path):
    """Writes {path: text} as a package `toy` and returns its folder."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / "toy" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path / "toy"

    return write


def test_rooms_arrows_and_a_circle(tool, package):
    graph = tool.read_graph(
        package(
            {
                "__init__.py": '"""A."""',
                "types.py": '"""B."""',
                "low/one.py": '"""C."""\nfrom toy.types import X\nfrom toy.low import two',
                "low/two.py": '"""D."""\ndef late():\n    """E."""\n    import toy.high.three',
                "high/three.py": '"""F."""\nfrom toy.low.one import X\nfrom toy import types',
                "high/deep/four.py": '"""G."""',
            }
        )
    )
    assert set(graph.arrows) == {"__init__", "types", "low", "high", "high.deep"}
    assert graph.arrows["low"] == {"types", "high"}
    assert graph.arrows["high"] == {"types", "low"}
    assert graph.back_arrows == [("high", "low")]
    assert graph.circles == [frozenset({"high", "low"})]
    assert graph.reached("high") == {"types", "low", "high"}
    text = tool.summary(graph)
    assert text.startswith(
        "6 files in 5 rooms, 4 on the landing\n4 arrows, 1 back arrows: high <->"
    )


def test_what_only_types_need_is_no_arrow(tool, package):
    text = (
        '"""A."""\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy.b.c import X'
    )
    graph = tool.read_graph(package({"a/a.py": text, "b/c.py": '"""B."""'}))
    assert graph.arrows == {"a": frozenset(), "b": frozenset()}
    assert graph.circles == []


def test_long_functions_and_names_without_words(tool, package):
    long = "def long():\n    '''Doc.'''\n" + "    x = 1\n" * 59
    short = long.removesuffix("    x = 1\n").replace("long", "_short")
    text = f"{long}{short}class Public:\n    def method(self): ...\n"
    graph = tool.read_graph(package({"a/b.py": text}))
    assert graph.long_functions == ["a/b.py:1"]
    assert graph.undocumented == ["a/b.py: the module", "a/b.py: Public", "a/b.py: method"]


def test_a_climb_is_a_call_to_a_room_that_imports_the_caller(tool, package, tmp_path):
    graph = tool.read_graph(package({"a/m.py": '"""A."""', "b/n.py": '"""B."""\nimport toy.a.m'}))
    up, down = [["toy.a.m", "f"], ["toy.b.n", "g"]], [["toy.b.n", "g"], ["toy.a.m", "f"]]
    told = [["toy.a.m", "f"], ["toy.b.n", "TerminalProgress.advance"]]
    seen = {"deepest": ["toy.a.m", "toy.b.n"], "calls": [up, down, told]}
    assert tool.walk_summary(seen, graph).splitlines() == [
        "one image: 2 rooms, 2 nested: b > a",
        "climbs: 1",
        "  toy.a.m.f -> toy.b.n.g",
    ]


def test_the_package_has_no_undocumented_name(tool):
    assert not tool.read_graph(tool.SOURCE).undocumented
