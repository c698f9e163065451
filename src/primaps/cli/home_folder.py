"""``~`` in arguments that no shell has replaced: after ``=``, and in quotes."""

from __future__ import annotations

import os
from collections.abc import Sequence


def at_home(arguments: Sequence[str]) -> list[str]:
    """Arguments in which a leading ``~/``, also of a value after ``--option=``, is the user's home
    folder.

    Examples:
        >>> at_home(["segment", "3=~x", "~x"])
        ['segment', '3=~x', '~x']
    """
    return [_at_home(each) for each in arguments]


def _at_home(argument: str) -> str:
    option, equals, value = argument.partition("=")
    if not argument.startswith("-"):
        option, equals, value = "", "", argument
    if value == "~" or value.startswith(("~/", f"~{os.sep}")):
        value = os.path.expanduser(value)  # noqa: PTH111 - keeps a slash at the end
    return f"{option}{equals}{value}"
