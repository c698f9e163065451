"""How much faster is a step of EM than the operations of the official code?

    python benchmarks/em.py

Everything runs in one process on one thread, the two sides by turns; a figure is the median over
rounds of CPU seconds per image, and of their ratio: ratios hold on a busy machine as well, seconds
do not. Images are 320 x 320 pixels with 384 channels of 40 x 40 tokens: noisy regions, which are
the proposals.

- Ours: `expectation`, `student_loss` and its gradient on cached float16 features, teacher's and
  student's view apart. The sampled loss sees 4096 pixels of each image, votes and class weights all
  of them (`preset="default"`).
- Official operations (Hahn et al., TMLR 2024, section 3.2, and its code), restated: the features of
  two forward passes of the backbone are upsampled to the size of the image before the head; one
  ``torch.mode`` for each proposal; cross-entropy on all pixels and its gradient. Without and with
  the two forward passes of ViT-S/8 (random weights).

The relative difference of the two gradients on the same images is printed as well: both sides
compute the same.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from rows import Row, add_rows_option, at_least, publish
from torch import Tensor

from primaps.config import FitConfig
from primaps.prototypes.em import TrainingImage, expectation, kmeans_loss, student_loss
from primaps.prototypes.steps.choice import sums_on

CHANNELS, TOKENS, SIDE, REGIONS = 384, 40, 320, 12
PIXELS = 4096
IGNORED = 255
BARS = {"all pixels": 25.0, "sampled": 50.0}
"""Times as fast as the official step."""
SAME = 1e-5
"""Largest relative difference of gradients."""
SUMS = sums_on(torch.device("cpu"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", type=int, default=27)
    parser.add_argument("--images", type=int, default=16, help="images of our step")
    parser.add_argument(
        "--official-images", type=int, default=2, help="images of the official step"
    )
    parser.add_argument("--rounds", type=int, default=3)
    add_rows_option(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = make_images(options.images)
    teacher, student = (
        make_prototypes(options.classes, 1),
        make_prototypes(options.classes, 2).requires_grad_(),
    )
    few = images[: options.official_images]
    backbone, photographs = vit(), torch.randn(len(few), 3, SIDE, SIDE)
    sides: dict[str, tuple[int, Callable[[], Tensor]]] = {
        "official": (len(few), lambda: official_step(teacher, student, few)),
        "backbone": (
            len(few),
            lambda: torch.stack([forward(backbone, photographs).sum() for _ in range(2)]),
        ),
        "all pixels": (len(images), lambda: our_step(teacher, student, images, None)),
        "sampled": (len(images), lambda: our_step(teacher, student, images, PIXELS)),
        "k-means": (len(images), lambda: kmeans_step(student, images)),
    }
    theirs, ours = (
        gradient(student, step)
        for step in (sides["official"][1], lambda: our_step(teacher, student, few, None))
    )
    difference = float((theirs - ours).norm() / theirs.norm())
    our_step(teacher, student, few, PIXELS)  # compiles, as the line above and the next one
    kmeans_step(student, few)
    rounds = [
        {name: clocked(step) / count for name, (count, step) in sides.items()}
        for _ in range(options.rounds)
    ]
    what = f"EM step, {options.classes} classes, {SIDE} x {SIDE}"
    milliseconds = ", ".join(
        f"{name} {1000 * median(seconds[name] for seconds in rounds):.1f}" for name in sides
    )
    rows = [
        Row(f"{what}: CPU ms per image", milliseconds),
        Row(
            f"{what}: gradients of the two sides differ by",
            f"{difference:.1e}",
            f"at most {SAME:g}",
            difference <= SAME,
        ),
    ]
    for name, bar in BARS.items():
        without = median(seconds["official"] / seconds[name] for seconds in rounds)
        including = median(
            (seconds["official"] + seconds["backbone"]) / seconds[name] for seconds in rounds
        )
        more = f"; {without:.0f} x without the two backbone passes"
        rows.append(
            at_least(
                f"{what}, {name}: against the official step with its backbone passes",
                including,
                bar,
                more,
            )
        )
    publish(rows, options.rows)


def clocked(step: Callable[[], Tensor]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    step()
    return time.process_time() - started


def gradient(prototypes: Tensor, step: Callable[[], Tensor]) -> Tensor:
    """Gradient that a step leaves."""
    step()
    assert prototypes.grad is not None
    return prototypes.grad.clone()


def make_images(count: int) -> list[TrainingImage]:
    """Noisy regions; each is a proposal."""
    generator = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(REGIONS, CHANNELS, generator=generator), dim=1)
    images = []
    for _ in range(count):
        coarse = (
            torch.randint(REGIONS, (8, 8), generator=generator)
            .repeat_interleave(5, 0)
            .repeat_interleave(5, 1)
        )
        views = [
            (3 * centres[coarse] + 0.1 * torch.randn(TOKENS, TOKENS, CHANNELS, generator=generator))
            .permute(2, 0, 1)
            .half()
            for _ in range(2)
        ]
        ids = coarse.repeat_interleave(SIDE // TOKENS, 0).repeat_interleave(SIDE // TOKENS, 1)
        images.append(
            TrainingImage(views[0].contiguous(), views[1].contiguous(), ids.to(torch.uint8))
        )
    return images


def make_prototypes(classes: int, seed: int) -> Tensor:
    """(classes, CHANNELS) unit vectors."""
    return F.normalize(
        torch.randn(classes, CHANNELS, generator=torch.Generator().manual_seed(seed)), dim=1
    )


# ---- our side ------------------------------------------------------------------------------------


def our_step(
    teacher: Tensor, student: Tensor, images: Sequence[TrainingImage], pixels: int | None
) -> Tensor:
    """Loss and gradient of one step."""
    student.grad = None
    config = FitConfig(min_agreement=0.0, pixels_per_image=pixels)
    votes = expectation(teacher, images, SUMS, config)
    loss = student_loss(student, images, votes, SUMS, config, torch.Generator())
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def kmeans_step(prototypes: Tensor, images: Sequence[TrainingImage]) -> Tensor:
    """Loss and gradient of one step of the initialisation."""
    prototypes.grad = None
    loss = kmeans_loss(prototypes, [image.teacher_features for image in images], SUMS)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


# ---- the official operations ---------------------------------------------------------------------


def official_step(teacher: Tensor, student: Tensor, images: Sequence[TrainingImage]) -> Tensor:
    """Loss and gradient of one step from the features of the backbone on."""
    student.grad = None
    proposals = torch.stack([image.proposals for image in images]).long()
    with torch.no_grad():
        features = enlarge(torch.stack([image.teacher_features for image in images]).float())
        classes = F.conv2d(features, teacher[:, :, None, None]).argmax(1)
    labels = torch.full_like(classes, IGNORED)
    for label, ids, predicted in zip(labels, proposals, classes, strict=True):
        for number in ids.unique():
            if number != 0:
                label[ids == number] = predicted[ids == number].mode().values
    with torch.no_grad():
        features = enlarge(torch.stack([image.student_features for image in images]).float())
    scores = F.conv2d(features, student[:, :, None, None])
    weights = (1 - scores.detach().softmax(1).mean((0, 2, 3))) ** 2
    loss = F.cross_entropy(
        scores, labels, weight=weights, ignore_index=IGNORED, reduction="none"
    ).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def enlarge(features: Tensor) -> Tensor:
    """(N, C, h, w) to (N, C, SIDE, SIDE)."""
    return F.interpolate(features, size=(SIDE, SIDE), mode="bilinear", align_corners=False)


def vit() -> Any:
    """ViT-S/8 for images of SIDE pixels with random weights."""
    import timm

    return timm.create_model(
        "vit_small_patch8_224.dino", pretrained=False, img_size=SIDE, num_classes=0
    ).eval()


@torch.no_grad()
def forward(backbone: Any, photographs: Tensor) -> Tensor:
    """Tokens of the photographs, one photograph after the other: less memory and no slower on one
    thread.
    """
    return torch.cat([backbone.forward_features(photograph[None]) for photograph in photographs])


if __name__ == "__main__":
    main()
