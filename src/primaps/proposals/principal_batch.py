"""The decomposition of `primaps.proposals.principal` for many images of one token grid at the same
time.

All images advance by one proposal per round, and nothing is fetched from the device but every few
rounds, when images that are done and tokens that are used are left behind. Sums are made in another
order than there, so that numbers differ by rounding. Where rounding could change a mask (the
direction is not unique, two tokens are equally good anchors, a similarity lies on the threshold),
the image counts as *doubtful* and is decomposed there, alone: masks are the same by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from primaps.proposals.leading_batch import leading_eigenvectors
from primaps.proposals.principal import MASK_LIMIT, SHORT_PATH, principal_masks

_CHECK_EVERY = 4
"""Rounds between two looks at how much is left; each waits for the device."""

_TIE = 1e-8
"""Similarities to the direction that differ by less may come in either order: directions are exact
to 1e-9.
"""

_SAME = 1e-14
"""Tokens whose cosine is 1 up to this make the same proposal, as far as `_EDGE` can tell."""

_EDGE = 2e-7
"""A token whose similarity is nearer to the threshold may fall on either side."""

_SPREAD = 1e-6
"""Below this fraction of their mean square, the variance of tokens is lost in rounding."""


@dataclass(frozen=True)
class MaskBatch:
    """The raw decompositions of B images at token resolution, K = most proposals of any of them.

    Attributes:
        similarity: (B, K, h, w) float32, see `primaps.proposals.principal.PrincipalMasks`; 0 beyond
            an image's own number.
        counts: Number of proposals of each image.
        scores: (B, K) float32 mean cosine similarity of a proposal's tokens to its anchor; 0
            beyond.
        guards: Degenerate cases that were handled, per image.
        doubtful: Number of images that were decomposed alone; for tests, which compare with the
            plain decomposition and would compare it with itself where all images are doubtful.
    """

    similarity: Tensor
    counts: tuple[int, ...]
    scores: Tensor
    guards: tuple[tuple[str, ...], ...]
    doubtful: int


@dataclass(frozen=True)
class _Settings:
    threshold: float
    stop_fraction: float
    max_masks: int
    official_anchor: bool


@dataclass
class _State:
    """What is known of all B images; tensors of `_Part` are gathered from it and written back to
    it.

    Attributes:
        tokens: (B, N, C) float64.
        norms: (B, N) float64, at least tiny.
        available: (B, N) bool.
        total: (B,) int64 tokens with a direction.
        doubtful: (B,) bool.
    """

    tokens: Tensor
    norms: Tensor
    available: Tensor
    total: Tensor
    doubtful: Tensor


@dataclass(frozen=True)
class _Part:
    """The b images that are not done, each with the n tokens that may be available still.

    Attributes:
        images: (b,) int64 which images.
        index: (b, n) int64 which tokens, ascending.
        tokens: (b, n, C) float64.
        norms: (b, n) float64.
    """

    images: Tensor
    index: Tensor
    tokens: Tensor
    norms: Tensor


@dataclass(frozen=True)
class _Planes:
    """What one round made; everything is 0 for images that were done.

    Attributes:
        similarity: (B, N) float32, scaled to a largest value of 1.
        scores: (B,) float32.
        flags: (B, 3) bool; whether there is a proposal, and which guards it needed.
    """

    similarity: Tensor
    scores: Tensor
    flags: Tensor


@torch.no_grad()
def principal_masks_batch(
    features: Tensor,
    threshold: float = 0.4,
    *,
    stop_fraction: float = 0.95,
    max_masks: int = MASK_LIMIT,
    official_anchor: bool = False,
) -> MaskBatch:
    """Decompose B feature maps into disjoint similarity masks (Hahn et al. 2024, section 3.1).

    Args:
        features: (B, C, h, w) finite float features, not normalised, B >= 1.
        threshold: As for `primaps.proposals.principal.principal_masks`, and so are the other
            arguments.
        stop_fraction: See there.
        max_masks: See there.
        official_anchor: See there.

    Returns:
        For each image the masks of `primaps.proposals.principal.principal_masks`, token for token;
        similarities and scores are the same up to rounding. Which other images there are makes no
        difference to the masks.
    """
    settings = _Settings(threshold, stop_fraction, max_masks, official_anchor)
    tokens = features.flatten(2).transpose(1, 2).contiguous().double()
    norms = tokens.norm(dim=2)
    available = norms > 0
    doubtful = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
    state = _State(
        tokens,
        norms.clamp_min(torch.finfo(torch.float32).tiny),
        available,
        available.sum(1),
        doubtful,
    )
    made: list[_Planes] = []
    part: _Part | None = None
    while len(made) < max_masks:
        if len(made) % _CHECK_EVERY == 0:
            part = _what_is_left(state, settings)
        if part is None:
            break
        made.append(_round(state, part, settings))
    return _collected(features, made, state.doubtful, settings)


def _active(state: _State, settings: _Settings) -> Tensor:
    """(B,) bool; images that want another round."""
    used = state.total - state.available.sum(1)
    return ~state.doubtful & (used < settings.stop_fraction * state.total.double())


def _what_is_left(state: _State, settings: _Settings) -> _Part | None:
    """The active images with their available tokens, None if there is none. This is where the host
    waits.
    """
    counts = (state.available.sum(1) * _active(state, settings)).tolist()
    left = [image for image, count in enumerate(counts) if count]
    if not left:
        return None
    images = torch.tensor(left, device=state.tokens.device)
    available = state.available[images]
    index = available.int().argsort(dim=1, descending=True, stable=True)[:, : max(counts)]
    # images with fewer tokens are filled up with used ones, which must not come first
    index = index.sort(dim=1).values
    rows = images[:, None]
    return _Part(images, index, state.tokens[rows, index], state.norms[rows, index])


def _round(state: _State, part: _Part, settings: _Settings) -> _Planes:
    """One proposal for every active image: direction, anchor, similarity, removal."""
    rows = part.images[:, None]
    available = state.available[rows, part.index]
    active = _active(state, settings)[part.images]
    direction, unsure = _directions(part, available, settings.official_anchor)
    alignment = (part.tokens @ direction[:, :, None]).squeeze(2) / part.norms
    choice = _among_available(part, available, alignment.abs(), settings.threshold)
    guards = (torch.zeros_like(active), torch.zeros_like(active))
    if settings.official_anchor:
        choice, guards = _official_choice(
            state, part, available, alignment, choice, settings.threshold
        )
    unsure = unsure | choice.unsure
    state.doubtful[part.images] |= active & unsure
    made = active & ~unsure
    similarity = choice.similarity * made[:, None]
    state.available[rows, part.index] = available & (similarity <= 0)
    planes = _Planes(
        similarity=torch.zeros_like(state.norms, dtype=torch.float32),
        scores=torch.zeros_like(state.total, dtype=torch.float32),
        flags=torch.zeros_like(state.available[:, :1]).repeat(1, 3),
    )
    tiny = torch.finfo(similarity.dtype).tiny
    planes.similarity[rows, part.index] = (
        similarity / similarity.amax(dim=1, keepdim=True).clamp_min(tiny)
    ).float()
    planes.scores[part.images] = (
        similarity.sum(dim=1) / (similarity > 0).sum(dim=1).clamp_min(1)
    ).float()
    planes.flags[part.images] = torch.stack([made, *guards], dim=1) & made[:, None]
    return planes


def _directions(part: _Part, available: Tensor, official: bool) -> tuple[Tensor, Tensor]:
    """(b, C) first principal directions of the available tokens, and (b,) bool where they are not
    certain.

    The second moments are computed anew in every round: to downdate them by tokens that differ in
    number from image to image would be a masked product of the same size, and would lose precision.
    The sign counts for the official anchor only; see
    `primaps.proposals.principal.principal_direction`.
    """
    weights = available.double()
    count = available.sum(dim=1)
    mean = weights[:, None] @ part.tokens / count.clamp_min(1)[:, None, None]
    centred = (part.tokens - mean) * weights[:, :, None]
    moments = centred.transpose(1, 2) @ centred
    energy = (part.norms.square() * weights).sum(dim=1)
    direction, certain = leading_eigenvectors(moments)
    certain &= moments.diagonal(dim1=1, dim2=2).sum(dim=1) > _SPREAD * energy
    if not official:
        # a lone token is the anchor, whatever the direction
        return direction, ~certain & (count > 1)
    channels = direction.shape[1]
    first = centred[
        torch.arange(len(centred), device=centred.device), available.int().argmax(dim=1)
    ]
    is_tall = count >= channels
    side = torch.where(is_tall, (first * direction).sum(dim=1), direction[:, 0])
    certain &= side.abs() > _TIE * torch.where(is_tall, first.norm(dim=1), 1.0)
    positive = (side >= 0) == (count.clamp_max(channels) >= SHORT_PATH)
    return torch.where(positive[:, None], direction, -direction), ~certain


@dataclass(frozen=True)
class _Choice:
    """What belongs to an anchor in each of b images.

    Attributes:
        similarity: (b, n) float64 as of `primaps.proposals.principal.Round`, 0 for tokens that are
            not available.
        unsure: (b,) bool; rounding could change which tokens those are.
    """

    similarity: Tensor
    unsure: Tensor

    def where(self, condition: Tensor, other: _Choice) -> _Choice:
        """This choice for the images of a (b,) condition, the other one for the rest."""
        return _Choice(
            torch.where(condition[:, None], self.similarity, other.similarity),
            torch.where(condition, self.unsure, other.unsure),
        )


def _among_available(part: _Part, available: Tensor, strength: Tensor, threshold: float) -> _Choice:
    """The first of the available tokens whose (b, n) strength is the largest, as the anchor."""
    strength = strength.masked_fill(~available, -torch.inf)
    contenders = available & (strength >= strength.amax(dim=1, keepdim=True) - _TIE)
    slot = contenders.int().argmax(dim=1, keepdim=True)
    image = torch.arange(len(slot), device=slot.device)
    cosines = _cosines(part, part.tokens[image, slot[:, 0]], part.norms.gather(1, slot))
    similarity, unsure = _thresholded(cosines, available, threshold)
    unsure |= (contenders & (cosines < 1.0 - _SAME)).any(dim=1)
    return _Choice(similarity, unsure)


def _official_choice(
    state: _State,
    part: _Part,
    available: Tensor,
    alignment: Tensor,
    default: _Choice,
    threshold: float,
) -> tuple[_Choice, tuple[Tensor, Tensor]]:
    """The official anchors (first signed maximum, used tokens at zero), and where each of the two
    guards was needed.
    """
    top = alignment.masked_fill(~available, -torch.inf).amax(dim=1)
    used = ~state.available[part.images]
    some_used, first_used = used.any(dim=1), used.int().argmax(dim=1)
    among_used = some_used & (top < 0)
    norms = state.norms[part.images, first_used]
    cosines = _cosines(part, state.tokens[part.images, first_used], norms[:, None])
    of_used = _Choice(*_thresholded(cosines, available, threshold))
    without = among_used & ~(of_used.similarity > 0).any(dim=1)
    choice = of_used.where(among_used, _among_available(part, available, alignment, threshold))
    doubt = choice.unsure | (some_used & (top.abs() <= _TIE))
    choice = default.where(without, choice)
    return _Choice(choice.similarity, choice.unsure | doubt), (among_used, without)


def _cosines(part: _Part, anchor: Tensor, norms: Tensor) -> Tensor:
    """(b, n) cosine similarity of all tokens to (b, C) anchors with (b, 1) norms."""
    return (part.tokens @ (anchor / norms)[:, :, None]).squeeze(2) / part.norms


def _thresholded(cosines: Tensor, available: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Cosines of the available tokens, zero below the threshold (relative to the largest), and (b,)
    bool where that is unsure.
    """
    limit = threshold * cosines.masked_fill(~available, 0.0).amax(dim=1, keepdim=True).clamp_min(
        0.0
    )
    unsure = (available & ((cosines - limit).abs() < _EDGE)).any(dim=1)
    return cosines.masked_fill(~available | (cosines < limit), 0.0), unsure


