"""PriMaPs-EM: class prototypes fitted to mask proposals by stochastic expectation maximisation.

Hahn et al., "Boosting Unsupervised Semantic Segmentation with Principal Mask Proposals" (TMLR
2024), section 3.2. One step:

1. E-step: the momentum teacher classifies every pixel; each mask proposal takes the class of most
   of its pixels (`vote`). Its pixels get that class as pseudo label; pixels without a proposal are
   ignored.
2. M-step: the student, which may see an augmented view, minimises the focal cross-entropy to the
   pseudo labels (`student_loss`). A class is weighted by (1 - mean probability)^gamma, so that rare
   classes are not swallowed (`focal_class_weights`).
3. Now and then the teacher follows the student with a momentum that grows from 0 to its cap
   (`teacher_momentum`).

With `FitConfig.pixels_per_image` the loss is a sum over random pixels; votes and class weights
still come from all pixels, so that its expectation is the loss of all pixels. ``vote_stride`` thins
the pixel grid on which classes are counted; with ``min_agreement`` proposals that the teacher finds
mixed give no pseudo label, so that frequent classes do not swallow rare ones; with
``proposal_weight`` a proposal counts by a power of its area, so that large ones do not drown small
ones. None is used by the publication; without them every pixel counts alike. Images of one batch
may differ in size: means are over all its pixels.

What is summed over pixels, and over the processes that divide a batch between them, is asked of
`Sums`, see `primaps.prototypes.steps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.config import FitConfig
from primaps.prototypes.classifier import Prototypes
from primaps.prototypes.sums import Sums
from primaps.types import IGNORE_INDEX


@dataclass(frozen=True)
class TrainingImage:
    """What one image contributes to a step.

    Attributes:
        teacher_features: (C, h, w) floating point, of the view that the teacher sees.
        student_features: (C, h, w) floating point, of the same geometry, with the student's
            photometric augmentation.
        proposals: (H, W) integer mask proposal ids in the same geometry, 0 = unassigned.
    """

    teacher_features: Tensor
    student_features: Tensor
    proposals: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.proposals.shape
        return height, width


def vote(ballots: Sequence[Tensor], min_agreement: float = 0.0) -> list[Tensor]:
    """E-step: the class of most pixels of each mask proposal (paper, section 3.2).

    Args:
        ballots: Per image of a batch (M + 1, K) int64 number of pixels by proposal id and class.
        min_agreement: Share of its pixels that the winning class of a proposal needs, in [0, 1],
            unless the proposal is in the purer half of those of the batch that its class wins: no
            class falls silent.

    Returns:
        Per image (M + 1,) int64 class of each proposal id; the smallest class id wins ties;
        IGNORE_INDEX for id 0, for ids without a pixel, and for ids that do not agree enough.
    """
    counts = torch.cat([each[1:] for each in ballots])
    most, winner = counts.max(1)  # the first class on ties
    winner[most == 0] = IGNORE_INDEX
    share = most.double() / counts.sum(1).clamp_min(1)
    by_class = torch.argsort(2 * winner - share, stable=True)  # the purest first within each class
    won = torch.bincount(winner, minlength=IGNORE_INDEX + 1)
    first = won.cumsum(0) - won
    rank = torch.empty_like(winner)
    rank[by_class] = torch.arange(len(winner), device=winner.device) - first[winner[by_class]]
    winner[(share < min_agreement) & (2 * rank >= won[winner])] = IGNORE_INDEX
    parts = torch.split(winner, [len(each) - 1 for each in ballots])
    return [F.pad(part, (1, 0), value=IGNORE_INDEX) for part in parts]


def expectation(
    teacher: Tensor, images: Sequence[TrainingImage], sums: Sums, config: FitConfig
) -> list[Tensor]:
    """E-step for a batch.

    Args:
        teacher: (K, C) float32 effective prototypes of the teacher.
        images: The batch; with several processes, this one's part of it.
        sums: Over the pixels of the batch.
        config: Its ``vote_stride`` is that of the grid that votes; its ``min_agreement`` holds as
            for `vote`, over the whole batch.

    Returns:
        Per image of ``images`` (M + 1,) int64 as from `vote`; M is at least the number of its
        proposals.
    """
    tokens = sums.token_logits(teacher.detach(), [image.teacher_features for image in images])
    ballots = sums.ballots(tokens, [image.proposals for image in images], config.vote_stride)
    votes = vote(sums.gather(ballots), config.min_agreement)
    return [each.to(teacher.device) for each in sums.own(votes)]


def focal_class_weights(mean_probabilities: Tensor, gamma: float) -> Tensor:
    """Focal weight of every class, (1 - p)^gamma.

    Args:
        mean_probabilities: (K,) float32 mean of the student's probabilities over all pixels of the
            batch.
        gamma: Focal exponent.

    Returns:
        (K,) float32 in [0, 1], detached.
    """
    return (1.0 - mean_probabilities.detach()).clamp(0.0, 1.0) ** gamma


def pixel_weights(
    class_weights: Tensor,
    proposals: Sequence[Tensor],
    votes: Sequence[Tensor],
    exponent: float,
    sums: Sums,
) -> list[Tensor]:
    """Weight of a pixel of each proposal: that of its class, times what makes proposals count by a
    power of their area.

    A proposal of A pixels counts by ``A ** exponent``, in a unit in which the labelled pixels of
    the batch together count by their number.

    Args:
        class_weights: (K,) float32.
        proposals: Per image (H, W) integer proposal ids 0..M; with several processes, of this one's
            part of the batch.
        votes: Per image (M + 1,) int64 as from `vote`.
        exponent: In [0, 1]; 1 = every pixel counts by its class alone, 0 = all proposals of a class
            count alike.
        sums: Over the pixels of the batch.

    Returns:
        Per image (M + 1,) float32, 0 where there is no vote.
    """
    # IGNORE_INDEX has weight 0
    by_vote = F.pad(class_weights, (0, IGNORE_INDEX + 1 - len(class_weights)))
    weights = [by_vote[classes] for classes in votes]
    if exponent == 1.0:
        return weights
    areas = [
        area.double() * (classes != IGNORE_INDEX)
        for area, classes in zip(sums.areas(proposals, list(map(len, votes))), votes, strict=True)
    ]
    counts = [torch.where(area > 0, area**exponent, 0.0) for area in areas]
    parts = sums.gather(
        [torch.stack([area.sum(), count.sum()]) for area, count in zip(areas, counts, strict=True)]
    )
    pixels, counted = (sum(float(part[place]) for part in parts) for place in (0, 1))
    unit = pixels / max(1.0, counted)  # a labelled proposal counts by 1 or more
    return [
        (weight * (unit * count / area.clamp_min(1.0))).float()
        for weight, count, area in zip(weights, counts, areas, strict=True)
    ]


def student_loss(
    student: Tensor,
    images: Sequence[TrainingImage],
    votes: Sequence[Tensor],
    sums: Sums,
    config: FitConfig,
    generator: torch.Generator | None = None,
) -> Tensor:
    """M-step loss of a batch: focal cross-entropy to the pseudo labels (paper, section 3.2).

    The sum over labelled pixels of ``w * CE`` divided by the number of all pixels, ignored ones
    included; w is the weight of the pixel's class, unless proposals count by less than their area,
    see `pixel_weights`.

    Args:
        student: (K, C) float32 effective prototypes of the student; the loss is differentiable in
            them.
        images: The batch; with several processes, this one's part of it.
        votes: From `expectation`.
        sums: Over the pixels of the batch.
        config: Its ``focal_gamma`` is the focal exponent, ``proposal_weight`` the exponent of the
            area by which a proposal counts, ``vote_stride`` that of the grid for the mean
            probabilities. With ``pixels_per_image`` the sum goes over so many random pixels (with
            replacement), unless the image has no more than these.
        generator: Source of the random pixels, on the CPU; not used with all pixels.

    Returns:
        () float32, of the whole batch.
    """
    tokens = sums.token_logits(student, [image.student_features for image in images])
    sizes, proposals = [image.size for image in images], [image.proposals for image in images]
    class_weights = focal_class_weights(
        sums.mean_probabilities(tokens, sizes, config.vote_stride), config.focal_gamma
    )
    weights = pixel_weights(class_weights, proposals, votes, config.proposal_weight, sums)
    counts = _of_all([height * width for height, width in sizes], sums)
    # Drawn for all images, so that they do not depend on the number of processes.
    pixels = sums.own([_draw_pixels(count, config.pixels_per_image, generator) for count in counts])
    return sums.cross_entropy(tokens, proposals, votes, weights, pixels) / sum(counts)


def _draw_pixels(
    count: int, pixels_per_image: int | None, generator: torch.Generator | None
) -> Tensor | None:
    if pixels_per_image is None or pixels_per_image >= count:
        return None
    return torch.randint(count, (pixels_per_image,), generator=generator)


def _of_all(counts: list[int], sums: Sums) -> list[int]:
    """Per image of the whole batch what is given per image of this process's part."""
    return [int(count) for count in sums.gather([torch.tensor(count) for count in counts])]


def kmeans_loss(prototypes: Tensor, features: Sequence[Tensor], sums: Sums) -> Tensor:
    """Loss of cosine k-means, which initialises EM and is the baseline: minus the mean cosine to
    the closest prototype.

    Args:
        prototypes: (K, C) float32, any norm; the loss is differentiable in them.
        features: Per image of the batch (C, h, w) floating point; with several processes, of this
            one's part of it.
        sums: Over the tokens of the batch.

    Returns:
        () float32 in [-1, 1], of the whole batch.
    """
    total = sums.closest_cosines(F.normalize(prototypes, dim=1), features)
    return -total / sum(_of_all([values[0].numel() for values in features], sums))


def teacher_momentum(call: int, cap: float) -> float:
    """Momentum of a teacher update: two hard copies, then a running mean of the students until the
    cap is reached.

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
