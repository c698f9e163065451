"""Cards of proposals that somebody is asked about."""

from __future__ import annotations

from typing import Final

from primaps.outputs.cards import card
from primaps.outputs.label_files import read_label_image
from primaps.outputs.viewer.pictures import jpeg
from primaps.pipeline.viewing import Viewed
from primaps.studio.answering import Refused

SIDE: Final = 1200
"""Longest side of the photograph that a card is cut out of."""

_QUALITY: Final = 85


def card_of(viewed: Viewed, name: str, number: int) -> bytes:
    """One proposal in its photograph, as JPEG.

    Args:
        viewed: The folder.
        name: Of the image.
        number: Of the proposal.

    Raises:
        Refused: If there is no such proposal.
        ImageError: If the photograph or its proposals cannot be read.
    """
    if viewed.source is None:
        raise Refused(404, "Expected a folder with mask proposals, but this one has none.")
    photo = viewed.pixels(name, SIDE)
    proposals = read_label_image(viewed.source.proposals(name), photo.shape[:2])
    mask = proposals == number
    if not mask.any():
        raise Refused(
            404, f"Expected a proposal of {name}, 1 to {proposals.max()}, but got {number}."
        )
    return jpeg(card(photo, mask), _QUALITY)
