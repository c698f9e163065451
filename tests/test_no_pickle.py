"""No pickle of a file is loaded but as plain data, and none is written to a file."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "primaps"
PICKLERS = {"pickle", "_pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
# Messages of processes of one command, through pipes that only they have.
OWN_PIPES = {"compute/processes.py"}
# Functions that read or write pickles unless they are told not to: an argument that has to be
# there, and its value.
ASKED = {
    "torch.load": ("weights_only", True),
    "torch.hub.load": ("", None),
    "torch.hub.load_state_dict_from_url": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
# Read or write pickles, or run what a file says.
NEVER = {
    *("torch.save", "torch.jit.load", "torch.jit.save", "torch.package.PackageImporter"),
    *("pd.read_pickle", "pandas.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load"),
    *("multiprocessing.Queue", "multiprocessing.Manager", "eval", "exec"),
}


def dotted(node):
    """``torch.load`` of the function of a call; empty if it is no name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def imports(tree):
    """Names that a module imports, at its top or within functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.split(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def findings(text):
    """What a module does with pickles, line by line."""
    tree = ast.parse(text)
    found = [f"imports {name}" for name in imports(tree) if name in PICKLERS]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in NEVER:
            found.append(f"line {node.lineno}: calls {name}")
        if name in ASKED:
            wanted, value = ASKED[name]
            given = {each.arg: getattr(each.value, "value", ...) for each in node.keywords}
            if given.get(wanted, ...) is not value:
                found.append(f"line {node.lineno}: calls {name} without {wanted}={value}")
        if any(each.arg == "allow_pickle" and each.value.value for each in node.keywords):
            found.append(f"line {node.lineno}: allows pickles")
    return found


MODULES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_module_loads_or_writes_pickles(path):
    found = findings(path.read_text("utf-8"))
    if path.relative_to(SOURCE).as_posix() in OWN_PIPES:
        found = [each for each in found if each != "imports pickle"]
    assert found == []


def test_messages_of_processes_are_pickled_in_memory_only():
    for name in OWN_PIPES:
        tree = ast.parse((SOURCE / name).read_text("utf-8"))
        used = {dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert {each for each in used if each.startswith("pickle.")} <= {
            "pickle.loads",
            "pickle.dumps",
        }
        assert not {"open", "Path.open", "Path"} & used


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "def f():\n    from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.save(a, b)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.savez(path, a, allow_pickle=True)",
        "yaml.load(text)",
    ],
)
def test_what_would_be_found(text):
    assert findings(text)


@pytest.mark.parametrize(
    "text", ["torch.load(path, weights_only=True)", "np.load(path, allow_pickle=False)"]
)
def test_what_may_be(text):
    assert not findings(text)


def test_yaml_is_read_without_objects():
    """The only reader of YAML makes plain values: its loader knows no tag that makes objects."""
    import sys

    from primaps.errors import ConfigError
    from primaps.naming.table_text import parse_classes

    text = "classes: !!python/object/apply:sys.intern ['made by a tag']\n"
    before = set(sys.modules)
    with pytest.raises(ConfigError):
        parse_classes(text, "classes.yaml", [(0, 0, 0)] * 4)
    assert "os" in before
