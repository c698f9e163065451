"""PriMaPs-EM: class prototypes fitted to mask proposals by stochastic expectation maximisation.

Hahn et al., "Boosting Unsupervised Semantic Segmentation with Principal Mask Proposals" (TMLR 2024), section 3.2. One step:

1. E-step: the momentum teacher classifies every pixel; each mask proposal takes the class of most of its pixels (`vote`).
   Its pixels get that class as pseudo label; pixels without a proposal are ignored (`pseudo_labels`).
2. M-step: the student, which may see an augmented view, minimises the focal cross-entropy to the pseudo labels
   (`student_loss`). A class is weighted by (1 - mean probability)^gamma, so that rare classes are not swallowed
   (`focal_class_weights`).
3. Now and then the teacher follows the student with a momentum that grows from 0 to its cap (`teacher_momentum`).

With `pixels_per_image` the loss is a sum over random pixels, unbiased given the class weights; `vote_stride` thins the pixel
grid on which classes are counted; with `min_agreement` proposals that the teacher finds mixed give no pseudo label, so that
frequent classes do not swallow rare ones. None is used by the publication; without them every pixel counts. Images of one
batch may differ in size: means are over all pixels of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from primaps.prototypes.classifier import Prototypes, logits
from primaps.prototypes.pixels import equal_shapes, pixel_grid, sample, upsample
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


@torch.no_grad()
def vote(teacher_logits: Tensor, proposals: Tensor, stride: int = 1, min_agreement: float = 0.0) -> Tensor:
    """E-step: the class that the teacher gives to most pixels of each mask proposal (paper, section 3.2).

    Args:
        teacher_logits: (N, K, h, w) float32 at token resolution.
        proposals: (N, H, W) int64 proposal ids 0..M, 0 = unassigned.
        stride: Pixel stride of the grid that votes.
        min_agreement: Share of its pixels that the winning class of a proposal needs, in [0, 1].

    Returns:
        (N, M + 1) int64 class of each proposal id; the smallest class id wins ties; IGNORE_INDEX for id 0, for ids without a
        pixel on the grid, and for ids that do not agree enough.
    """
    (count, num_classes, _, _), (_, height, width) = teacher_logits.shape, proposals.shape
    num_ids = int(proposals.max()) + 1
    classes = upsample(teacher_logits, (height, width), stride).max(1).indices
    ids = proposals[:, pixel_grid(height, stride), pixel_grid(width, stride)]
    ids = ids + num_ids * torch.arange(count, device=ids.device)[:, None, None]
    ballots = torch.bincount((ids * num_classes + classes).flatten(), minlength=count * num_ids * num_classes)
    ballots = ballots.view(count, num_ids, num_classes)
    most, winner = ballots.max(2)  # the first class on ties
    winner[(most == 0) | (most < min_agreement * ballots.sum(2))] = IGNORE_INDEX
    winner[:, 0] = IGNORE_INDEX
    return winner


def pseudo_labels(proposals: Tensor, votes: Tensor) -> Tensor:
    """Spread the class of each proposal over its pixels.

    Args:
        proposals: (N, ...) int64 proposal ids 0..M.
        votes: (N, M + 1) int64 from `vote`.

    Returns:
        (N, ...) int64 cluster ids, IGNORE_INDEX where unassigned.
    """
    return votes.gather(1, proposals.flatten(1)).view_as(proposals)


def expectation(teacher: Tensor, images: Sequence[TrainingImage], stride: int = 1, min_agreement: float = 0.0) -> list[Tensor]:
    """E-step for a batch.

    Args:
        teacher: (K, C) float32 effective prototypes of the teacher.
        images: The batch.
        stride: Pixel stride of the grid that votes.
        min_agreement: As for `vote`.

    Returns:
        Per image (M + 1,) int64 as from `vote`; M is at least the number of its proposals.
    """
    tokens = [logits(image.teacher_features, teacher) for image in images]
    votes: dict[int, Tensor] = {}
    for members in equal_shapes(tokens, [image.size for image in images], stride):
        stacked = torch.stack([tokens[index] for index in members])
        proposals = torch.stack([images[index].proposals for index in members])
        votes |= zip(members, vote(stacked, proposals, stride, min_agreement), strict=True)
    return [votes[index] for index in range(len(images))]


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
    for members in equal_shapes(token_logits, sizes, stride):
        stacked = torch.stack([token_logits[index] for index in members])
        probabilities = upsample(stacked, sizes[members[0]], stride).softmax(1)
        total += probabilities.sum((0, 2, 3))
        pixels += probabilities[:, 0].numel()
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
    tokens, sizes = [logits(image.student_features, student) for image in images], [image.size for image in images]
    weights = focal_class_weights(mean_probabilities(tokens, sizes, vote_stride), gamma)
    loss = student.new_zeros(())
    for members in equal_shapes(tokens, sizes, stride=1 if pixels_per_image is None else vote_stride):
        values = torch.stack([tokens[index] for index in members])
        proposals = torch.stack([images[index].proposals for index in members])
        classes = pad_sequence([votes[index] for index in members], batch_first=True, padding_value=IGNORE_INDEX)
        if pixels_per_image is None or pixels_per_image >= proposals[0].numel():
            # Checkpointed: the full-size logits of one group at a time, computed anew for the gradient.
            labels = pseudo_labels(proposals, classes)
            loss = loss + checkpoint(_all_pixels_loss, values, labels, weights, use_reentrant=False, preserve_rng_state=False)
        else:
            count = proposals[0].numel()
            pixels = torch.randint(count, (len(members), pixels_per_image), generator=generator).to(values.device)
            labels = pseudo_labels(proposals.flatten(1).gather(1, pixels), classes)
            loss = loss + _sampled_loss(values, sizes[members[0]], pixels, labels, weights) * (count / pixels_per_image)
    return loss / sum(height * width for height, width in sizes)


def _all_pixels_loss(token_logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    values = upsample(token_logits, (labels.shape[1], labels.shape[2]))
    return F.cross_entropy(values, labels, weight=weights, ignore_index=IGNORE_INDEX, reduction="none").sum()


def _sampled_loss(token_logits: Tensor, size: tuple[int, int], pixels: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    images, position = (labels != IGNORE_INDEX).nonzero(as_tuple=True)
    values = sample(token_logits, size, images, pixels[images, position])
    return F.cross_entropy(values, labels[images, position], weight=weights, reduction="none").sum()


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
