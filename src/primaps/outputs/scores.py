"""Scores as a JSON record and as a table to read."""

from __future__ import annotations

import math
from typing import Any

from primaps.types import EvaluationResult


def as_record(result: EvaluationResult) -> dict[str, Any]:
    """JSON-ready scores: fractions; NaN (a class absent from truth and prediction) as null."""
    return {
        "accuracy": _number(result.accuracy),
        "miou": _number(result.miou),
        "per_class_iou": {name: _number(value) for name, value in result.per_class_iou.items()},
        "cluster_to_class": {
            str(cluster): int(label)
            for cluster, label in enumerate(result.assignment.cluster_to_class)
        },
        "n_images": result.num_images,
        "confusion": result.confusion.tolist(),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def as_text(result: EvaluationResult) -> str:
    """A few lines: accuracy, mean IoU, IoU per class, in per cent."""
    lines = [
        f"accuracy {result.accuracy:7.2%}",
        f"mIoU     {result.miou:7.2%}",
        f"images   {result.num_images}",
        "",
    ]
    width = max(len(name) for name in result.per_class_iou)
    for name, value in result.per_class_iou.items():
        lines.append(f"{name:<{width}} {'absent' if math.isnan(value) else f'{value:7.2%}'}")
    return "\n".join(lines)
