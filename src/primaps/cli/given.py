"""The settings that options give. A wrong one is refused before heavy modules are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from primaps.cli.config_file import settings_from_file
from primaps.config import (
    MAX_CLASSES,
    MIN_CLASSES,
    Config,
    Initialise,
    KeptStore,
    Method,
    Pages,
    did_you_mean,
    preset_config,
    with_settings,
)
from primaps.errors import ConfigError

SETTINGS: Final = {
    "classes": "num_clusters",
    "seed": "seed",
    "size": "features.size",
    "threshold": "proposals.threshold",
    "min_area": "proposals.min_area",
    "max_masks": "proposals.max_masks",
    "method": "fit.method",
    "init": "fit.initialise",
    "crf": "predict.crf",
    "max_pixels": "predict.max_pixels",
    "unknown_below": "predict.unknown_below",
    "value_range": "inputs.value_range",
    "bands": "inputs.bands",
    "pages": "inputs.pages",
    "max_megapixels": "inputs.megapixels",
    "store": "store",
}
"""What the options set; one that is not given is left to the folder or the preset."""


def given_settings(**options: Any) -> dict[str, Any]:
    """The settings that were given, by their full names; options that were left out are None.

    Raises:
        ConfigError: If a word is none of those that an option takes, or a file given with --config
            holds settings that a command with these options does not have.
    """
    given = _from_file(options)
    given |= {SETTINGS[option]: value for option, value in options.items() if value is not None}
    if options.get("method") is not None and options.get("init") is None:
        given.pop("fit.initialise", None)  # the file's, for its own method
    for name, option, known in (
        ("fit.method", "--method", get_args(Method)),
        ("fit.initialise", "--init", get_args(Initialise)),
        ("store", "--store", get_args(KeptStore)),
    ):
        if given.get(name, known[0]) not in known:
            raise ConfigError(
                f"Expected {option} to be {', '.join(known[:-1])} or {known[-1]}, but got"
                f" {given[name]!r}.{did_you_mean(given[name], known)}"
            )
    if given.get("proposals.threshold") is not None:
        given["proposals.threshold"] = _threshold(given["proposals.threshold"])
    if "inputs.value_range" in given:
        given["inputs.value_range"] = _range(given["inputs.value_range"])
    if "inputs.bands" in given:
        given["inputs.bands"] = _bands(given["inputs.bands"])
    if given.get("inputs.pages", "first") not in get_args(Pages):
        raise ConfigError(
            f"Expected --pages to be first or all, but got {given['inputs.pages']!r}."
        )
    if given.get("num_clusters") is not None:
        given["num_clusters"] = _number(given["num_clusters"])
    return given


def _from_file(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the file that was given with --config, as far as the command has such."""
    settings, others_may_stand_there = settings_from_file()
    names = {SETTINGS[option] for option in options}
    parts = {name.partition(".")[0] for name in names if "." in name}
    if names & {"fit.method"}:
        parts |= {"num_clusters", "seed"}
    else:
        parts -= {"fit"}
    if "predict.crf" not in names:
        parts -= {"predict"}  # max_pixels alone is no reason for the others
    kept = {
        name: value
        for name, value in settings.items()
        if name.partition(".")[0] in parts or name in names
    }
    foreign = [name for name in settings if name not in kept]
    if foreign and not others_may_stand_there:
        raise ConfigError(
            f"Expected settings of this command in the file of --config, but got {foreign[0]},"
            " which means nothing to it. Remove it."
        )
    return kept


def preset_settings(preset: str | None, given: Mapping[str, Any]) -> Config:
    """The settings of a preset with those that were given, whatever an earlier run did.

    Raises:
        ConfigError: If the preset is unknown, or a value is out of range.
    """
    return with_settings(preset_config("default" if preset is None else preset), given)


def _number(text: str | int) -> int | None:
    """A number of classes; None = auto."""
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(
            f"Expected --classes to be auto, or a whole number from {MIN_CLASSES} to {MAX_CLASSES},"
            f" but got {text!r}."
        ) from error


def _range(text: str) -> str | tuple[float, ...]:
    """``auto``, ``dtype`` or two numbers."""
    if text in {"auto", "dtype"}:
        return text
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"Expected --range to be auto, dtype, or two numbers such as 0,3000, but got {text!r}."
        ) from error
    return low, high


def _bands(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(
            "Expected --bands to be numbers from 1 on, such as 4,3,2, or one of them, but got"
            f" {text!r}."
        ) from error


def _threshold(text: str) -> float | None:
    """A number; None = auto."""
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(
            f"Expected --threshold to be auto, or a cosine similarity in (0, 1], but got {text!r}."
        ) from error