def _collected(
    features: Tensor, made: list[_Planes], doubtful: Tensor, settings: _Settings
) -> MaskBatch:
    """All rounds as one result; doubtful images are decomposed alone."""
    images, _, height, width = features.shape
    no_direction = (~features.any(dim=1)).flatten(1).any(dim=1)
    is_doubtful, lacks_direction = torch.stack([doubtful, no_direction]).tolist()
    flags = (
        torch.stack([planes.flags for planes in made]).permute(1, 2, 0).tolist()
        if made
        else [[[], [], []]] * images
    )
    alone = {
        image: principal_masks(
            features[image],
            settings.threshold,
            stop_fraction=settings.stop_fraction,
            max_masks=settings.max_masks,
            official_anchor=settings.official_anchor,
        )
        for image in range(images)
        if is_doubtful[image]
    }
    counts = [
        len(alone[image].scores) if image in alone else sum(flags[image][0])
        for image in range(images)
    ]
    size = max(counts)
    similarity = features.new_zeros(images, size, height * width, dtype=torch.float32)
    scores = features.new_zeros(images, size, dtype=torch.float32)
    for number, planes in enumerate(made[:size]):
        similarity[:, number], scores[:, number] = planes.similarity, planes.scores
    for image, masks in alone.items():
        count = counts[image]
        for target, given in ((similarity, masks.similarity.flatten(1)), (scores, masks.scores)):
            target[image].zero_()
            target[image, :count] = given
    guards = [
        alone[image].guards if image in alone else _guards(lacks_direction[image], *flags[image])
        for image in range(images)
    ]
    return MaskBatch(
        similarity.view(images, size, height, width),
        tuple(counts),
        scores,
        tuple(guards),
        len(alone),
    )


def _guards(
    no_direction: bool, made: list[bool], among_used: list[bool], without_tokens: list[bool]
) -> tuple[str, ...]:
    """The guards of one image in the order in which `primaps.proposals.principal.principal_masks`
    names them.
    """
    names = ["zero_tokens"] if no_direction else []
    for each in zip(made, among_used, without_tokens, strict=True):
        names += [
            name
            for name, needed in zip(
                ("anchor_among_used", "anchor_without_tokens"), each[1:], strict=True
            )
            if needed
        ]
    return tuple(names)
