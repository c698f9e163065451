"""PriMaPs-EM: class prototypes fitted to mask proposals by stochastic expectation maximisation.

Hahn et al., "Boosting Unsupervised Semantic Segmentation with Principal Mask Proposals" (TMLR 2024), section 3.2. One step:

1. E-step: the momentum teacher classifies every pixel; each mask proposal takes the class of most of its pixels (`vote`).
   Its pixels get that class as pseudo label; pixels without a proposal are ignored (`pseudo_labels`).
2. M-step: the student, which may see an augmented view, minimises the focal cross-entropy to the pseudo labels
   (`student_loss`). A class is weighted by (1 - mean probability)^gamma, so that rare classes are not swallowed
   (`focal_class_weights`).
3. Now and then the teacher follows the student with a momentum that grows from 0 to its cap (`teacher_momentum`).

Prototypes are linear without bias, so logits at token resolution are upsampled instead of features: exact, and cheap.
With `pixels_per_image` the loss is a sum over random pixels, unbiased given the class weights; `vote_stride` thins the pixel
grid on which classes are counted. Neither is used by the publication; without them every pixel counts. Images of one batch may
differ in size: means are over all pixels of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from primaps.prototypes.classifier import Prototypes, bilinear_taps, logits
from primaps.types import IGNORE_INDEX


@dataclass(frozen=True)
class TrainingImage:
    """What one image contributes to a step.

    Attributes:
        teacher_features: (C, h, w) float32 of the view that the teacher sees.
        student_features: (C, h, w) float32 of the same geometry, with the student's photometric augmentation.
        proposals: (H, W) int64 mask proposal ids in the same geometry, 0 = unassigned.
    """

    teacher_features: Tensor
    student_features: Tensor
    proposals: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.proposals.shape
        return height, width


def upsample(token_logits: Tensor, size: tuple[int, int], stride: int = 1) -> Tensor:
    """Bilinearly upsampled logits on every ``stride``-th pixel of an image, as two matrix products (same bytes on every run).

    Args:
        token_logits: (K, h, w) float32.
        size: (H, W) of the image in pixels.
        stride: Distance of neighbouring grid pixels; 1 = all pixels.

    Returns:
        (K, H', W') float32 at the pixels that `pixel_grid` takes.
    """
    rows, columns = (
        pixel_grid(_interpolation_matrix(tokens, pixels, token_logits.device), stride)
        for tokens, pixels in zip(token_logits.shape[1:], size, strict=True)
    )
    return rows @ (token_logits @ columns.T)


def pixel_grid(values: Tensor, stride: int) -> Tensor:
    """Every ``stride``-th row, starting in the middle of the first cell."""
    return values[min(stride // 2, (len(values) - 1) // 2) :: stride]


def _interpolation_matrix(tokens: int, pixels: int, device: torch.device) -> Tensor:
    """(pixels, tokens) weights of bilinear upsampling along one axis."""
    lower, upper, weight = bilinear_taps(tokens, pixels, device)
    matrix = torch.zeros(pixels, tokens, device=device)
    matrix.scatter_(1, lower[:, None], 1.0 - weight[:, None])
    return matrix.scatter_add_(1, upper[:, None], weight[:, None])


def sample(token_logits: Tensor, size: tuple[int, int], pixels: Tensor) -> Tensor:
    """Bilinearly upsampled logits at some pixels only.

    Args:
        token_logits: (K, h, w) float32.
        size: (H, W) of the image in pixels.
        pixels: (P,) int64 flat pixel indices (row times W plus column).

    Returns:
        (P, K) float32, equal to the upsampled logits at those pixels.
    """
    height, width = token_logits.shape[1:]
    top, bottom, down = (values[pixels // size[1]] for values in bilinear_taps(height, size[0], token_logits.device))
    left, right, across = (values[pixels % size[1]] for values in bilinear_taps(width, size[1], token_logits.device))
    taps = torch.stack([top * width + left, top * width + right, bottom * width + left, bottom * width + right], dim=1)
    weights = torch.stack([(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across], dim=1)
    return F.embedding_bag(taps, token_logits.flatten(1).T.contiguous(), mode="sum", per_sample_weights=weights)


@torch.no_grad()
def vote(teacher_logits: Tensor, proposals: Tensor, stride: int = 1) -> Tensor:
    """E-step for one image: the class that the teacher gives to most pixels of each mask proposal (paper, section 3.2).

    Args:
        teacher_logits: (K, h, w) float32 at token resolution.
        proposals: (H, W) int64 proposal ids 0..M, 0 = unassigned.
        stride: Pixel stride of the grid that votes.

    Returns:
        (M + 1,) int64 class of each proposal id; the smallest class id wins ties; IGNORE_INDEX for id 0 and for proposals
        without a pixel on the grid.
    """
    num_classes, num_ids = len(teacher_logits), int(proposals.max()) + 1
    classes = upsample(teacher_logits, (proposals.shape[0], proposals.shape[1]), stride).max(0).indices
    ids = pixel_grid(pixel_grid(proposals, stride).T, stride).T
    counts = torch.bincount((ids * num_classes + classes).flatten(), minlength=num_ids * num_classes)
    most, winner = counts.view(num_ids, num_classes).max(1)  # the first class on ties
    winner[most == 0] = IGNORE_INDEX
    winner[0] = IGNORE_INDEX
    return winner


def expectation(teacher: Tensor, images: Sequence[TrainingImage], stride: int = 1) -> list[Tensor]:
    """E-step for a batch.

    Args:
        teacher: (K, C) float32 effective prototypes of the teacher.
        images: The batch.
        stride: Pixel stride of the grid that votes.

    Returns:
        For each image the result of `vote`.
    """
    return [vote(logits(image.teacher_features, teacher), image.proposals, stride) for image in images]


def pseudo_labels(proposals: Tensor, votes: Tensor) -> Tensor:
    """Spread the class of each proposal over its pixels.

    Args:
        proposals: (...) int64 proposal ids 0..M.
        votes: (M + 1,) int64 from `vote`.

    Returns:
        (...) int64 cluster ids, IGNORE_INDEX where unassigned.
    """
    return votes[proposals]


def focal_class_weights(mean_probabilities: Tensor, gamma: float) -> Tensor:
    """Focal weight of every class, (1 - p)^gamma.

    Args:
        mean_probabilities: (K,) float32 mean of the student's probabilities over all pixels of the batch.
        gamma: Focal exponent.

    Returns:
        (K,) float32 in [0, 1], detached.
    """
    return (1.0 - mean_probabilities.detach()).clamp(0.0, 1.0) ** gamma


@torch.no_grad()
def mean_probabilities(token_logits: Sequence[Tensor], sizes: Sequence[tuple[int, int]], stride: int = 1) -> Tensor:
    """Mean class probabilities over all pixels of a batch, ignored ones included.

    Args:
        token_logits: Per image (K, h, w) float32.
        sizes: Per image (H, W) in pixels.
        stride: Pixel stride of the grid that counts.

    Returns:
        (K,) float32, sums to 1.
    """
    total, pixels = torch.zeros(len(token_logits[0]), device=token_logits[0].device), 0
    for values, size in zip(token_logits, sizes, strict=True):
        probabilities = upsample(values, size, stride).flatten(1).softmax(0)
        total += probabilities.sum(1)
        pixels += probabilities.shape[1]
    return total / pixels


def student_loss(
    student: Tensor,
    images: Sequence[TrainingImage],
    votes: Sequence[Tensor],
    *,
    gamma: float,
    vote_stride: int = 1,
    pixels_per_image: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """M-step loss of a batch: focal cross-entropy to the pseudo labels (paper, section 3.2).

    The sum over labelled pixels of ``w_y * CE`` divided by the number of all pixels, ignored ones included.

    Args:
        student: (K, C) float32 effective prototypes of the student; the loss is differentiable in them.
        images: The batch.
        votes: From `expectation`.
        gamma: Focal exponent.
        vote_stride: Pixel stride of the grid for the mean probabilities.
        pixels_per_image: Random pixels per image (with replacement); None, or at least the image's pixels, = all pixels.
        generator: Source of the random pixels, on the CPU; not used with all pixels.

    Returns:
        () float32.
    """
    tokens = [logits(image.student_features, student) for image in images]
    weights = focal_class_weights(mean_probabilities(tokens, [image.size for image in images], vote_stride), gamma)
    loss = student.new_zeros(())
    for values, image, classes in zip(tokens, images, votes, strict=True):
        count = image.proposals.numel()
        if pixels_per_image is None or pixels_per_image >= count:
            # Checkpointed: full-size logits of one image at a time, computed anew for the gradient.
            labels = pseudo_labels(image.proposals, classes)
            loss = loss + checkpoint(_all_pixels_loss, values, labels, weights, use_reentrant=False, preserve_rng_state=False)
        else:
            pixels = torch.randint(count, (pixels_per_image,), generator=generator).to(values.device)
            labels = pseudo_labels(image.proposals.flatten()[pixels], classes)
            loss = loss + _sampled_loss(values, image.size, pixels, labels, weights) * (count / pixels_per_image)
    return loss / sum(image.proposals.numel() for image in images)


def _all_pixels_loss(token_logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    values = upsample(token_logits, (labels.shape[0], labels.shape[1]))
    return F.cross_entropy(values[None], labels[None], weight=weights, ignore_index=IGNORE_INDEX, reduction="none").sum()


def _sampled_loss(token_logits: Tensor, size: tuple[int, int], pixels: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    labelled = labels != IGNORE_INDEX
    values = sample(token_logits, size, pixels[labelled])
    return F.cross_entropy(values, labels[labelled], weight=weights, reduction="none").sum()


def kmeans_loss(prototypes: Tensor, features: Sequence[Tensor]) -> Tensor:
    """Loss of cosine k-means, which initialises EM and is the baseline: minus the mean cosine to the closest prototype.

    Args:
        prototypes: (K, C) float32, any norm; the loss is differentiable in them.
        features: Per image (C, h, w) floating point.

    Returns:
        () float32 in [-1, 1].
    """
    closest = [logits(values, prototypes, cosine=True).amax(0).flatten() for values in features]
    return -torch.cat(closest).mean()


def teacher_momentum(call: int, cap: float) -> float:
    """Momentum of a teacher update: two hard copies, then a running mean of the students until the cap is reached.

    Args:
        call: Number of the update, 1, 2, ...
        cap: Largest momentum; 0 (always copy) and 1 (never follow) hold from the first call on.

    Returns:
        The teacher's own share, in [0, 1].
    """
    if cap in {0.0, 1.0}:
        return cap
    return 0.0 if call <= 2 else min(cap, 1.0 - 1.0 / call)


@torch.no_grad()
def update_teacher(teacher: Prototypes, student: Prototypes, call: int, cap: float) -> Prototypes:
    """The teacher after it followed the student, scale and direction apart.

    Args:
        teacher: Before the update.
        student: Whom it follows.
        call: Number of the update, 1, 2, ...
        cap: Largest momentum.

    Returns:
        New prototypes; the arguments stay as they are.
    """
    share = teacher_momentum(call, cap)
    return Prototypes(
        scale=share * teacher.scale + (1.0 - share) * student.scale,
        direction=share * teacher.direction + (1.0 - share) * student.direction,
    )
