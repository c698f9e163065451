"""Make the notebooks of ``docs/tutorials/`` from their scripts, and execute them.

    python tools/execute_tutorial.py [NAME ...]

``docs/tutorials/first_data_set.py`` becomes ``docs/tutorials/first-data-set.ipynb``. The script is
what is written and reviewed: cells begin with ``# %%``, those of text with ``# %% [markdown]`` and
hold comments. Cells are executed in an empty folder by the kernel ``python3`` of this environment.
Pictures are kept as JPEG, and pages (HTML) are left out in favour of the text that stands for them,
so that the notebook stays small. Equal versions of the dependencies give an equal notebook.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import nbformat
from nbclient import NotebookClient
from PIL import Image as PILImage

TUTORIALS: Final = Path(__file__).parents[1] / "docs" / "tutorials"
TIMEOUT: Final = 600
"""Seconds for a cell."""

_FORMAT: Final[Any] = nbformat  # annotated in part only
_CELL: Final = re.compile(r"^# %%(.*)\n", re.MULTILINE)
_QUALITY: Final = 80
_KERNEL: Final = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebook_of(script: Path) -> Path:
    """Where the notebook of a script lies."""
    return script.with_name(f"{script.stem.replace('_', '-')}.ipynb")


def cells(script: str) -> Iterator[tuple[str, str]]:
    """The cells of a script.

    Args:
        script: Its text.

    Yields:
        "markdown" or "code", and the source of the cell.

    Raises:
        ValueError: If there is something before the first cell, a cell of text has a line that is
            no comment, or a mark is none that is known.
    """
    before, *parts = _CELL.split(script)
    if before.strip():
        raise ValueError(f"Expected the script to begin with a cell, but got {before[:40]!r}.")
    for mark, body in zip(parts[::2], parts[1::2], strict=True):
        if mark.strip() == "[markdown]":
            lines = body.strip().split("\n")
            wrong = [line for line in lines if line != "#" and not line.startswith("# ")]
            if wrong:
                raise ValueError(f"Expected text in comments, but got {wrong[0]!r}.")
            yield "markdown", "\n".join(line[2:] for line in lines)
        elif not mark.strip():
            yield "code", body.strip()
        else:
            raise ValueError(f"Expected '# %%' or '# %% [markdown]', but got '# %%{mark}'.")


def notebook(script: str) -> Any:
    """The notebook of a script, not executed; ids of cells count up."""
    make = {"markdown": _FORMAT.v4.new_markdown_cell, "code": _FORMAT.v4.new_code_cell}
    made = [
        make[kind](source, id=f"cell-{number}")
        for number, (kind, source) in enumerate(cells(script), start=1)
    ]
    return _FORMAT.v4.new_notebook(cells=made, metadata={"kernelspec": dict(_KERNEL)})


def execute(book: Any, folder: Path) -> None:
    """Execute all cells, in place.

    Args:
        book: The notebook.
        folder: The kernel's working directory.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    client = NotebookClient(
        book,
        timeout=TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    # huggingface_hub asks for a bar of progress that notebooks without ipywidgets do not have
    quiet = {"PYTHONWARNINGS": "ignore:IProgress not found"}
    client.execute(env={**os.environ, **quiet})
    book.metadata = _FORMAT.from_dict({"kernelspec": dict(_KERNEL)})  # no versions


def slim(book: Any) -> None:
    """Pictures as JPEG, no pages; in place."""
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            data.pop("text/html", None)
            if "image/png" in data:
                picture = PILImage.open(io.BytesIO(base64.b64decode(data.pop("image/png"))))
                stream = io.BytesIO()
                picture.convert("RGB").save(stream, "JPEG", quality=_QUALITY, optimize=True)
                data["image/jpeg"] = base64.b64encode(stream.getvalue()).decode("ascii")
            if "image/jpeg" in data:
                data.pop("text/plain", None)
                output.get("metadata", {}).clear()


def main(arguments: list[str]) -> int:
    """Make notebooks anew.

    Args:
        arguments: Names of scripts, without ``.py``; none = all.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description="Execute the tutorials.")
    known = sorted(path.stem for path in TUTORIALS.glob("*.py"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    names = parser.parse_args(arguments).names or known
    for name in names:
        script = TUTORIALS / f"{name}.py"
        book = notebook(script.read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory() as folder:
            execute(book, Path(folder))
        slim(book)
        path = notebook_of(script)
        path.write_text(_FORMAT.writes(book) + "\n", encoding="utf-8")
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
