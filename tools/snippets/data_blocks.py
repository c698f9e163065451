"""Blocks of YAML, TOML and JSON: they are valid, and settings among them are those of commands."""

from __future__ import annotations

import io
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML


class DataBlockError(Exception):
    """A block of data is not what it should be."""


def look_at(text: str, language: str, folder: Path) -> None:
    """Read a block, and have it read as what it is: the options of a command, or ``classes.yaml``.

    Args:
        text: The block.
        language: "yaml", "toml" or "json".
        folder: Where a file may be written.

    Raises:
        DataBlockError: If it cannot be read.
    """
    try:
        values = _LOADERS[language](text)
    except Exception as error:
        raise DataBlockError(f"no {language}: {error}") from error
    if not isinstance(values, dict) or language == "json":
        return
    if isinstance(values.get("classes"), list):
        _as_classes(text)
    elif _is_config(values):
        _as_config(text, language, folder)


def _is_config(values: dict[str, Any]) -> bool:
    """Whether most of its names are those of options or settings."""
    import typer

    from primaps.cli import app

    command: Any = typer.main.get_command(app)
    options = {
        word.lstrip("-").replace("-", "_")
        for each in command.commands["segment"].params
        for word in each.opts
    }
    known = options | {"features", "proposals", "fit", "predict", "inputs"}
    names = [str(name).replace("-", "_") for name in values]
    return 2 * sum(name in known for name in names) > len(names)


def _as_config(text: str, language: str, folder: Path) -> None:
    from snippets.parsing import UnknownCommandError, parse_command

    file = folder / f"block.{language}"
    file.write_text(text, encoding="utf-8")
    try:
        parse_command(["segment", "photos", "--out", "new", "--config", str(file)])
    except UnknownCommandError as error:
        raise DataBlockError(str(error)) from error


def _as_classes(text: str) -> None:
    from primaps.errors import PrimapsError
    from primaps.naming.table_text import parse_classes

    try:
        parse_classes(text, "classes.yaml", [(0, 0, 0)] * 255)
    except PrimapsError as error:
        raise DataBlockError(str(error)) from error


_LOADERS: Final[dict[str, Callable[[str], Any]]] = {
    "yaml": lambda text: YAML(typ="safe").load(io.StringIO(text)),
    "toml": tomllib.loads,
    "json": json.loads,
}
