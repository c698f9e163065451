"""Fully connected conditional random field with Gaussian edge potentials (Krähenbühl & Koltun
2011).

Mean field with two kernels, a smoothness kernel on position and an appearance kernel on position
and colour, Potts compatibility and symmetric normalisation. Here are the public functions, the
checks of their arguments and the choice of the path: compiled loops on CPUs
(`primaps.proposals.crf.compiled`), plain torch elsewhere (`primaps.proposals.crf.plain`).
``README.md`` here says who calls whom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from primaps.compute.compiling.twins import Twins
from primaps.compute.cores import one_thread_each
from primaps.compute.forked import check_fork
from primaps.config import CRFConfig
from primaps.errors import ConfigError
from primaps.given import whole_number
from primaps.pictures import as_image
from primaps.proposals.crf import plain
from primaps.proposals.layout import check_channels_first
from primaps.types import ImageLike

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

AnyArray = TypeVar("AnyArray", NDArray[np.generic], Tensor)


class MeanField(Protocol):
    """What `primaps.proposals.crf.plain` and `primaps.proposals.crf.compiled` both offer."""

    def fits(self, points: int) -> bool:
        """Whether images of so many pixels can be worked on."""

    def mean_field_batch(
        self,
        images: Tensor,
        probabilities: Tensor,
        config: CRFConfig,
        iterations: int,
        labels: Sequence[int] | None = None,
    ) -> Tensor:
        """As `mean_field_batch` below, with arguments that were checked."""


def _compiled() -> MeanField:
    from primaps.proposals.crf import compiled

    return compiled


PATHS: Final = Twins[MeanField](plain, _compiled, "The dense CRF runs")
"""Who carries out the mean field; ``PATHS.plain_only()`` forces the plain path."""


def dense_crf(
    image: ImageLike,
    scores: AnyArray,
    iterations: int | None = None,
    config: CRFConfig | None = None,
) -> AnyArray:
    """Refine per-pixel label scores so that they follow the edges of the image.

    Args:
        image: A path, a PIL image, an array (H, W, 3) or (H, W), or a torch tensor (3, H, W); the
            rules stand in `primaps.pictures`.
        scores: (M, h, w) log-probabilities or logits of M labels, any real dtype, finite. They are
            upsampled to (H, W) (bilinear, pixel centres aligned) and only then turned into
            probabilities by a softmax over the labels.
        iterations: Mean-field iterations; None = those of ``config`` (10).
        config: Kernel widths and weights; None = the defaults of `CRFConfig`.

    Returns:
        (M, H, W) float32 posterior, of the kind (numpy, torch) and on the device of ``scores``;
        sums to 1 over the labels.

    Raises:
        ImageError: If the image is none.
        ConfigError: If another argument has another type, shape, dtype or range.

    Examples:
        >>> import numpy as np
        >>> image = np.zeros((8, 8, 3), np.uint8)
        >>> image[:, 4:] = 255
        >>> dense_crf(image, np.random.default_rng(0).normal(size=(3, 2, 2))).shape
        (3, 8, 8)
    """
    picture, values = as_image(image), _as_tensor(scores, "scores")
    if values.ndim == 3:
        check_channels_first("scores", tuple(values.shape), (picture.shape[0], picture.shape[1]))
    posterior = refine(torch.tensor(picture, device=values.device), values, iterations, config)
    return posterior if isinstance(scores, Tensor) else posterior.numpy()


def refine(
    picture: Tensor, scores: Tensor, iterations: int | None = None, config: CRFConfig | None = None
) -> Tensor:
    """`dense_crf` of tensors.

    Args:
        picture: (H, W, 3) uint8 RGB on the device of the scores.
        scores: (M, h, w), as for `dense_crf`.
        iterations: Likewise.
        config: Likewise.

    Returns:
        (M, H, W) float32 posterior on the device of the scores.

    Raises:
        ConfigError: If an argument has another shape, dtype or range.
        ProcessError: If this process was forked from one that had computed.
    """
    check_fork()
    if scores.ndim != 3 or 0 in scores.shape:
        raise ConfigError(
            "Expected scores to be of shape (M, h, w), none of them 0, but got"
            f" {tuple(scores.shape)}."
        )
    if scores.is_complex():
        raise ConfigError(f"Expected scores to be real numbers, but got {scores.dtype}.")
    values = scores.detach().to(torch.float32)
    if not bool(values.isfinite().all()):
        raise ConfigError(
            "Expected scores to be finite in float32, but got NaN or infinite values. Clip"
            " log-probabilities, say at -100."
        )
    _check_images(picture[None])
    size = (picture.shape[0], picture.shape[1])
    probabilities = softmax_over_labels(
        F.interpolate(values[None], size=size, mode="bilinear", align_corners=False)
    )
    return mean_field(picture, probabilities[0], config, iterations)


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
    path = PATHS.on(images.device)
    if not path.fits(images[0, :, :, 0].numel()):
        path = PATHS.plain
    return path.mean_field_batch(images, probabilities, config, steps, labels)


def describe_backend() -> str:
    """What carries out the mean field on CPUs, in words."""
    words = PATHS.describe()
    if PATHS.compiled is None:
        return words
    from primaps.proposals.crf.compiled import cache_folder

    folder = cache_folder()
    kept = (
        f"machine code kept in {folder}"
        if folder
        else "no folder for machine code can be written: compiled by each process"
    )
    return f"{words}, {kept}"


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


def _as_tensor(array: object, name: str) -> Tensor:
    if isinstance(array, Tensor):
        return array
    if not isinstance(array, np.ndarray):
        raise ConfigError(
            f"Expected {name} to be a numpy array or a torch tensor, but got"
            f" {type(array).__name__}."
        )
    if array.dtype == np.uint8:
        return torch.from_numpy(np.array(array, order="C"))
    if array.dtype.kind not in "bfiu":
        raise ConfigError(f"Expected {name} to hold real numbers, but got dtype {array.dtype}.")
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


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
    if whole_number("iterations", iterations) < 0:
        raise ConfigError(f"Expected iterations to be 0 or more, but got {iterations}.")
    for name in ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb"):
        value = getattr(config, name)
        if not 0.0 < value < math.inf:
            raise ConfigError(f"Expected {name} to be a positive number, but got {value}.")
    for name in ("gaussian_compat", "bilateral_compat"):
        value = getattr(config, name)
        if not math.isfinite(value):
            raise ConfigError(f"Expected {name} to be a finite number, but got {value}.")
