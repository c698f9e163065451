"""The exit codes of all commands, from `primaps.cli.exit_codes`."""

from __future__ import annotations

from primaps.cli.exit_codes import MEANINGS
from site_pages.marked import code, escaped, table


def exit_codes() -> str:
    """Markdown: a table."""
    rows = [(code(str(number)), escaped(meaning)) for number, meaning in MEANINGS.items()]
    return table(("Exit code", "What it says"), rows)
