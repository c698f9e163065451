"""Which of many are taken."""

from __future__ import annotations

import numpy as np


def evenly(total: int, limit: int) -> list[int]:
    """At most ``limit`` indices spread evenly over ``range(total)``."""
    return (
        sorted({int(position) for position in np.linspace(0, total - 1, min(total, limit))})
        if total
        else []
    )
