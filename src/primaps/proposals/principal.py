"""Principal mask proposals: images are decomposed by iterated PCA of their features.

Hahn, Araslanov, Schaub-Meyer, Roth: Boosting Unsupervised Semantic Segmentation with Principal Mask
Proposals, TMLR 2024, section 3.1. Each round finds the first principal direction of the tokens that
are still available, takes the token most similar to it as anchor, and removes the tokens whose
cosine similarity to the anchor reaches a threshold: they are one proposal.

All images of a batch advance by one proposal per round. Nothing here has to wait for the device;
how directions are found decides when the host looks at how much is left. Where directions are found
for many images at once, rounding could change a proposal: such images count as *doubtful* and are
decomposed once more with exact directions, so that masks are the same by construction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from primaps.proposals.decomposition import Plane, PrincipalMasks, Round, collected, plane_of
from primaps.proposals.directions import Directions, Finder
from primaps.proposals.directions_exact import ExactDirections
from primaps.proposals.doubt import doubtful_proposals

MASK_LIMIT = 254  # ids of a stack stay within 8 bits, as in the official implementation
_TINY = torch.finfo(torch.float32).tiny


def principal_masks(
    features: Tensor,
    threshold: float = 0.4,
    *,
    stop_fraction: float = 0.95,
    max_masks: int = MASK_LIMIT,
    official_anchor: bool = False,
    directions: Finder = ExactDirections,
) -> PrincipalMasks:
    """Decompose feature maps into disjoint similarity masks (paper, section 3.1).

    Args:
        features: (B, C, h, w) finite float features, not normalised, B >= 1.
        threshold: Cosine similarity to the anchor from which on a token belongs to the proposal.
        stop_fraction: Ends when this fraction of the tokens (with a direction) is used.
        max_masks: Ends after this many proposals.
        official_anchor: Anchor = first signed maximum of the similarity to the direction, taken
            over all tokens with used ones at zero (official code; depends on the sign of the
            direction). Otherwise the anchor is the available token with the largest absolute
            similarity.
        directions: How principal directions are found; masks are the same, token for token,
            similarities and scores up to rounding.

    Returns:
        For each image its masks in order of extraction; which other images there are makes no
        difference to them. Tokens without direction (zero features) belong to none.
    """
    made: list[Plane] = []
    doubtful = torch.zeros(len(features), dtype=torch.bool, device=features.device)
    for each in rounds(
        features,
        threshold,
        stop_fraction,
        max_masks,
        official_anchor=official_anchor,
        directions=directions,
    ):
        made.append(plane_of(each))
        doubtful = each.doubtful
    alone = {
        image: principal_masks(
            features[image : image + 1],
            threshold,
            stop_fraction=stop_fraction,
            max_masks=max_masks,
            official_anchor=official_anchor,
        )
        for image, is_doubtful in enumerate(doubtful.tolist())
        if is_doubtful
    }
    return collected(features, made, alone)


def rounds(
    features: Tensor,
    threshold: float,
    stop_fraction: float,
    max_masks: int,
    *,
    official_anchor: bool,
    directions: Finder = ExactDirections,
    signed: bool = False,
) -> Iterator[Round]:
    """The rounds of `principal_masks`, one by one: direction, anchor, similarity, removal.

    Args:
        features: As for `principal_masks`, and so are the other arguments.
        threshold: See there.
        stop_fraction: See there.
        max_masks: See there.
        official_anchor: See there.
        directions: See there.
        signed: Whether alignments have the sign of the official code also where no anchor depends
            on it; see `primaps.proposals.directions.with_official_sign`.
    """
    tokens = _tokens(features.detach())
    norms = tokens.norm(dim=2)
    available = norms > 0
    finder = directions(tokens, available, signed=signed or official_anchor)
    step = _Step(tokens, norms.clamp_min(_TINY), threshold, finder, official=official_anchor)
    doubtful = torch.zeros_like(available[:, 0])
    total = available.sum(dim=1)
    enough = stop_fraction * total.double()
    for number in range(max_masks):
        active = (total - available.sum(dim=1) < enough) & ~doubtful
        if number % finder.patience == 0 and not finder.look(available, active):
            return
        direction, unsure = finder.find(available)
        alignment = step.cosines(direction)
        choice = step.choice(alignment, available)
        doubtful = doubtful | (active & (unsure | choice.doubtful))
        made = active & ~doubtful
        similarity = choice.similarity * made[:, None]
        yield Round(available, alignment, choice.anchors, similarity, made, choice.guards, doubtful)
        available = available & (similarity <= 0)


def _tokens(features: Tensor) -> Tensor:
    """(B, h * w, C) float64 tokens, row by row, of (B, C, h, w) features."""
    size = (len(features), features[0, 0].numel(), features.shape[1])
    tokens = features.new_empty(size, dtype=torch.float64)
    # to transpose one matrix at a time is ten times as fast as to permute the batch
    for rows, image in zip(tokens, features, strict=True):
        rows.copy_(image.flatten(1).T.contiguous())
    return tokens


@dataclass(frozen=True)
class _Choice:
    """Anchors and what belongs to them: `Round` before doubtful images are taken out.

    Attributes:
        anchors: (B,) int64.
        similarity: (B, N) float64.
        guards: (B, 2) bool.
        doubtful: (B,) bool.
    """

    anchors: Tensor
    similarity: Tensor
    guards: Tensor
    doubtful: Tensor


class _Step:
    """What a round does with given directions."""

    def __init__(
        self, tokens: Tensor, norms: Tensor, threshold: float, finder: Directions, *, official: bool
    ) -> None:
        """Keep what rounds do not change.

        Args:
            tokens: (B, N, C) float64.
            norms: (B, N) float64, at least tiny.
            threshold: See `principal_masks`.
            finder: Whose directions they will be.
            official: Whether anchors are those of the official code, see `principal_masks`.
        """
        self.tokens, self.norms, self.threshold = tokens, norms, threshold
        self.finder, self.official = finder, official
        self._image = torch.arange(len(tokens), device=tokens.device)
        self._nowhere = torch.zeros(len(tokens), 2, dtype=torch.bool, device=tokens.device)

    def cosines(self, directions: Tensor) -> Tensor:
        """(B, N) cosine similarity of all tokens to (B, C) unit vectors."""
        if len(directions) == 1:  # small batched products are summed in another order
            return self.tokens @ directions[0] / self.norms
        return (self.tokens @ directions[:, :, None]).squeeze(2) / self.norms

    def choice(self, alignment: Tensor, available: Tensor) -> _Choice:
        """Anchors by their (B, N) similarity to the direction, and what belongs to them."""
        if not self.official:
            return self._of_available(alignment, available)
        choice = self._of_largest(alignment.masked_fill(~available, 0.0), available)
        among_used = ~available.gather(1, choice.anchors[:, None])
        # anchor among the used tokens, nothing available resembles it: 0/0 in the official code
        without = ~choice.similarity.any(dim=1, keepdim=True)
        guards = torch.cat([among_used, without], dim=1)
        choice = dataclasses.replace(choice, guards=guards)
        if self.finder.patience == 1 and not bool(without.any()):
            return choice  # where to look costs nothing
        other, rare = self._of_available(alignment, available), without[:, 0]
        return _Choice(
            torch.where(rare, other.anchors, choice.anchors),
            torch.where(without, other.similarity, choice.similarity),
            guards,
            choice.doubtful | (rare & other.doubtful),
        )

    def _of_available(self, alignment: Tensor, available: Tensor) -> _Choice:
        """The available token most similar to the direction or its opposite is the anchor."""
        return self._of_largest(alignment.abs().masked_fill(~available, -1.0), available)

    def _of_largest(self, candidates: Tensor, available: Tensor) -> _Choice:
        """The first of the largest (B, N) candidates is the anchor; available tokens belong to it
        whose similarity to it reaches the threshold (relative to the largest).
        """
        largest = candidates.amax(dim=1, keepdim=True)
        contenders = candidates >= largest - self.finder.tie
        anchors = contenders.int().argmax(dim=1)
        norms = self.norms.gather(1, anchors[:, None])
        cosines = self.cosines(self.tokens[self._image, anchors] / norms)
        similarity = cosines.masked_fill(~available, 0.0)
        limit = self.threshold * similarity.amax(dim=1, keepdim=True)
        similarity = similarity.masked_fill(similarity < limit, 0.0)
        doubtful = self._nowhere[:, 0]
        if self.finder.tie:
            doubtful = doubtful_proposals(contenders, available, cosines, limit)
        return _Choice(anchors, similarity, self._nowhere, doubtful)
