"""The parts that pages name, and their place in a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from site_pages.command_line import command_line
from site_pages.exit_code_table import exit_codes
from site_pages.settings_table import settings

PARTS: Final[dict[str, Callable[[], str]]] = {
    "command line": command_line,
    "settings": settings,
    "exit codes": exit_codes,
}

_NAMED = re.compile(r"^<!-- made from the code: (.+?) -->$", re.MULTILINE)


def with_parts(text: str) -> str:
    """A page with the parts that it names.

    Args:
        text: Markdown.

    Raises:
        ValueError: If there is no part of such a name.
    """

    def made(match: re.Match[str]) -> str:
        if match[1] not in PARTS:
            raise ValueError(f"Expected one of {', '.join(PARTS)}, but a page names {match[1]!r}.")
        return PARTS[match[1]]()

    return _NAMED.sub(made, text)
