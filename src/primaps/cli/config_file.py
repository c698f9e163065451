"""Options from a file: ``--config FILE``, YAML or TOML under the names of the options, or the
``run.json`` of a run, to do the same again.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from primaps.config import Config, did_you_mean, with_settings
from primaps.errors import ConfigError

_PARTS: Final = ("features", "proposals", "fit", "predict")
_SETTINGS: ContextVar[Mapping[str, Any]] = ContextVar("settings of a file")
_OTHERS: ContextVar[bool] = ContextVar("whether settings of other commands may stand there")


def settings_from_file() -> tuple[Mapping[str, Any], bool]:
    """Settings by full name, such as ``fit.momentum``, of the file that this command was given, and
    whether it may hold settings that other commands have.
    """
    return _SETTINGS.get({}), _OTHERS.get(False)


def read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Take the options of a file as defaults of a command.

    Args:
        ctx: Of the command.
        path: The file; None = none was given.

    Raises:
        typer.BadParameter: If it cannot be read, or holds a name that the command does not have.
    """
    _SETTINGS.set({})
    _OTHERS.set(False)
    if path is None:
        return None
    try:
        values = _parsed(path)
        is_record = "format" in values and isinstance(values.get("config"), dict)
        options, settings = _of_record(values) if is_record else _parted(values)
        known = _names(ctx)
        if is_record:
            options = {name: value for name, value in options.items() if name in known}
        _refuse_unknown(path, options, list(known))
        _refuse_switches(ctx, path, {known[name]: value for name, value in options.items()})
        _check_settings(path, settings)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    _SETTINGS.set(settings)
    _OTHERS.set(is_record)
    ctx.call_on_close(lambda: _SETTINGS.set({}))
    defaults = {known[name]: value for name, value in options.items()}
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return path


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=read_config,
        help=(
            "Options from a file, YAML or TOML, by their names (classes: 20), settings without an"
            " option by theirs (fit: momentum: 0.9); or the run.json of a run. The command line"
            " wins."
        ),
    ),
]


def _parsed(path: Path) -> dict[str, Any]:
    """The file as a table.

    Raises:
        ConfigError: If it is none.
    """
    try:
        text = path.expanduser().read_text(encoding="utf-8")
        if path.suffix.lower() == ".toml":
            values: Any = tomllib.loads(text)
        elif path.suffix.lower() == ".json":
            values = json.loads(text)
        else:
            from ruamel.yaml import YAML
            from ruamel.yaml.error import YAMLError

            try:
                values = YAML(typ="safe", pure=True).load(text)
            except YAMLError as error:
                raise ValueError(str(error)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"Expected options in {path}, as YAML, TOML or the run.json of a run, but got: {error}"
        ) from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ConfigError(
            f"Expected names and values in {path}, such as 'classes: 20', but got something else."
        )
    return values


def _names(ctx: typer.Context) -> dict[str, str]:
    """Parameters of a command by the names that they have on the command line."""
    names = {}
    for each in ctx.command.get_params(ctx):
        for option in (*each.opts, each.name or ""):
            names[option.lstrip("-").replace("-", "_")] = str(each.name)
    return {name: target for name, target in names.items() if name not in {"help", "config", "h"}}


def _refuse_unknown(path: Path, options: Mapping[str, Any], known: list[str]) -> None:
    for name in options:
        if name not in known:
            raise ConfigError(
                f"{path}: there is no option {name!r} here.{did_you_mean(name, known)} Known:"
                f" {', '.join(sorted(known))}."
            )


def _refuse_switches(ctx: typer.Context, path: Path, given: Mapping[str, Any]) -> None:
    """Where a value is wanted, ``true`` would count as 1."""
    for each in ctx.command.get_params(ctx):
        value = given.get(str(each.name))
        if isinstance(value, bool) and not getattr(each, "is_flag", False):
            raise ConfigError(
                f"{path}: expected {each.opts[0]} to have a value, but got {str(value).lower()}."
            )


def _check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Make sure that settings can be used, while it is known which file they come from.

    Raises:
        ConfigError: If a name is unknown, or a value of another type or out of range.
    """
    try:
        with_settings(Config(), settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _parted(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options, and settings by full name."""
    options = {
        name.replace("-", "_"): value
        for name, value in values.items()
        if not (name in _PARTS and isinstance(value, dict))
    }
    return options, dict(
        _flat({name: values[name] for name in _PARTS if name not in options and name in values})
    )


def _of_record(record: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run was begun with, photographs and folder left out."""
    settings = record.get("settings", {})
    config, backbone = record["config"], settings.get("backbone", {}) if settings else {}
    options = {
        "preset": config.get("preset"),
        "backbone": backbone.get("name"),
        "levels": backbone.get("levels"),
        "weights": record.get("weights"),
        "head": record.get("head"),
    }
    whole = {name: config[name] for name in (*_PARTS, "num_clusters", "seed") if name in config}
    if config.get("store") is not None:
        whole["store"] = config["store"]
    return {name: value for name, value in options.items() if value is not None}, dict(_flat(whole))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
