"""Mean field of the dense CRF in plain torch (Krähenbühl & Koltun 2011): the reference, and the
path on devices other than the CPU.

`primaps.proposals.crf.compiled` has the same functions as compiled loops for the CPU. Message
passing is a Gaussian filter on the permutohedral lattice (`primaps.proposals.crf.permutohedral`).
Arguments are checked by `primaps.proposals.crf.dense_crf`, not here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from primaps.config import CRFConfig
from primaps.proposals.crf.permutohedral import Lattice, build_lattice

MIN_PROBABILITY = 1e-5
"""Lower clip of the unary probabilities."""

NEGLIGIBLE = 1e-15
"""Probabilities below this are not passed on: invisible in float32, and denormal numbers would slow
the filter down.
"""

LABEL_MULTIPLE = 8
"""The label axis is padded to a multiple of this, so that rows fill vector registers. Padding is
exactly 0 throughout.
"""

_MAX_BUFFER = 1 << 24
"""Largest number of values in a temporary buffer (64 MB); beyond it labels and pixels take turns.
"""

_MAX_DEVICE_BUFFER = 1 << 28
"""The same on an accelerator (1 GB), where turns leave it idle."""

_CACHED_POINTS = 1 << 18
"""Largest number of pixels for which the lattice of the smoothness kernel is kept (about 36 MB at
this size).
"""


def fits(points: int) -> bool:
    """Whether images of so many pixels can be worked on: always, with longer numbers for many."""
    del points
    return True


@torch.no_grad()
def mean_field_batch(
    images: Tensor,
    probabilities: Tensor,
    config: CRFConfig,
    iterations: int,
    labels: Sequence[int] | None = None,
) -> Tensor:
    """Mean-field inference for N images of one size, on any device.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        probabilities: (N, M, H, W) floating point, on the same device.
        config: Kernel widths and weights.
        iterations: Mean-field iterations.
        labels: How many of the M labels each image has, at least 1; None = all.

    Returns:
        (N, M, H, W) float32 posterior, contiguous; 0 for labels that an image does not have.

    Raises:
        ConfigError: If the features span more lattice cells than 64-bit keys can tell apart.
    """
    count, most, height, width = probabilities.shape
    kernels = (
        _smoothness_kernel(count, height, width, images.device, config),
        _appearance_kernel(images, config),
    )
    logits = _log_unary(probabilities, labels)
    posterior = logits.softmax(1)
    for _ in range(iterations):
        _iterate(kernels, posterior, logits)
    return posterior[:, :most].reshape(count, height, width, most).permute(0, 3, 1, 2).contiguous()


def _log_unary(probabilities: Tensor, own: Sequence[int] | None) -> Tensor:
    """Clipped log-probabilities, (N * H * W, padded M) float32; padding, and labels beyond an
    image's own, are -inf and stay 0.

    Pixels come first and labels are innermost: a vertex of the lattice then reads and writes whole
    rows.
    """
    count, labels, height, width = probabilities.shape
    padded = labels + (-labels) % LABEL_MULTIPLE
    logits = torch.full(
        (count, height * width, padded), -math.inf, dtype=torch.float32, device=probabilities.device
    )
    logits[..., :labels] = probabilities.flatten(2).transpose(1, 2)
    logits[..., :labels].clamp_(MIN_PROBABILITY, 1.0).log_()
    if own is not None:
        numbers = torch.tensor(own, device=logits.device)
        logits.masked_fill_(
            torch.arange(padded, device=logits.device) >= numbers[:, None, None], -math.inf
        )
    return logits.flatten(0, 1)


def _iterate(kernels: tuple[Lattice, Lattice], posterior: Tensor, logits: Tensor) -> None:
    """One mean-field iteration in place; labels, then pixels, take turns where a whole buffer would
    be large.
    """
    F.threshold(posterior, NEGLIGIBLE, 0.0, inplace=True)
    padded = posterior.shape[1]
    vertices = max(kernel.num_vertices for kernel in kernels)
    limit = _MAX_BUFFER if posterior.device.type == "cpu" else _MAX_DEVICE_BUFFER
    width = max(1, limit // (vertices * LABEL_MULTIPLE)) * LABEL_MULTIPLE
    for start in range(0, padded, width):
        part = slice(start, start + width)
        values = posterior[:, part].contiguous()
        filtered = kernels[0].filter(values)
        filtered += kernels[1].filter(values)
        torch.add(filtered, logits[:, part], out=posterior[:, part])
    height = max(1, limit // padded)
    for start in range(0, len(posterior), height):
        rows = posterior[start : start + height]
        rows.copy_(rows.softmax(1))


def _smoothness_kernel(
    count: int, height: int, width: int, device: torch.device, config: CRFConfig
) -> Lattice:
    """Normalised and weighted kernel on position alone; it depends on the size of the images
    only.
    """
    build = _position_lattice if height * width <= _CACHED_POINTS else _position_lattice.__wrapped__
    return build(height, width, device, config.gaussian_sxy, config.gaussian_compat).repeated(count)


@lru_cache(maxsize=4)
def _position_lattice(
    height: int, width: int, device: torch.device, sxy: float, compat: float
) -> Lattice:
    position = _positions(height, width, device) / sxy
    return build_lattice(position[None]).normalized(compat)


def _appearance_kernel(images: Tensor, config: CRFConfig) -> Lattice:
    """Normalised and weighted kernel on position and colour."""
    count, height, width, _ = images.shape
    position = _positions(height, width, images.device) / config.bilateral_sxy
    # The lattice approximates the Gaussian, and its error depends on the order of the axes: the
    # common implementations are fed blue first.
    colour = images.flip(3).flatten(1, 2).to(torch.float32) / config.bilateral_srgb
    features = torch.cat([position.expand(count, -1, -1), colour], 2)
    return build_lattice(features).normalized(config.bilateral_compat)


def _positions(height: int, width: int, device: torch.device) -> Tensor:
    """(H * W, 2) float32 pixel coordinates, x first, row by row."""
    y = torch.arange(height, dtype=torch.float32, device=device)
    x = torch.arange(width, dtype=torch.float32, device=device)
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], 1)
