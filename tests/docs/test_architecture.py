"""The recipes of docs/architecture.md, word for word."""

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from primaps.data import dataset
from primaps.data.dataset import load_dataset
from primaps.features import registry
from primaps.features.registry import BackboneSpec, find_spec
from primaps.heads.loading import load_backbone

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


def test_a_backbone_by_its_recipe(monkeypatch, add_module):
    blocks = recipe("A backbone")
    path = "src/primaps/features/stripes.py"
    entry = eval(blocks["in _SPECS of src/primaps/features/registry.py"])
    assert isinstance(entry, BackboneSpec)
    monkeypatch.setattr(registry, "_SPECS", (*registry._SPECS, entry))
    add_module(path, blocks[path])
    backbone = load_backbone(find_spec("stripes").name, device="cpu")
    image = np.zeros((40, 64, 3), dtype=np.uint8)
    image[:, 32:] = 255
    features = backbone.extract(image, size=40)
    assert features.shape == (3, 5, 8)
    assert (features[:, :, 0] < 0).all()
    assert (features[:, :, 7] > 0).all()
    assert backbone.threshold == 0.9


def test_a_data_set_by_its_recipe(monkeypatch, add_module, tmp_path):
    path = "src/primaps/data/ponds.py"
    add_module(path, recipe("A data set")[path])
    monkeypatch.setattr(dataset, "DATASETS", {**dataset.DATASETS, "ponds": "primaps.data.ponds"})
    for folder in ("train", "trainannot"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "train" / "a.jpg")
    Image.fromarray(np.array([[0, 1, 255, 1]] * 6, np.uint8).repeat(2, axis=1)).save(
        tmp_path / "trainannot" / "a.png"
    )
    (sample,) = load_dataset("ponds", tmp_path, "train")
    assert sample.labels[0].tolist() == [0, 0, 1, 1, 255, 255, 1, 1]


def test_every_room_of_the_map_exists_and_every_room_is_on_it():
    source = PAGE.parents[1] / "src" / "primaps"
    named = set(re.findall(r"`([a-z_]+(?:/|\.py))`", PAGE.read_text().split("## The path")[0]))
    there = {f"{path.name}/" for path in source.iterdir() if (path / "__init__.py").exists()}
    there |= {path.name for path in source.glob("[a-z]*.py")}
    assert there <= named
