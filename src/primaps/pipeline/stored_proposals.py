"""Mean features of the proposals of all stored images, with the image and id of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.errors import DatasetError
from primaps.prototypes.clusters import proposal_means
from primaps.runs.digest import ProposalDigest
from primaps.runs.run import Run
from primaps.runs.store import FeatureStore
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
    names, most = [image.name for image in run.usable_images()], run.config.fit.max_proposals
    generator = torch.Generator().manual_seed(run.config.seed)
    order = torch.randperm(len(names), generator=generator).tolist()
    order.sort(key=lambda index: names[index] not in wanted)  # stable: the rest stays random
    with run.stage(STAGE, len(names)):
        chosen, count = list[int](), 0
        for index in order:
            info = run.store.info(names[index])
            if info is None or (count >= most and names[index] not in wanted):
                continue
            count += info.num_masks
            chosen.append(index)
        return proposals_in(
            run.store, [names[index] for index in sorted(chosen)], run.progress.advance
        )


def proposals_in(
    store: FeatureStore, names: Sequence[str], advance: Callable[[int], None] = lambda _: None
) -> StoredProposals:
    """The proposals of some stored images.

    Args:
        store: Where they are.
        names: Of the images.
        advance: Told 1 after every image.

    Raises:
        DatasetError: If no image has a proposal.
    """
    found = []
    for name in names:
        found.append(proposals_of_image(store, name))
        advance(1)
    if not any(len(each.ids) for each in found):
        raise DatasetError(
            f"Expected mask proposals in {store.root}, but there are none. Run `primaps proposals`"
            " first, or with a lower --threshold."
        )
    ids, means, areas, norms = (
        torch.cat([getattr(each, part) for each in found])
        for part in ("ids", "features", "areas", "square_norm")
    )
    counts = torch.tensor([len(each.ids) for each in found])
    return StoredProposals(
        tuple(names),
        torch.repeat_interleave(torch.arange(len(names)), counts),
        ids,
        F.normalize(means, dim=1),
        areas,
        float(norms.mean().sqrt()),
    )


def proposals_of_image(store: FeatureStore, name: str) -> ProposalDigest:
    """The proposals of one image: measured on its features, or as its digest has them.

    Raises:
        CheckpointError: If neither is there.
        DatasetError: If features are not finite.
    """
    if store.digest is not None and name in store.digest.infos and not store.held(name):
        return store.digest.proposals(name)
    try:
        means = proposal_means(
            store.features(name, View()), store.proposals(name), 0, torch.Generator()
        )
    except DatasetError as error:
        raise DatasetError(f"{name}: {error}") from error
    assert means.ids is not None  # of one image
    return ProposalDigest(means.ids, means.features, means.areas, means.square_norm.reshape(1))
