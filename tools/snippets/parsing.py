"""Commands that are not run, parsed: they and all their options exist."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import sys
from pathlib import Path
from typing import Any, Final

PLACEHOLDER: Final = "..."
"""Stands for what was written before."""


class UnknownCommandError(Exception):
    """A command, or something in it, does not exist."""


def parse_command(words: list[str]) -> None:
    """Parse a ``primaps`` command without running it.

    Raises:
        UnknownCommandError: If there is no such command or option.
    """
    import click
    import typer

    from primaps.cli import app

    command: Any = typer.main.get_command(app)
    path, rest = ["primaps"], [word for word in words if word != PLACEHOLDER]
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest[0]]
        path.append(rest.pop(0))
    if hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        raise UnknownCommandError(f"{' '.join(path)} has no command {rest[0]}")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            command.make_context(" ".join(path), _without_absent_file(rest))
    except Exception as error:
        if isinstance(error, click.exceptions.Exit) or type(error).__name__ == "Exit":
            return
        told = error.format_message() if hasattr(error, "format_message") else repr(error)
        raise UnknownCommandError(f"{' '.join(['primaps', *words])}: {told}") from error


def _without_absent_file(words: list[str]) -> list[str]:
    """Without ``--config FILE`` where there is no such file: it would be read at once."""
    if "--config" in words:
        at = words.index("--config")
        if not Path(words[at + 1]).exists():
            return words[:at] + words[at + 2 :]
    return words


def parse_script(words: list[str]) -> None:
    """Look whether a script is there and has all options that it is given.

    Raises:
        UnknownCommandError: If not.
    """
    script, *arguments = words
    if not Path(script).is_file():
        raise UnknownCommandError(f"there is no {script}")
    shown = io.StringIO()
    sys.argv = [script, "--help"]
    sys.path.insert(0, str(Path(script).parent))
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        runpy.run_path(script, run_name="__main__")
    known = set(re.findall(r"--[\w-]+", shown.getvalue()))
    for word in arguments:
        if word.startswith("--") and word.partition("=")[0] not in known:
            raise UnknownCommandError(f"{script} has no {word}, but {sorted(known)}")
