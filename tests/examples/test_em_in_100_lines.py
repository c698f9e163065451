"""The method in a hundred lines gives what the package gives, on photographs."""

import ast
import importlib.util
import io
import runpy
import sys
import tokenize
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import primaps as pm
from primaps.pipeline import reopen
from primaps.proposals.principal import principal_masks
from primaps.proposals.soft_scores import soft_scores
from primaps.prototypes.classifier import label_map_from_logits, logits
from primaps.types import View

FILE = Path(__file__).parents[2] / "examples" / "em_in_100_lines.py"
CLASSES = 5


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("em_in_100_lines", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Photographs of things, 120 pixels wide."""
    demo = pytest.importorskip("primaps.data.demo_views")
    pytest.importorskip("skimage")
    folder = tmp_path_factory.mktemp("small")
    for source, path in demo.photographs().items():
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        picture.thumbnail((120, 120))
        picture.save(folder / f"{source.title}.png")
    return folder


@pytest.fixture(scope="module")
def segmenter(small, tmp_path_factory):
    """The default path, all settings included."""
    made = pm.Segmenter(pm.load_backbone(device="cpu"), num_clusters=CLASSES, seed=0)
    return made.fit(small, run_dir=tmp_path_factory.mktemp("run") / "run", progress=False)


@pytest.fixture(scope="module")
def stored(segmenter):
    """Features and proposals of the run, in the order of its images."""
    run = reopen(segmenter.run_dir, {}, device="cpu")
    names = [image.name for image in run.usable_images()]
    source = run.store.source(names)
    return [
        (source.features(index, View()), source.proposals(index)) for index in range(len(source))
    ]


def code_lines(text):
    """Numbers of the lines that hold code: no blank ones, comments or docstrings."""
    empty = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in empty:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def test_it_is_a_hundred_lines_and_imports_nothing_of_the_package():
    text = FILE.read_text(encoding="utf-8")
    assert len(code_lines(text)) <= 100
    method = text.partition('if __name__ == "__main__":')[0]
    assert "import primaps" not in method
    assert "from primaps" not in method


def test_proposals_are_those_of_the_package(example, segmenter, stored):
    """Before the CRF, token for token; features as the store holds them."""
    threshold = segmenter.backbone.threshold
    for features, _ in stored:
        masks = principal_masks(features[None].float(), threshold)
        scores, _ = soft_scores(masks.similarity, masks.counts)
        expected = scores[0].argmax(0)
        assert torch.equal(example.propose(features.float(), threshold), expected)
        assert expected.max() > 2


def test_prototypes_are_those_of_a_default_run(example, segmenter, stored):
    """The package's own proposals, refined by the CRF, and all draws by the same numbers."""
    features, proposals = zip(*stored, strict=True)
    found = example.fit(features, proposals, CLASSES, seed=0)
    # Equal to the last bit on x86. The tolerance is for processors on which the two sum in another
    # order, which 150 steps of Adam carry on.
    torch.testing.assert_close(found, segmenter.model.prototypes, rtol=1e-4, atol=1e-6)


def test_label_maps_are_those_of_the_package(example, segmenter, stored):
    prototypes = segmenter.model.prototypes
    for features, proposals in stored:
        size = tuple(proposals.shape)
        expected = label_map_from_logits(logits(features, prototypes), size)
        assert torch.equal(example.label_map(features, prototypes, size), expected.long())


def test_without_photographs_it_says_what_it_does(monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(FILE)])
    with pytest.raises(SystemExit, match="PriMaPs-EM in a hundred lines"):
        runpy.run_path(str(FILE), run_name="__main__")


def test_it_writes_a_label_map_of_every_photograph(small, tmp_path, monkeypatch):
    files = sorted(map(str, small.iterdir()))[:2]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(FILE), *files])
    runpy.run_path(str(FILE), run_name="__main__")
    for file in map(Path, files):
        with Image.open(file) as photograph, Image.open(f"em-in-100-lines/{file.name}") as written:
            assert written.size == photograph.size
            assert set(np.unique(written)) <= set(range(8))
            assert len(np.unique(written)) > 1
