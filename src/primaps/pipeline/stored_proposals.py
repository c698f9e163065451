"""Mean features of the proposals of all stored images, with the image and id of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.errors import DatasetError
from primaps.prototypes.clusters import proposal_means
from primaps.runs.run import Run
from primaps.types import View

STAGE: Final = "mean features"


@dataclass(frozen=True)
class StoredProposals:
    """M proposals of the images of a run, those of one image together, by ascending id.

    Attributes:
        images: Names of the images.
        image: (M,) int64 number of the image of each, in ``images``.
        ids: (M,) int64 id of each in its image.
        unit: (M, C) float32 unit mean features.
        areas: (M,) float32 areas in tokens.
        token_norm: Root mean square norm of the features of all tokens.
    """

    images: tuple[str, ...]
    image: Tensor
    ids: Tensor
    unit: Tensor
    areas: Tensor
    token_norm: float

    def name(self, row: int) -> tuple[str, int]:
        """Image and id of one proposal."""
        return self.images[int(self.image[row])], int(self.ids[row])

    def rows(self) -> dict[tuple[str, int], int]:
        """Number of every proposal by its image and id."""
        images, ids = self.image.tolist(), self.ids.tolist()
        return {
            (self.images[image], number): row
            for row, (image, number) in enumerate(zip(images, ids, strict=True))
        }


def read_proposals(run: Run, wanted: Collection[str] = ()) -> StoredProposals:
    """The proposals of a run; of random images, once there are `FitConfig.max_proposals`.

    Args:
        run: The run; its proposals stage is done.
        wanted: Names of images that are among them in any case.

    Raises:
        DatasetError: If nothing is stored, or no image has a proposal.
    """
    names = [image.name for image in run.usable_images()]
    generator = torch.Generator().manual_seed(run.config.seed)
    order = torch.randperm(len(names), generator=generator).tolist()
    order.sort(key=lambda index: names[index] not in wanted)  # stable: the rest stays random
    found, count = dict[int, tuple[Tensor, ...]](), 0
    with run.stage(STAGE, len(names)):
        for index in order:
            if count >= run.config.fit.max_proposals and names[index] not in wanted:
                break
            found[index] = _of_image(run, names[index])
            count += len(found[index][0])
            run.progress.advance(1)
    if not count:
        raise DatasetError(
            f"Expected mask proposals in {run.folder.store}, but there are none. Run `primaps"
            " proposals` first, or with a lower --threshold."
        )
    present = sorted(found)
    ids, means, areas, norms = (
        torch.cat(part) for part in zip(*(found[index] for index in present), strict=True)
    )
    image = torch.repeat_interleave(
        torch.arange(len(present)), torch.tensor([len(found[index][0]) for index in present])
    )
    return StoredProposals(
        tuple(names[index] for index in present),
        image,
        ids,
        F.normalize(means, dim=1),
        areas,
        float(norms.mean().sqrt()),
    )


def _of_image(run: Run, name: str) -> tuple[Tensor, ...]:
    try:
        means = proposal_means(
            run.store.features(name, View()), run.store.proposals(name), 0, torch.Generator()
        )
    except DatasetError as error:
        raise DatasetError(f"{name}: {error}") from error
    assert means.ids is not None  # of one image
    return means.ids, means.features, means.areas, means.square_norm.reshape(1)
