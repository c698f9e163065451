"""The plan of the house: which room imports which, how large the rooms are, and how one image
walks through them.

    python tools/import_graph.py                                 # of src/primaps
    python tools/import_graph.py --arrows                        # every arrow between rooms
    python tools/import_graph.py --walk PHOTOGRAPH               # and one image, by a profiler
    python tools/import_graph.py --source OTHER/src/primaps      # of another checkout

A room is a folder with modules, or a module beside the folders. An arrow leads from a room to one
that it imports, also inside functions; under ``if TYPE_CHECKING:`` nothing is imported. A back
arrow is one half of a pair of rooms that import each other; a circle is a set of rooms that reach
each other. Of a walk (``primaps segment`` with one thread): the rooms that one photograph passes,
the longest nesting of rooms in the stack of calls, and the climbs: places in the code that call a
function of a room which imports theirs, apart from those that tell the terminal about progress.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SOURCE: Final = Path(__file__).resolve().parents[1] / "src" / "primaps"
LONG: Final = 60
"""Lines of a function from which on it no longer fits a screen."""


@dataclass(frozen=True)
class Graph:
    """What the modules of a package say.

    Attributes:
        modules: Dotted name of every module and its room.
        arrows: Rooms that each room imports.
        lines: Lines of code, comments and blanks per room.
        long_functions: Where there is a function of more than `LONG` lines.
        undocumented: Public names without a docstring.
    """

    modules: Mapping[str, str]
    arrows: Mapping[str, frozenset[str]]
    lines: Mapping[str, int]
    long_functions: Sequence[str]
    undocumented: Sequence[str]

    @property
    def back_arrows(self) -> list[tuple[str, str]]:
        """Pairs of rooms that import each other, each pair once."""
        return sorted(
            (room, other)
            for room, others in self.arrows.items()
            for other in others
            if room < other and room in self.arrows.get(other, frozenset())
        )

    @property
    def circles(self) -> list[frozenset[str]]:
        """Sets of two rooms or more that reach each other."""
        reached = {room: self.reached(room) for room in self.arrows}
        sets = {
            frozenset({other for other in reached[room] if room in reached.get(other, ())} | {room})
            for room in reached
        }
        return sorted((each for each in sets if len(each) > 1), key=sorted)

    def reached(self, room: str) -> frozenset[str]:
        """Rooms that a room imports, also through others."""
        found: set[str] = set()
        waiting = list(self.arrows.get(room, ()))
        while waiting:
            other = waiting.pop()
            if other not in found:
                found.add(other)
                waiting += self.arrows.get(other, ())
        return frozenset(found)


def main(given: Sequence[str] | None = None) -> int:
    """Print the plan."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, default=SOURCE, metavar="FOLDER")
    parser.add_argument("--arrows", action="store_true")
    parser.add_argument("--walk", type=Path, metavar="PHOTOGRAPH")
    options = parser.parse_args(given)
    graph = read_graph(options.source)
    print(summary(graph))
    if options.arrows:
        print("\n".join(f"{room} -> {', '.join(sorted(to))}" for room, to in graph.arrows.items()))
    if options.walk is not None:
        print(walk_summary(walk(options.source, options.walk.absolute()), graph))
    return 0


def read_graph(source: Path) -> Graph:
    """The graph of a package.

    Args:
        source: Its folder.
    """
    files = {_module(path, source): path for path in sorted(source.rglob("*.py"))}
    modules = {name: room_of(path, source) for name, path in files.items()}
    arrows: dict[str, set[str]] = {room: set() for room in modules.values()}
    lines: dict[str, int] = defaultdict(int)
    long_functions, undocumented = list[str](), list[str]()
    for name, path in files.items():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        lines[modules[name]] += len(text.splitlines())
        arrows[modules[name]] |= {
            modules[target]
            for target in imported(tree, modules)
            if modules[target] != modules[name]
        }
        where = path.relative_to(source)
        commands = where.parts[0] == "cli"
        long_functions += [f"{where}:{line}" for line in _long_functions(tree, commands)]
        undocumented += [f"{where}: {public}" for public in _undocumented(tree)]
    frozen = {room: frozenset(to) for room, to in arrows.items()}
    return Graph(modules, frozen, lines, long_functions, undocumented)


def room_of(path: Path, source: Path) -> str:
    """The folder that a module lies in, or the module itself where it lies beside the folders."""
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1]) or parts[0]


def imported(tree: ast.Module, modules: Mapping[str, str]) -> Iterator[str]:
    """Modules of the package that a module imports when it runs."""
    for node in _nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                target = full if full in modules else node.module
                if target in modules:
                    yield target
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING:``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _nodes(node)


def _module(path: Path, source: Path) -> str:
    parts = (source.name, *path.relative_to(source).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def _long_functions(tree: ast.Module, commands: bool) -> list[int]:
    """First lines of long functions; the signature of a command is a list of options, and left
    out.
    """
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and (node.end_lineno or 0) - (node.body[0].lineno if commands else node.lineno) >= LONG
    ]


