"""The import contract: which module may import which."""

import ast
from pathlib import Path

import pytest

from primaps.cli import app

SOURCE = Path(__file__).parents[1] / "src" / "primaps"
STAGES = ("data", "features", "heads", "proposals", "prototypes", "naming", "evaluation", "outputs")
# Only leftwards: a module may import modules of its own or an earlier group. Some rooms have their
# place and are yet to come.
GROUPS = (
    (
        "types",
        "errors",
        "progress",
        "colour_profiles",
        "pictures",
        "given",
        "version",
        "extensions",
    ),
    ("config", "compute"),
    ("runs",),
    STAGES,
    ("shards",),
    ("pipeline",),
    ("arguments", "bars"),
    ("segmenter", "scoring", "notebook", "engine"),
    ("protocol",),
    ("cli", "__main__", "studio"),
)
PURE = (
    "proposals/**/*.py",
    "prototypes/certainty.py",
    "prototypes/classifier.py",
    "prototypes/clusters.py",
    "prototypes/em.py",
    "prototypes/pixels.py",
    "prototypes/proposal_em.py",
    "prototypes/steps/*.py",
    "prototypes/sums.py",
    "naming/*.py",
    "evaluation/matching.py",
    "evaluation/metrics.py",
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
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
LINES = 60
"""Of a function, with its docstring: it fits a screen."""
PARAMETERS = 10
"""Of a function; what needs more takes one object of settings."""


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


def names_from(path, module):
    """What a file imports from a module, also inside functions; "*" for the module itself."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == module:
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Import) and module in {alias.name for alias in node.names}:
            names.add("*")
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
            assert not [name for name in reached if name.startswith("evaluation")], path
            assert names_from(path, "primaps.data.dataset") <= {"dataset_title"}, path
            assert "primaps.data" not in imported(path), path


def functions(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]


def commands():
    """File and first line of every function that is a command of typer."""

    def below(group):
        yield from (command.callback for command in group.registered_commands)
        for inner in group.registered_groups:
            yield from below(inner.typer_instance)

    return {(one.__code__.co_filename, one.__code__.co_firstlineno) for one in below(app)}


def first_line(function):
    return min([function.lineno, *(node.lineno for node in function.decorator_list)])


def is_compiled(function):
    """Loops in machine code take arrays and numbers, no objects."""
    return {ast.unparse(node) for node in function.decorator_list} & {"compiled", "inlined"}


def test_the_commands_are_found():
    lines = {(str(path), first_line(function)) for path in MODULES for function in functions(path)}
    assert len(commands()) >= 13
    assert commands() <= lines


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_function_is_longer_than_a_screen(path):
    """The signature of a command of typer does not count: it is the list of its options."""
    for function in functions(path):
        is_command = (str(path), first_line(function)) in commands()
        start = function.body[0].lineno if is_command else function.lineno
        assert function.end_lineno - start < LINES, function.name


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) != "cli"], ids=str)
def test_no_function_has_a_page_of_parameters(path):
    for function in functions(path):
        given = function.args
        count = len([*given.posonlyargs, *given.args, *given.kwonlyargs])
        assert count <= PARAMETERS or is_compiled(function), function.name


ROOMS = sorted(path.parent for path in SOURCE.rglob("*/__init__.py"))


@pytest.mark.parametrize("folder", ROOMS, ids=str)
def test_every_room_says_what_comes_in_what_goes_out_and_where_to_begin(folder):
    readme = folder / "README.md"
    words = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    text = readme.read_text(encoding="utf-8") if readme.exists() else words
    for start in ("Comes in: ", "Goes out: ", "Open first: "):
        assert start in text, folder
    for name in text.split("Open first: ")[1].split("\n\n")[0].split("`")[1::2]:
        named = name.removesuffix("/").removesuffix(".md").removesuffix(".py").replace(".", "/")
        assert any(
            (base / f"{named}{suffix}").exists()
            for base in (folder, SOURCE.parent)
            for suffix in ("", ".py", ".md")
        ), name
