"""Make the pages that show the examples from the examples themselves.

    python tools/write_example_pages.py

``examples/README.md`` lists them, ``docs/examples/index.md`` shows all of them. Titles and texts
are their docstrings: the first line is the title, an indented line is how to call it. A test says
when the pages are out of date.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "examples"
LIST: Final = FOLDER / "README.md"
PAGE: Final = ROOT / "docs" / "examples" / "index.md"

_INTRODUCTION: Final = """\
One file for each task, short enough to be copied and changed. They take photographs of yours, or
else the free ones that come with scikit-image and scikit-learn (`pip install 'primaps[demo]'`);
`--help` lists what else. Several of them on one folder `run` compute nothing twice.
"""
_NOT_RUN: Final = (
    "<!-- not run: each example is run by tests/examples, on photographs of its own -->"
)


@dataclass(frozen=True)
class Example:
    """One file.

    Attributes:
        path: Where it lies.
        title: What it does.
        text: What one sees, as Markdown.
        call: A line for a terminal.
        code: The file without its docstring.
    """

    path: Path
    title: str
    text: str
    call: str
    code: str


def read_example(path: Path) -> Example:
    """An example by its docstring.

    Raises:
        ValueError: If it has none, or the docstring has no line that calls it.
    """
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    described = ast.get_docstring(tree)
    if described is None:
        raise ValueError(f"Expected {path.name} to begin with a docstring, but it does not.")
    title, _, rest = described.partition("\n")
    paragraphs = [each.strip("\n") for each in rest.split("\n\n") if each.strip()]
    calls = [each.strip() for each in paragraphs if each.startswith("    ")]
    if len(calls) != 1:
        raise ValueError(
            f"Expected one indented line in the docstring of {path.name}, how it is called, but got"
            f" {len(calls)}."
        )
    text = "\n\n".join(each for each in paragraphs if not each.startswith("    "))
    after = source.splitlines()[tree.body[0].end_lineno :]
    return Example(path, title.removesuffix("."), text, calls[0], "\n".join(after).strip())


def examples() -> list[Example]:
    """All of them: those with numbers in order, then the method itself."""
    return [read_example(path) for path in sorted(FOLDER.glob("*.py"))]


def the_list(found: list[Example]) -> str:
    """The text of ``examples/README.md``."""
    rows = "".join(f"| [{each.path.name}]({each.path.name}) | {each.title} |\n" for each in found)
    return (
        f"# Examples\n\n{_INTRODUCTION}\n| file | what it does |\n|---|---|\n{rows}\n"
        "All of them with their code: [docs/examples](../docs/examples/index.md). `cluster/` holds"
        " job\nfiles for Ray and SLURM ([many images](../docs/scale.md)).\n"
    )


def the_page(found: list[Example]) -> str:
    """The text of ``docs/examples/index.md``."""
    parts = ["# Examples", "*Documents: [`primaps`](../../src/primaps/__init__.py)*"]
    parts.append(_INTRODUCTION.strip())
    for each in found:
        name = each.path.name
        parts += [
            f"## {each.title}",
            each.text,
            f"{_NOT_RUN}\n```sh\n{each.call}\n```",
            f"[examples/{name}](../../examples/{name}):",
            f"{_NOT_RUN}\n```python\n{each.code}\n```",
        ]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Write both.

    Returns:
        The exit code.
    """
    found = examples()
    PAGE.parent.mkdir(exist_ok=True)
    for path, text in ((LIST, the_list(found)), (PAGE, the_page(found))):
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {len(found)} examples")
    return 0


if __name__ == "__main__":
    sys.exit(main())
