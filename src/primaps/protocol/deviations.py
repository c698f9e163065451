"""In what a row differs from the published protocol: shown wherever its scores are, and never
beside the published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SPLIT: Final = "val"
HEAD_DROPOUT: Final = "head dropout"
"""How a row is marked whose head dropped channels in inference."""
TRAIN_SPLIT: Final = "train"
SIZES: Final = (320, 322)
"""Side of the crop in pixels: 320, or 322 for patches of 14 (Hahn et al., TMLR 2024, and its code).
"""


def head_dropout(metrics: Mapping[str, Any]) -> bool:
    """Whether the head dropped channels while the row was measured.

    Args:
        metrics: Of a row, as far as known: ``backbone``.
    """
    return bool(metrics["backbone"].get("head", {}).get("inference_dropout", False))


def deviations(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs from the published protocol, in words; nothing if scores can be compared with
    published ones.

    Args:
        metrics: Of a row, as far as known: ``row``, ``size``, ``num_clusters``, ``num_classes``,
            ``head``, ``backbone`` and ``settings``.
    """
    row, clusters = metrics["row"], metrics["num_clusters"]
    differences = {
        f"{clusters} clusters": clusters != metrics["num_classes"],
        f"measured on {row['split'] or 'all images'}": row["split"] != SPLIT,
        f"fitted to {row['train_split'] or 'all images'}": row["train_split"] != TRAIN_SPLIT,
        f"{metrics['size']} pixels": metrics["size"] not in SIZES,
        # With STEGO the official code leaves it active, so that such a row is the published one
        # (docs/fidelity.md).
        HEAD_DROPOUT: head_dropout(metrics) and metrics["head"] != "stego",
        # The published rows on heads start from the cluster centres of the head; one without any
        # leaves the principal directions.
        "start without the head's centres": _em_on_head(metrics)
        and metrics["settings"]["fit"]["initialise"] != "head",
        f"trial of {row['limit']} images": row["limit"] is not None,
    }
    return tuple(text for text, differs in differences.items() if differs)


def _em_on_head(metrics: Mapping[str, Any]) -> bool:
    return metrics["head"] is not None and metrics["row"]["method"] == "em"
