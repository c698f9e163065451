"""Fully connected conditional random field with Gaussian edge potentials (Krähenbühl & Koltun
2011).

Mean field with two kernels, a smoothness kernel on position and an appearance kernel on position
and colour, Potts compatibility and symmetric normalisation. Message passing is a Gaussian filter on
the permutohedral lattice. On CPUs it runs as compiled loops (`primaps.proposals.crf.compiled`), on
other devices in plain torch, as written here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from types import ModuleType
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from primaps.compute.compiling.loading import compiled_module
from primaps.compute.cores import one_thread_each
from primaps.config import CRFConfig
from primaps.errors import ConfigError
from primaps.proposals.crf.permutohedral import Lattice, build_lattice

_MIN_PROBABILITY = 1e-5
"""Lower clip of the unary probabilities."""

_NEGLIGIBLE = 1e-15
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

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

AnyArray = TypeVar("AnyArray", NDArray[np.generic], Tensor)


def dense_crf(
    image: NDArray[np.uint8] | Tensor,
    scores: AnyArray,
    iterations: int | None = None,
    config: CRFConfig | None = None,
) -> AnyArray:
    """Refine per-pixel label scores so that they follow the edges of the image.

    Args:
        image: (H, W, 3) uint8 RGB.
        scores: (M, h, w) log-probabilities or logits of M labels, any real dtype, finite. They are
            upsampled to (H, W) (bilinear, pixel centres aligned) and only then turned into
            probabilities by a softmax over the labels.
        iterations: Mean-field iterations; None = those of ``config`` (10).
        config: Kernel widths and weights; None = the defaults of `CRFConfig`.

    Returns:
        (M, H, W) float32 posterior, of the kind (numpy, torch) and on the device of ``scores``;
        sums to 1 over the labels.

    Raises:
        ConfigError: If an argument has another type, shape, dtype or range.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((8, 8, 3), np.uint8)
        >>> image[:, 4:] = 255
        >>> dense_crf(image, np.random.default_rng(0).normal(size=(3, 2, 2))).shape
        (3, 8, 8)
    """
    values = _as_tensor(scores, "scores")
    if values.ndim != 3 or 0 in values.shape:
        raise ConfigError(
            "Expected scores to be of shape (M, h, w), none of them 0, but got"
            f" {tuple(values.shape)}."
        )
    if values.is_complex():
        raise ConfigError(f"Expected scores to be real numbers, but got {values.dtype}.")
    values = values.detach().to(torch.float32)
    if not bool(values.isfinite().all()):
        raise ConfigError(
            "Expected scores to be finite in float32, but got NaN or infinite values. Clip"
            " log-probabilities, say at -100."
        )
    picture = _as_tensor(image, "image").to(values.device)
    _check_images(picture[None])
    size = (picture.shape[0], picture.shape[1])
    probabilities = softmax_over_labels(
        F.interpolate(values[None], size=size, mode="bilinear", align_corners=False)
    )
    posterior = mean_field(picture, probabilities[0], config, iterations)
    return posterior if isinstance(scores, Tensor) else posterior.numpy()


def softmax_over_labels(maps: Tensor) -> Tensor:
    """Probabilities of the labels of every pixel.

    On the CPU by one thread: the last bit of what torch gives depends on how several threads divide
    the pixels.

    Args:
        maps: (N, M, H, W) float32 scores of M labels.

    Returns:
        (N, M, H, W) float32, sums to 1 over the labels.
    """
    with one_thread_each(maps.device.type == "cpu"):
        return maps.softmax(1)


def mean_field(
    image: Tensor,
    probabilities: Tensor,
    config: CRFConfig | None = None,
    iterations: int | None = None,
) -> Tensor:
    """Mean-field inference for one image, from probabilities at its own size.

    Args:
        image: (H, W, 3) uint8 RGB.
        probabilities: (M, H, W) floating point, on the same device.
        config: Kernel widths and weights; None = the defaults of `CRFConfig`.
        iterations: Mean-field iterations; None = those of ``config``.

    Returns:
        (M, H, W) float32 posterior, contiguous.

    Raises:
        ConfigError: If an argument has another shape, dtype or range.
    """
    return mean_field_batch(image[None], probabilities[None], config, iterations)[0]


@torch.no_grad()
def mean_field_batch(
    images: Tensor,
    probabilities: Tensor,
    config: CRFConfig | None = None,
    iterations: int | None = None,
    labels: Sequence[int] | None = None,
) -> Tensor:
    """Mean-field inference for N images of one size; images do not influence each other.

    Q <- softmax(log p + sum_k w_k D_k^-1/2 K_k D_k^-1/2 Q), starting from Q = p (Krähenbühl &
    Koltun 2011, algorithm 1, with Potts compatibility and the self term kept), where p is clipped
    to [1e-5, 1].

    Args:
        images: (N, H, W, 3) uint8 RGB.
        probabilities: (N, M, H, W) floating point, on the same device.
        config: Kernel widths and weights; None = the defaults of `CRFConfig`.
        iterations: Mean-field iterations; None = those of ``config``.
        labels: How many of the M labels each image has, at least 1; the others take no part. None =
            all.

    Returns:
        (N, M, H, W) float32 posterior, contiguous; 0 for labels that an image does not have.

    Raises:
        ConfigError: If an argument has another shape, dtype or range.
    """
    config = CRFConfig() if config is None else config
    steps = config.iterations if iterations is None else iterations
    _check_config(config, steps)
    _check_images(images)
    _check_probabilities(probabilities, images)
    _check_labels(labels, probabilities)
    kernel = _compiled_kernel()[0] if images.device.type == "cpu" else None
    if kernel is None or not kernel.fits(images[0, :, :, 0].numel()):
        return _plain_mean_field(images, probabilities, config, steps, labels)
    posterior = torch.empty(probabilities.shape, dtype=torch.float32)
    own = [probabilities.shape[1]] * len(images) if labels is None else labels
    for image, given, result, count in zip(images, probabilities, posterior, own, strict=True):
        kernel.mean_field(
            image, given[:count], result[:count], config, steps, _MIN_PROBABILITY, _NEGLIGIBLE
        )
        result[count:] = 0.0
    return posterior


def describe_backend() -> str:
    """What carries out the mean field on CPUs, in words."""
    return _compiled_kernel()[1]


@cache
def _compiled_kernel() -> tuple[ModuleType | None, str]:
    """The compiled loops, or None where numba does not work, and what to tell the user about
    them.
    """
    kernel, words = compiled_module("primaps.proposals.crf.compiled", "The dense CRF runs")
    if kernel is None:
        return None, words
    folder = kernel.cache_folder()
    kept = (
        f"machine code kept in {folder}"
        if folder
        else "no folder for machine code can be written: compiled by each process"
    )
    return kernel, f"{words}, {kept}"


def _plain_mean_field(
    images: Tensor,
    probabilities: Tensor,
    config: CRFConfig,
    steps: int,
    own: Sequence[int] | None = None,
) -> Tensor:
    """`mean_field_batch` in plain torch, on any device."""
    count, labels, height, width = probabilities.shape
    kernels = (
        _smoothness_kernel(count, height, width, images.device, config),
        _appearance_kernel(images, config),
    )
    logits = _log_unary(probabilities, own)
    posterior = logits.softmax(1)
    for _ in range(steps):
        _iterate(kernels, posterior, logits)
    return (
        posterior[:, :labels].reshape(count, height, width, labels).permute(0, 3, 1, 2).contiguous()
    )


def official_uint8(image: AnyArray) -> AnyArray:
    """Pass an image through the ImageNet normalisation and back to 8 bits as the published
    experiments did.

    The way back truncates instead of rounding, so about 18 % of the grey levels come out lower by
    1. Needed to reproduce published masks pixel by pixel, and for nothing else.

    Args:
        image: (H, W, 3) or (N, H, W, 3) uint8 RGB.

    Returns:
        uint8 RGB of the same shape, of the same kind (numpy, torch) and on the same device.

    Raises:
        ConfigError: If the image has another type, shape or dtype.
    """
    picture = _as_tensor(image, "image")
    _check_images(picture if picture.ndim == 4 else picture[None])
    mean = torch.tensor(_IMAGENET_MEAN, dtype=torch.float32, device=picture.device)
    std = torch.tensor(_IMAGENET_STD, dtype=torch.float32, device=picture.device)
    normalized = (picture.to(torch.float32) / 255 - mean) / std
    restored = ((normalized * std + mean) * 255).floor().clamp_(0, 255).to(torch.uint8)
    return restored if isinstance(image, Tensor) else restored.numpy()


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
    logits[..., :labels].clamp_(_MIN_PROBABILITY, 1.0).log_()
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
    F.threshold(posterior, _NEGLIGIBLE, 0.0, inplace=True)
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


def _as_tensor(array: object, name: str) -> Tensor:
    if isinstance(array, Tensor):
        return array
    if not isinstance(array, np.ndarray):
        raise ConfigError(
            f"Expected {name} to be a numpy array or a torch tensor, but got"
            f" {type(array).__name__}."
        )
    if array.dtype == np.uint8:
        return torch.tensor(np.ascontiguousarray(array))
    if array.dtype.kind not in "bfiu":
        raise ConfigError(f"Expected {name} to hold real numbers, but got dtype {array.dtype}.")
    with np.errstate(over="ignore"):
        return torch.tensor(np.ascontiguousarray(array, dtype=np.float32))


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
        raise ConfigError(
            f"Expected an image of shape (H, W, 3), RGB, but got {tuple(images.shape[1:])}."
        )
    if images.dtype != torch.uint8:
        raise ConfigError(
            f"Expected an image of dtype uint8, values 0..255, but got {images.dtype}. Convert it"
            " first."
        )


def _check_probabilities(probabilities: Tensor, images: Tensor) -> None:
    count, height, width, _ = images.shape
    shape = tuple(probabilities.shape)
    if len(shape) != 4 or (shape[0], shape[2], shape[3]) != (count, height, width) or shape[1] == 0:
        raise ConfigError(
            f"Expected probabilities of shape (M, {height}, {width}) per image with M > 0, but got"
            f" {shape[1:]}."
        )
    if not probabilities.is_floating_point() or probabilities.device != images.device:
        raise ConfigError(
            f"Expected floating-point probabilities on {images.device}, but got"
            f" {probabilities.dtype} on {probabilities.device}."
        )
    if bool(probabilities.detach().max().isnan()):  # the largest of values is NaN if one of them is
        raise ConfigError("Expected probabilities between 0 and 1, but got NaN.")


def _check_labels(labels: Sequence[int] | None, probabilities: Tensor) -> None:
    count, most = probabilities.shape[:2]
    if labels is not None and (
        len(labels) != count or not all(1 <= number <= most for number in labels)
    ):
        raise ConfigError(
            f"Expected a number of labels from 1 to {most} for each of {count} image(s), but got"
            f" {list(labels)}."
        )


def _check_config(config: CRFConfig, iterations: int) -> None:
    if iterations < 0:
        raise ConfigError(f"Expected iterations to be 0 or more, but got {iterations}.")
    for name in ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb"):
        value = getattr(config, name)
        if not 0.0 < value < math.inf:
            raise ConfigError(f"Expected {name} to be a positive number, but got {value}.")
    for name in ("gaussian_compat", "bilateral_compat"):
        value = getattr(config, name)
        if not math.isfinite(value):
            raise ConfigError(f"Expected {name} to be a finite number, but got {value}.")
