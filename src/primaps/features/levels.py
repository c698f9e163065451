"""Levels of a hierarchical model: which ones are taken, and how they become one grid of features.

Convolutional networks and hierarchical transformers give feature maps at several strides. The
coarsest alone knows most about things but hardly where they are; joined with finer levels it can do
both (hypercolumns, Hariharan et al. 2015). Every level is scaled to unit length per cell, so that
none drowns the others, brought to the finest grid, and joined.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.nn import functional as F

from primaps.errors import BackboneError, ConfigError

DEFAULT_STRIDES: Final = (8, 16, 32)
"""Taken as far as a model has them."""
LAST: Final = "last"
"""Instead of levels: the last level alone, as the model gives it. The only choice with plain vision
transformers.
"""
MAX_WEIGHT: Final = 1000.0

_FORM: Final = (
    "strides with commas between, and a weight after a colon where wanted, for example 8,16,32 or"
    " 8:0.5,16,32"
)


@dataclass(frozen=True, order=True)
class Level:
    """One level that takes part in the features.

    Attributes:
        stride: Side of its cells in pixels of the input.
        weight: Length of its vectors in the features.
    """

    stride: int
    weight: float = 1.0

    def __str__(self) -> str:
        """In the form in which it is chosen."""
        return (
            str(self.stride)
            if self.weight == 1.0
            else f"{self.stride}:{repr(self.weight).removesuffix('.0')}"
        )


@dataclass(frozen=True)
class OfferedLevel:
    """A level that a model has.

    Attributes:
        index: In the model's list of levels.
        channels: Its number of channels.
    """

    index: int
    channels: int


def offered_levels(feature_info: Sequence[Mapping[str, Any]]) -> dict[int, OfferedLevel]:
    """What a model of timm has, by stride; where several levels have the same stride, the last one.

    Args:
        feature_info: Of the model: one entry per level with ``reduction`` and ``num_chs``.
    """
    return {
        int(info["reduction"]): OfferedLevel(index, int(info["num_chs"]))
        for index, info in enumerate(feature_info)
    }


def parse_levels(text: str) -> tuple[Level, ...]:
    """Levels from their text form.

    Args:
        text: ``"8,16,32"``, or with weights ``"8:0.5,16,32"``.

    Returns:
        The levels, finest first.

    Raises:
        ConfigError: If the text has another form, a stride is given twice, or a weight is out of
            range.

    Examples:
        >>> [str(level) for level in parse_levels("32, 8:0.5")]
        ['8:0.5', '32']
    """
    levels = tuple(sorted(_parse_level(part.strip(), text) for part in text.split(",")))
    if len({level.stride for level in levels}) < len(levels):
        raise ConfigError(f"Expected levels with every stride once, but got {text!r}.")
    return levels


def _parse_level(part: str, text: str) -> Level:
    stride, colon, weight = part.partition(":")
    try:
        level = Level(int(stride), float(weight) if colon else 1.0)
    except ValueError as error:
        raise ConfigError(f"Expected levels to be {_FORM}, or {LAST}, but got {text!r}.") from error
    if level.stride < 1 or not 0.0 < level.weight <= MAX_WEIGHT:
        raise ConfigError(
            f"Expected levels with strides from 1 on and weights above 0, up to {MAX_WEIGHT:g}, but"
            f" got {part!r} in {text!r}."
        )
    return level


def levels_text(levels: Sequence[Level]) -> str:
    """The text form of levels; `parse_levels` reads it."""
    return ",".join(map(str, levels))


def choose_levels(
    asked: str | None, offered: Mapping[int, OfferedLevel], name: str
) -> tuple[Level, ...]:
    """The levels that features are made of.

    Args:
        asked: Text form of the levels, or `LAST`; None = `DEFAULT_STRIDES` as far as a hierarchical
            model has them.
        offered: By stride what the model has.
        name: Of the backbone, for messages.

    Returns:
        Finest first; nothing where the last level is taken as the model gives it.

    Raises:
        ConfigError: If the model has no such levels, or only one.
    """
    if len(offered) < 2:
        refuse_levels(asked, name)
        return ()
    if asked == LAST:
        return ()
    if asked is None:
        return tuple(Level(stride) for stride in DEFAULT_STRIDES if stride in offered)
    levels = parse_levels(asked)
    missing = [str(level.stride) for level in levels if level.stride not in offered]
    if missing:
        raise ConfigError(
            f"Expected levels that {name!r} has, with strides"
            f" {', '.join(map(str, sorted(offered)))}, but got {', '.join(missing)} in {asked!r}."
        )
    return levels


def refuse_levels(asked: str | None, name: str) -> None:
    """Make sure that no levels are asked of a backbone that has only one.

    Args:
        asked: Text form of the levels; None and `LAST` ask for what it has.
        name: Of the backbone.

    Raises:
        ConfigError: If others are asked for.
    """
    if asked not in {None, LAST}:
        raise ConfigError(
            f"Expected no levels with {name!r}, whose features have one stride only, but got"
            f" {asked!r}. Leave them out."
        )


def input_multiple(levels: Sequence[Level]) -> int:
    """What sides of an input must be multiples of, so that the cells of all levels lie exactly on
    each other.
    """
    return math.lcm(*(level.stride for level in levels))


def join_levels(
    maps: Sequence[torch.Tensor], levels: Sequence[Level], size: tuple[int, int], name: str
) -> torch.Tensor:
    """One grid of features from several levels.

    Args:
        maps: One (N, C_i, H / stride_i, W / stride_i) float tensor per level.
        levels: Finest first.
        size: (H, W) of the input in pixels, multiples of all strides.
        name: Of the backbone, for messages.

    Returns:
        (N, sum of C_i, h, w) float on the grid of the finest level. Of a level with weight w the
        vectors have length w in its own cells, and at most w in finer ones, between which they are
        interpolated bilinearly.

    Raises:
        BackboneError: If a map has another size than its stride says.
    """
    grid = (size[0] // levels[0].stride, size[1] // levels[0].stride)
    joined = []
    for values, level in zip(maps, levels, strict=True):
        expected = (size[0] // level.stride, size[1] // level.stride)
        if tuple(values.shape[2:]) != expected:
            raise BackboneError(
                f"Expected the level of stride {level.stride} of {name!r} to have {expected[0]} x"
                f" {expected[1]} cells, but got {values.shape[2]} x {values.shape[3]}. Choose other"
                " levels, or another backbone."
            )
        unit = level.weight * F.normalize(values, dim=1)
        joined.append(
            unit
            if expected == grid
            else F.interpolate(unit, grid, mode="bilinear", align_corners=False)
        )
    return torch.cat(joined, dim=1)
