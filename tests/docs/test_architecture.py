"""The recipes of docs/architecture.md, word for word."""

import importlib.util
import re
import sys
import types
from pathlib import Path

import pytest
from PIL import Image

from primaps.config import preset_config, with_settings
from primaps.data import dataset
from primaps.features import registry
from primaps.features.registry import BackboneSpec, find_spec
from primaps.heads.loading import load_backbone
from primaps.outputs.export import registry as exports
from primaps.pipeline import open_run, segment
from primaps.pipeline.exporting import ExportSettings, export

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


def recipe(heading):
    """The code blocks below a heading, by the comment in their first line."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n### {heading}\n")[1].split("\n### ")[0]
    blocks = re.findall(r"```python\n# ([^\n]+)\n(.*?)```", section, re.DOTALL)
    assert blocks, heading
    return dict(blocks)


@pytest.fixture
def add_module(monkeypatch):
    def add(path, code):
        name = path.removeprefix("src/").removesuffix(".py").replace("/", ".")
        module = types.ModuleType(name)
        exec(compile(code, path, "exec"), module.__dict__)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return add


def run_tests(code, *arguments):
    """The tests of a block, with what they take."""
    names = {}
    exec(compile(code, "test", "exec"), names)
    found = [value for name, value in names.items() if name.startswith("test_")]
    assert found
    for test in found:
        test(*arguments)


def neighbour(path):
    """Another module of tests, whose rules a new entry has to follow."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


registry_tests = neighbour(Path(__file__).parents[1] / "features" / "test_registry.py")
dataset_tests = neighbour(Path(__file__).parents[1] / "data" / "test_dataset.py")


def test_a_backbone_by_its_recipe(monkeypatch, add_module):
    blocks = recipe("A backbone")
    path = "src/primaps/features/stripes.py"
    entry = eval(blocks["in _SPECS of src/primaps/features/registry.py"])
    assert isinstance(entry, BackboneSpec)
    monkeypatch.setattr(registry, "_SPECS", (*registry._SPECS, entry))
    add_module(path, blocks[path])
    assert load_backbone(find_spec("stripes").name, device="cpu").threshold == 0.9
    run_tests(blocks["a test beside tests/features/test_registry.py"])
    for rule in (
        registry_tests.test_every_backbone_says_whether_it_saw_labels,
        registry_tests.test_vision_transformers_carry_threshold_licence_and_preprocessing,
    ):
        rule()


def test_a_data_set_by_its_recipe(monkeypatch, add_module, tmp_path):
    path = "src/primaps/data/ponds.py"
    add_module(path, recipe("A data set")[path])
    monkeypatch.setattr(dataset, "DATASETS", {**dataset.DATASETS, "ponds": "primaps.data.ponds"})
    run_tests(recipe("A data set")["a test beside tests/data/test_dataset.py"], tmp_path)
    dataset_tests.test_what_is_published_is_told("ponds")


def test_an_export_by_its_recipe(monkeypatch, add_module, tmp_path):
    blocks = recipe("An export")
    path = "src/primaps/outputs/export/shares.py"
    entry = eval(blocks["in _HOMES of src/primaps/outputs/export/registry.py"])
    monkeypatch.setattr(exports, "_HOMES", {**exports._HOMES, **entry})
    add_module(path, blocks[path])
    run = tmp_path / "run"
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name, grey in (("a.png", 10), ("b.png", 240)):
        Image.new("RGB", (64, 48), (grey, grey, 255 - grey)).save(photographs / name)
    inputs = [str(photographs)]
    config = with_settings(preset_config("fast"), {"num_clusters": 2, "features.size": 64})
    segment(open_run(inputs, run, load_backbone("texture", device="cpu"), config), inputs=inputs)
    export(run, tmp_path / "out", ExportSettings("shares"))
    header, *rows = (tmp_path / "out" / "shares.csv").read_text("utf-8").splitlines()
    assert header == "image,class 0,class 1"
    assert [row.split(",")[0] for row in rows] == ["a.png", "b.png"]
    for row in rows:
        assert sum(map(float, row.split(",")[1:])) == pytest.approx(1.0, abs=0.01)


def test_every_room_of_the_map_exists_and_every_room_is_on_it():
    source = PAGE.parents[1] / "src" / "primaps"
    named = set(re.findall(r"`([a-z_]+(?:/|\.py))`", PAGE.read_text().split("## The path")[0]))
    there = {f"{path.name}/" for path in source.iterdir() if (path / "__init__.py").exists()}
    there |= {path.name for path in source.glob("[a-z]*.py")}
    assert there <= named
