"""What a child of the warm process does: a command of the package, a script, or a look at a command
that is not to be run.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from snippets import known_forms
from snippets.parsing import PLACEHOLDER, UnknownCommandError, parse_command, parse_script

How = Literal["run", "parsed"]
_SERVING: Final = frozenset({"studio"})
"""Commands that serve until they are ended; tests/e2e/test_pasted_commands.py starts them."""


@dataclass(frozen=True)
class Done:
    """How a command ended: exit code, and whether it ran or was only parsed."""

    how: How
    code: int


def carry_out(kind: str, words: list[str]) -> Done:
    """Do what a program of the reader was asked for.

    Args:
        kind: "run" or "parse".
        words: The program's name and its arguments.
    """
    program, *arguments = words
    if program == "primaps" or arguments[:2] == ["-m", "primaps"]:
        return _primaps(kind, arguments if program == "primaps" else arguments[2:])
    if program == "python" and arguments and arguments[0].endswith(".py"):
        if kind == "run":
            return Done("run", _ended(lambda: _script(arguments)))
        return Done("parsed", _looked_at(lambda: parse_script(arguments)))
    return Done("parsed", _looked_at(lambda: known_forms.check(program, arguments)))


def _primaps(kind: str, words: list[str]) -> Done:
    parsed = _looked_at(lambda: parse_command(words))
    if kind == "parse" or parsed or words[0] in _SERVING or PLACEHOLDER in words:
        return Done("parsed", parsed)
    return Done("run", _ended(lambda: _command(words)))


def _looked_at(look: Callable[[], None]) -> int:
    try:
        look()
    except UnknownCommandError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _command(words: list[str]) -> None:
    from primaps.cli import app

    sys.argv = ["primaps", *words]
    app()


def _script(words: list[str]) -> None:
    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).parent))
    runpy.run_path(words[0], run_name="__main__")


def _ended(work: Callable[[], None]) -> int:
    """Its exit code."""
    try:
        work()
    except SystemExit as error:
        if isinstance(error.code, str):
            sys.stderr.write(f"{error.code}\n")
            return 1
        return error.code or 0
    return 0
