"""Plain text as Markdown that shows it letter by letter."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CODE = re.compile(r"(`[^`\n]+`)")
_MARKS = re.compile(r"([\\*_{}\[\]<>#|~])")


def escaped(text: str) -> str:
    """Text in one line whose signs mean nothing, code in backticks excepted."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(
        part if number % 2 else _MARKS.sub(r"\\\1", part) for number, part in enumerate(parts)
    )


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    """Text as code in a cell of a table."""
    return f"`{text}`"
