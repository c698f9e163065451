"""Make the pages of the documentation out of the executed notebooks of ``docs/tutorials/``.

    python tools/write_tutorial_pages.py

``docs/tutorials/first-data-set.ipynb`` becomes ``docs/tutorials/first-data-set.md``, its pictures
files in a folder beside it. Nothing is executed: `tools/execute_tutorial.py` makes the notebook. A
test says when a page is out of date.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

TUTORIALS: Final = Path(__file__).parents[1] / "docs" / "tutorials"

_DOCUMENTS: Final = "*Documents: [`primaps.segmenter`](../../src/primaps/segmenter.py)*"
_NOT_RUN: Final = "<!-- not run: the notebook is executed by tests/docs/test_first_data_set.py -->"
_HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCE: Final = "```"


def page_of(notebook: Path) -> Path:
    """Where the page of a notebook lies."""
    return notebook.with_suffix(".md")


def page(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """The page of an executed notebook.

    Args:
        notebook: Its file.

    Returns:
        Markdown, and the pictures by their paths beside the page.
    """
    book = json.loads(notebook.read_text(encoding="utf-8"))
    parts, pictures, heading = list[str](), dict[str, bytes](), ""
    for cell in book["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            headings = _HEADING.findall(source)
            heading = headings[-1] if headings else heading
            parts.append(source if parts else _with_head(source, notebook.name))
            continue
        parts.append(f"{_NOT_RUN}\n{_FENCE}python\n{source}\n{_FENCE}")
        for output in cell["outputs"]:
            said = _text(output)
            if said:
                parts.append(f"{_FENCE}text\n{said}\n{_FENCE}")
            for picture in _pictures(output):
                name = f"{notebook.stem}/{len(pictures) + 1:02}.jpg"
                pictures[name] = picture
                parts.append(f"![{heading}: what the cell above draws]({name})")
    return "\n\n".join(parts) + "\n", pictures


def _with_head(source: str, name: str) -> str:
    """The first cell, with what it documents below its title."""
    title, _, rest = source.partition("\n")
    notebook = f"The same as a notebook, to be run: [{name}]({name})."
    return f"{title}\n\n{_DOCUMENTS}\n\n{rest.strip()}\n\n{notebook}"


def _text(output: dict[str, Any]) -> str:
    """What an output says in words."""
    said = output.get("text", output.get("data", {}).get("text/plain", ""))
    return "".join(said).strip("\n")


def _pictures(output: dict[str, Any]) -> Iterator[bytes]:
    """The picture of an output, if it has one."""
    drawn = output.get("data", {}).get("image/jpeg")
    if drawn:
        yield base64.b64decode("".join(drawn))


def main() -> int:
    """Write the pages of all notebooks; pictures that none has any more are deleted.

    Returns:
        The exit code.
    """
    for notebook in sorted(TUTORIALS.glob("*.ipynb")):
        text, pictures = page(notebook)
        folder = notebook.with_suffix("")
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.jpg"):
            old.unlink()
        for name, data in pictures.items():
            (TUTORIALS / name).write_bytes(data)
        page_of(notebook).write_text(text, encoding="utf-8")
        size = sum(map(len, pictures.values())) / 1e6
        print(f"{page_of(notebook).name}: {len(pictures)} pictures, {size:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
