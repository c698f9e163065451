"""Which proposals of the present maps corrections mean."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.errors import ConfigError
from primaps.naming.corrections import Correction, Journal
from primaps.naming.regions import best_overlap, map_checksum

MIN_OVERLAP: Final = 0.5
"""Intersection over union from which on a proposal of another map is taken for the same one."""


@dataclass(frozen=True)
class Binding:
    """Corrections of one image, and the proposals that they mean now.

    Attributes:
        classes: Class id by id of the present proposal.
        bound: Corrections whose map is still the present one.
        rebound: Corrections that were found again in another map: (correction, present proposal,
            overlap).
        asleep: Corrections that mean nothing at present, and why; they are kept.
    """

    classes: dict[int, int]
    bound: tuple[Correction, ...] = ()
    rebound: tuple[tuple[Correction, int, float], ...] = ()
    asleep: tuple[tuple[Correction, str], ...] = ()


def bind_unchanged(
    corrections: Sequence[Correction], photo: str, checksum: str, present: Collection[int]
) -> Binding | None:
    """As `bind`, for corrections that were all said of the present map, without the map itself.

    Args:
        corrections: As for `bind`.
        photo: As for `bind`.
        checksum: Of the present map, see `primaps.naming.regions.map_checksum`.
        present: Ids of the proposals in it.

    Returns:
        None if one of them asks for the map.
    """
    for each in corrections:
        same = each.photo in {None, photo} and each.map in {None, checksum}
        if not same or each.proposal not in present:
            return None
    classes = {each.proposal: int(each.class_id) for each in corrections}
    return Binding(classes, tuple(corrections))


def bind(
    corrections: Sequence[Correction],
    photo: str | None,
    proposals: NDArray[np.integer[Any]] | None,
    journal: Journal,
) -> Binding:
    """Find the proposals of one image that corrections mean; of two for one proposal the later
    counts.

    Args:
        corrections: Of this image, with class ids (`primaps.naming.corrections.resolve`), in order.
        photo: SHA-256 of the photograph's file; None = the image has left.
        proposals: (H, W) ids of the present proposals at the photograph's own size; None = there
            are none.
        journal: The list they stand in, for messages.

    Raises:
        ConfigError: If the map is the one that a correction names and lacks its proposal; the
            message names the line and what to do.
    """
    if photo is None or proposals is None:
        why = "the photograph is not in the run" if photo is None else "it has no proposals"
        return Binding({}, asleep=tuple((each, why) for each in corrections))
    checksum = map_checksum(proposals)
    present = np.bincount(proposals.ravel()).nonzero()[0]
    classes: dict[int, int] = {}
    bound: list[Correction] = []
    rebound: list[tuple[Correction, int, float]] = []
    asleep: list[tuple[Correction, str]] = []
    for each in corrections:
        if each.photo not in {None, photo}:
            asleep.append((each, "the photograph has changed"))
        elif each.map in {None, checksum}:
            if each.proposal not in present:
                raise ConfigError(
                    f"{journal.place(each.id)}: Expected a proposal of {each.image}, 1.."
                    f"{int(present.max())}, but there is no proposal {each.proposal}. Mend the"
                    f' line, or add the line {{"id": {journal.next_id}, "undo": {each.id}}}.'
                )
            classes[each.proposal] = int(each.class_id)
            bound.append(each)
        else:
            number, overlap = (
                (0, 0.0) if each.region is None else best_overlap(each.region, proposals)
            )
            if overlap >= MIN_OVERLAP:
                classes[number] = int(each.class_id)
                rebound.append((each, number, overlap))
            else:
                asleep.append((each, f"no present proposal overlaps by half (best {overlap:.2f})"))
    return Binding(classes, tuple(bound), tuple(rebound), tuple(asleep))
