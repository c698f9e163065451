"""The import contract: which module may import which."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "primaps"
STAGES = ("data", "features", "heads", "proposals", "prototypes", "naming", "evaluation", "outputs")
# Only leftwards: a module may import modules of its own or an earlier group. Some rooms have their
# place and are yet to come.
GROUPS = (
    ("types", "errors", "progress"),
    ("config", "compute"),
    ("runs",),
    STAGES,
    ("pipeline",),
    ("segmenter", "engines"),
    ("protocol",),
    ("cli", "__main__", "studio"),
)
PURE = (
    "proposals/**/*.py",
    "prototypes/certainty.py",
    "prototypes/classifier.py",
    "prototypes/clusters.py",
    "prototypes/em.py",
    "prototypes/proposal_em.py",
    "prototypes/steps/*.py",
    "naming/*.py",
    "evaluation/matching.py",
    "evaluation/metrics.py",
)
NUMERIC = {"torch", "numpy", "scipy", "numba", "triton"}
HARMLESS = {
    "__future__",
    "collections",
    "dataclasses",
    "functools",
    "itertools",
    "math",
    "types",
    "typing",
    "warnings",
}
# Names and corrections are texts: what turns a text into tables and back reads and writes nothing.
TEXT = {"hashlib", "io", "json", "re", "ruamel"}
MODULES = sorted(SOURCE.rglob("*.py"))


def imported(path):
    """Absolute names of all modules that a file imports, also inside functions."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            names.append(str(node.module))
    return names


def room(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def level(name):
    for index, group in enumerate(GROUPS):
        if name in group:
            return index
    raise AssertionError(f"{name} stands in no group: decide where it belongs")


def ours(path):
    return [name.split(".")[1] for name in imported(path) if name.startswith("primaps.")]


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path != SOURCE / "__init__.py"], ids=str
)
def test_imports_point_leftwards(path):
    home = room(path)
    for target in ours(path):
        assert level(target) <= level(home), f"{home} must not import {target}"
        if home in STAGES and target in STAGES and (home, target) != ("heads", "features"):
            assert target == home, f"the stages {home} and {target} must not know each other"


@pytest.mark.parametrize(
    "path", [path for pattern in PURE for path in sorted(SOURCE.glob(pattern))], ids=str
)
def test_the_method_is_pure(path):
    allowed = NUMERIC | HARMLESS | {"primaps"} | (TEXT if room(path) == "naming" else set())
    assert {name.split(".")[0] for name in imported(path)} <= allowed
    called = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    forbidden = {
        "print",
        "open",
        "torch.pca_lowrank",
        "torch.svd_lowrank",
        "torch.manual_seed",
        "torch.cuda.is_available",
    }
    assert not called & forbidden
    assert not [name for name in called if name.startswith(("np.random.", "random.", "os."))]


def test_every_pure_pattern_matches_a_file():
    for pattern in PURE:
        assert list(SOURCE.glob(pattern)), pattern


def test_no_attics():
    assert not [path for path in MODULES if path.stem in {"utils", "helpers", "misc", "common"}]


def test_labels_stay_in_evaluation():
    """Nothing that fits or selects a model imports the data sets' labels or the scores."""
    for path in MODULES:
        if room(path) in {
            "proposals",
            "prototypes",
            "features",
            "heads",
            "naming",
            "pipeline",
            "runs",
        }:
            assert "evaluation" not in ours(path), path
            assert "primaps.data.labels" not in imported(path), path


def test_what_selects_without_labels_sees_none():
    """In the benchmark, only the modules named here read labels or scores; `oracle` alone selects
    with them.
    """
    seeing = {"images", "oracle", "probing", "heads", "label_maps", "measure", "row", "record"}
    for path in sorted((SOURCE / "protocol").glob("*.py")):
        if path.stem not in seeing:
            reached = {
                ".".join(name.split(".")[1:3])
                for name in imported(path)
                if name.startswith("primaps.")
            }
            assert not [
                name for name in reached if name.startswith("evaluation") or name == "data.dataset"
            ], path
