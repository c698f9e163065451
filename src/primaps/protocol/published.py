"""The published table, to stand beside what is measured. Never used for anything else."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SOURCE: Final = (
    "Hahn, Araslanov, Schaub-Meyer, Roth: Boosting Unsupervised Semantic Segmentation with"
    " Principal Mask Proposals, TMLR 2024; table in the README of github.com/visinf/primaps"
)

Scores = tuple[float, float]
"""Accuracy and mean IoU in per cent, as printed."""

_COLUMNS: Final = ("cityscapes", "cocostuff", "potsdam")
_TABLE: Final[Mapping[tuple[str, str], tuple[Scores, Scores, Scores]]] = {
    ("baseline", "dino_vits8"): ((61.4, 15.8), (34.2, 9.5), (56.6, 33.6)),
    ("em", "dino_vits8"): ((81.2, 19.4), (46.5, 16.4), (62.5, 38.9)),
    ("sota+em", "dino_vits8"): ((76.6, 19.2), (57.8, 25.1), (78.4, 64.2)),
    ("baseline", "dino_vitb8"): ((49.2, 15.5), (38.8, 15.7), (66.1, 49.4)),
    ("em", "dino_vitb8"): ((59.6, 17.6), (48.5, 21.9), (80.5, 67.0)),
    ("sota+em", "dino_vitb8"): ((78.6, 21.6), (57.9, 29.7), (83.3, 71.0)),
    ("baseline", "dinov2_vits14"): ((49.5, 15.3), (44.5, 22.9), (75.9, 61.0)),
    ("em", "dinov2_vits14"): ((71.5, 19.0), (46.5, 23.8), (78.5, 64.3)),
    ("baseline", "dinov2_vitb14"): ((36.1, 14.9), (35.0, 17.9), (82.4, 69.9)),
    ("em", "dinov2_vitb14"): ((82.9, 21.3), (52.8, 23.6), (83.2, 71.1)),
}

PUBLISHED: Final[Mapping[tuple[str, str, str], Scores]] = MappingProxyType(
    {
        (*row, column): scores
        for row, cells in _TABLE.items()
        for column, scores in zip(_COLUMNS, cells, strict=True)
    }
)
"""By method ("baseline", "em", or "sota+em": EM on top of a STEGO or HP head), backbone and data
set.
"""


SOTA_HEADS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("dino_vits8", "cityscapes"): "hp",
        ("dino_vits8", "cocostuff"): "hp",
        ("dino_vits8", "potsdam"): "stego",
        ("dino_vitb8", "cityscapes"): "stego",
        ("dino_vitb8", "cocostuff"): "stego",
        ("dino_vitb8", "potsdam"): "hp",
    }
)
"""The head behind each cell of "sota+em", by backbone and data set."""


def published(method: str, backbone: str, dataset: str, head: str | None = None) -> Scores | None:
    """The published scores of a cell; None if it has none.

    Args:
        method: "em" or "baseline".
        backbone: Name of the backbone. The 300-epoch ViT-S/8 that STEGO and HP use stands in the
            lines of DINO ViT-S/8.
        dataset: Name of the data set.
        head: Kind of the head, "stego" or "hp"; None = none.

    Examples:
        >>> published("em", "dino_vits8", "cityscapes")
        (81.2, 19.4)
        >>> published("em", "dino_vitb8", "cityscapes", "stego")
        (78.6, 21.6)
    """
    if head is None:
        return PUBLISHED.get((method, backbone, dataset))
    backbone = backbone.removesuffix("_300ep")
    if SOTA_HEADS.get((backbone, dataset)) != head:
        return None
    return PUBLISHED.get((f"sota+{method}", backbone, dataset))