def _undocumented(tree: ast.Module) -> list[str]:
    missing = [] if ast.get_docstring(tree) else ["the module"]
    for node in _public(tree.body):
        inner = _public(node.body) if isinstance(node, ast.ClassDef) else []
        missing += [each.name for each in (node, *inner) if not ast.get_docstring(each)]
    return missing


def _public(body: Sequence[ast.stmt]) -> list[ast.FunctionDef | ast.ClassDef]:
    return [
        node
        for node in body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and "overload" not in map(ast.unparse, node.decorator_list)  # one of them is documented
    ]


def summary(graph: Graph) -> str:
    """The numbers in words."""
    arrows = sum(map(len, graph.arrows.values()))
    circles = "; ".join(", ".join(sorted(circle)) for circle in graph.circles)
    back = ", ".join(f"{room} <-> {other}" for room, other in graph.back_arrows)
    sizes = sorted(graph.lines.items(), key=lambda item: -item[1])
    top = {room.split(".")[0] for room in graph.arrows}
    return "\n".join(
        [
            f"{len(graph.modules)} files in {len(graph.arrows)} rooms, {len(top)} on the landing",
            f"{arrows} arrows, {len(graph.back_arrows)} back arrows{f': {back}' if back else ''}",
            f"{len(graph.circles)} circles{f': {circles}' if circles else ''}",
            f"functions of more than {LONG} lines: {', '.join(graph.long_functions) or 'none'}",
            f"public names without a docstring: {', '.join(graph.undocumented) or 'none'}",
            f"lines: {', '.join(f'{room} {count}' for room, count in sizes)}",
        ]
    )


_PROFILED: Final = """
import inspect, json, sys, threading
out, argv = sys.argv[1], sys.argv[2:]
deepest, calls, local = [], set(), threading.local()
def ours(frame):
    name = frame.f_globals.get("__name__") or ""
    return name if name.startswith("primaps") else None
def profile(frame, event, _):
    code = frame.f_code
    body = not code.co_flags & inspect.CO_OPTIMIZED or code.co_name == "__create_fn__"
    if event != "call" or body or not ours(frame):
        return  # bodies of modules and classes are no calls
    modules, caller = [], None
    step = frame
    while step is not None:
        name = ours(step)
        if name and step.f_code.co_name != "<module>":
            modules.append(name)
            if caller is None and step is not frame:
                caller = (name, step.f_code.co_qualname)
        step = step.f_back
    nested = [name for index, name in enumerate(modules) if not index or modules[index - 1] != name]
    if len(nested) > len(deepest):
        deepest[:] = nested
    if caller is not None and frame.f_code.co_name != "<module>":
        calls.add((caller, (ours(frame), frame.f_code.co_qualname)))
threading.setprofile(profile)
sys.setprofile(profile)
from primaps.cli import main
sys.argv = ["primaps", *argv]
try:
    main()
except SystemExit as error:
    status = error.code
sys.setprofile(None)
json.dump({"deepest": deepest, "calls": sorted(calls), "code": status}, open(out, "w"))
"""


def walk(source: Path, photograph: Path) -> dict[str, Any]:
    """Run ``primaps segment`` on one photograph under a profiler.

    Args:
        source: Folder of the package that runs.
        photograph: An image file.

    Returns:
        ``deepest``: modules of the deepest stack, innermost first, without repetitions;
        ``calls``: pairs of [module, function] where the first calls the second.
    """
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "seen.json"
        options = ["--out", f"{folder}/run", "--classes", "3", "--size", "160", "--device", "cpu"]
        environment = {**os.environ, "PYTHONPATH": str(source.parent), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", _PROFILED, str(seen), "segment", str(photograph), *options]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        result: dict[str, Any] = json.loads(seen.read_text(encoding="utf-8"))
    if result["code"]:
        raise SystemExit(f"Expected the walk to end well, but got exit code {result['code']}.")
    return result


def walk_summary(seen: Mapping[str, Any], graph: Graph) -> str:
    """The walk in words: rooms, deepest nesting, climbs."""
    rooms = [graph.modules[name] for name in reversed(seen["deepest"])]
    nested = [room for index, room in enumerate(rooms) if not index or rooms[index - 1] != room]
    climbs = sorted(
        f"{caller[0]}.{caller[1]} -> {callee[0]}.{callee[1]}"
        for caller, callee in seen["calls"]
        if "Progress" not in callee[1]
        and _climbs(graph, graph.modules[caller[0]], graph.modules[callee[0]])
    )
    visited = {graph.modules[name] for call in seen["calls"] for name, _ in call}
    return "\n".join(
        [
            f"one image: {len(visited)} rooms, {len(nested)} nested: {' > '.join(nested)}",
            f"climbs: {len(climbs)}",
            *(f"  {climb}" for climb in climbs),
        ]
    )


def _climbs(graph: Graph, caller: str, callee: str) -> bool:
    """Whether a call leads up to a room that imports the caller's and is not imported by it."""
    below, above = graph.reached(callee), graph.reached(caller)
    return caller != callee and caller in below and callee not in above


if __name__ == "__main__":
    sys.exit(main())
