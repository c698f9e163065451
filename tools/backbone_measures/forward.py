"""CPU time of a forward pass, beside that of ViT-S/8, which the published experiments use."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import torch

from primaps.features.preprocess import input_size
from primaps.types import FeatureExtractor

SIZE: Final = 320
REFERENCE: Final = "vit_small_patch8_224"


def measure_forward(backbone: FeatureExtractor, rounds: int) -> dict[str, Any]:
    """Median CPU seconds of one square forward of the backbone and of the reference (random
    weights), alternating, one thread.
    """
    import timm

    torch.set_num_threads(1)
    reference: Any = timm.create_model(
        REFERENCE, pretrained=False, num_classes=0, img_size=SIZE
    ).eval()
    side = input_size(SIZE, SIZE, SIZE, backbone.input_multiple)[0]
    generator = torch.Generator().manual_seed(0)
    own_batch, batch = (
        torch.rand(1, 3, length, length, generator=generator) for length in (side, SIZE)
    )
    own_times, times = [], []
    with torch.no_grad():
        for _ in range(rounds + 1):
            own_times.append(_cpu_seconds(lambda: backbone.forward(own_batch)))
            times.append(_cpu_seconds(lambda: reference.forward_features(batch)))
    # the first ones also warm up
    own, other = (statistics.median(values[1:]) for values in (own_times, times))
    return {
        "seconds": own,
        "reference": REFERENCE,
        "reference_seconds": other,
        "ratio": other / own,
        "rounds": rounds,
    }


def _cpu_seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start
