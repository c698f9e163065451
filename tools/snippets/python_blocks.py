"""Blocks of Python: those of a page share one namespace."""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import linecache
import socket
import traceback
import warnings
from typing import Any


def answer(connection: socket.socket) -> None:
    """Execute what comes, line by line as JSON, and answer with what went wrong, if anything."""
    warnings.simplefilter("error")
    namespace: dict[str, Any] = {"__name__": "__page__"}
    with contextlib.suppress(BrokenPipeError), connection.makefile("rw", encoding="utf-8") as file:
        for line in file:
            asked = json.loads(line)
            file.write(json.dumps(_error_of(asked["code"], asked["place"], namespace)) + "\n")
            file.flush()


def _error_of(code: str, place: str, namespace: dict[str, Any]) -> str | None:
    linecache.cache[place] = (len(code), None, code.splitlines(keepends=True), place)
    try:
        exec(compile(code, place, "exec"), namespace)
    except BaseException:  # noqa: BLE001 - of a page, whatever it is
        return traceback.format_exc()
    return None


def look_at(code: str, place: str) -> None:
    """Look at code that is not run: it is Python, and what it takes from the package is there.

    Raises:
        SyntaxError: If it is not.
        ImportError: If the package has no such module.
        AttributeError: If a module has no such name.
    """
    tree = ast.parse(code, place)
    short: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                if each.name.split(".")[0] == "primaps":
                    short[each.asname or "primaps"] = importlib.import_module(each.name)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("primaps"):
            module = importlib.import_module(str(node.module))
            for each in node.names:
                getattr(module, each.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = short.get(node.value.id)
            if owner is not None:
                getattr(owner, node.attr)
