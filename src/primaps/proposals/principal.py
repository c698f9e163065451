"""Principal mask proposals: one image is decomposed by iterated PCA of its features.

Hahn, Araslanov, Schaub-Meyer, Roth: Boosting Unsupervised Semantic Segmentation with Principal Mask
Proposals, TMLR 2024, section 3.1. Each round finds the first principal direction of the tokens that
are still available, takes the token most similar to it as anchor, and removes the tokens whose
cosine similarity to the anchor reaches a threshold: they are one proposal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from primaps.proposals.leading_direction import RemainingTokens

SHORT_PATH = 60
MASK_LIMIT = 254  # ids of a stack stay within 8 bits, as in the official implementation


@dataclass(frozen=True)
class PrincipalMasks:
    """The raw decomposition of one image at token resolution.

    Attributes:
        similarity: (K, h, w) float32; cosine similarity to the anchor where a token belongs to
            proposal k, else 0. Disjoint.
        anchors: (K,) int64 row-major token index of each anchor.
        scores: (K,) float32 mean cosine similarity of a proposal's tokens to its anchor.
        guards: Degenerate cases that were handled.
    """

    similarity: torch.Tensor
    anchors: torch.Tensor
    scores: torch.Tensor
    guards: tuple[str, ...]


@dataclass(frozen=True)
class Round:
    """One round of the decomposition; all tensors are (N,) over the tokens of the image, row by
    row.

    Attributes:
        available: bool; tokens that no earlier round took.
        alignment: float64 cosine similarity to the principal direction of the available tokens.
        anchor: Index of the anchor.
        similarity: float64 cosine similarity to the anchor where a token belongs to the proposal,
            else 0.
        guards: Degenerate cases that were handled.
    """

    available: torch.Tensor
    alignment: torch.Tensor
    anchor: int
    similarity: torch.Tensor
    guards: tuple[str, ...]


def principal_masks(
    features: torch.Tensor,
    threshold: float = 0.4,
    *,
    stop_fraction: float = 0.95,
    max_masks: int = MASK_LIMIT,
    official_anchor: bool = False,
) -> PrincipalMasks:
    """Decompose a feature map into disjoint similarity masks (paper, section 3.1).

    Args:
        features: (C, h, w) finite float features, not normalised.
        threshold: Cosine similarity to the anchor from which on a token belongs to the proposal.
        stop_fraction: Ends when this fraction of the tokens (with a direction) is used.
        max_masks: Ends after this many proposals.
        official_anchor: Anchor = first signed maximum of the similarity to the direction, taken
            over all tokens with used ones at zero (official code; depends on the sign of the
            direction). Otherwise the anchor is the available token with the largest absolute
            similarity.

    Returns:
        The masks in order of extraction. Tokens without direction (zero features) belong to none.
    """
    masks, anchors, scores = (
        [features.new_zeros(0, features[0].numel()).float()],
        list[int](),
        list[float](),
    )
    guards: tuple[str, ...] = () if bool(features.any(0).all()) else ("zero_tokens",)
    for each in rounds(
        features, threshold, stop_fraction, max_masks, official_anchor=official_anchor
    ):
        masks.append((each.similarity / each.similarity.max()).float()[None])
        anchors.append(each.anchor)
        scores.append(float(each.similarity[each.similarity > 0].mean()))
        guards += each.guards
    return PrincipalMasks(
        similarity=torch.cat(masks).view(-1, *features.shape[1:]),
        anchors=torch.tensor(anchors, dtype=torch.int64, device=features.device),
        scores=torch.tensor(scores, dtype=torch.float32, device=features.device),
        guards=guards,
    )


def rounds(
    features: torch.Tensor,
    threshold: float,
    stop_fraction: float,
    max_masks: int,
    *,
    official_anchor: bool,
) -> Iterator[Round]:
    """The rounds of `principal_masks`, one by one: direction, anchor, similarity, removal.

    Args:
        features: As for `principal_masks`, and so are the other arguments.
        threshold: See there.
        stop_fraction: See there.
        max_masks: See there.
        official_anchor: See there.
    """
    tokens = features.reshape(len(features), -1).T.contiguous().double()
    norms = tokens.norm(dim=1)
    remaining = RemainingTokens(tokens, norms > 0)
    norms = norms.clamp_min(torch.finfo(torch.float32).tiny)
    total, number = remaining.count, 0
    while number < max_masks and total - remaining.count < stop_fraction * total:
        alignment = tokens @ principal_direction(remaining) / norms
        anchor, guards = _anchor(alignment, remaining.available, official_anchor)
        similarity = _similarity(tokens, norms, anchor, remaining.available, threshold)
        # anchor among the used tokens, nothing available resembles it: 0/0 in the official code
        if not similarity.any():
            guards = (*guards, "anchor_without_tokens")
            anchor, _ = _anchor(alignment, remaining.available, official=False)
            similarity = _similarity(tokens, norms, anchor, remaining.available, threshold)
        yield Round(remaining.available.clone(), alignment, anchor, similarity, guards)
        remaining.remove(similarity > 0)
        number += 1


def principal_direction(remaining: RemainingTokens) -> torch.Tensor:
    """First principal direction of mean-centred tokens, with the sign that the official code ends
    up with.

    The official code takes ``torch.pca_lowrank(q=3)``. In the limit of many iterations its sign
    follows from the conventions of Householder QR and of LAPACK's SVD of the small factor: the
    first row of the tall one of (tokens, tokens transposed) projects positively on the direction,
    or negatively where LAPACK takes its short path, which it does below 60 rows or columns.

    Args:
        remaining: n tokens of C channels, n >= 1.

    Returns:
        (C,) float64 unit vector.
    """
    direction = remaining.direction()
    first = remaining.first() @ direction if remaining.count >= len(direction) else direction[0]
    positive = (first >= 0) == (min(remaining.count, len(direction)) >= SHORT_PATH)
    return direction if positive else -direction


def _anchor(
    similarity: torch.Tensor, available: torch.Tensor, official: bool
) -> tuple[int, tuple[str, ...]]:
    """Row-major index of the anchor and the guard that was needed, if any."""
    candidates = (
        similarity.masked_fill(~available, 0.0)
        if official
        else similarity.abs().masked_fill(~available, -1.0)
    )
    anchor = int((candidates == candidates.max()).nonzero()[0, 0])
    return anchor, () if bool(available[anchor]) else ("anchor_among_used",)


def _similarity(
    tokens: torch.Tensor,
    norms: torch.Tensor,
    anchor: int,
    available: torch.Tensor,
    threshold: float,
) -> torch.Tensor:
    """Cosine similarity of the available tokens to the anchor, zero below the threshold (relative
    to the largest).
    """
    cosines = tokens @ (tokens[anchor] / norms[anchor]) / norms
    similarity = cosines.masked_fill(~available, 0.0)
    return similarity.masked_fill(similarity < threshold * similarity.max(), 0.0)


def soft_scores(
    similarity: torch.Tensor, gain: float = 10.0
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Log-probabilities of background and proposals at token resolution: what the CRF starts from.

    3x3 median filter (reflecting border), saturation, background = what no mask claims, log-softmax
    over the K + 1 maps.

    Args:
        similarity: (K, h, w) masks of `principal_masks`.
        gain: Factor before clamping to [0, 1]; 10 saturates every similarity of a threshold above
            0.1.

    Returns:
        (K + 1, h, w) float32 log-probabilities, background first, and the guards that were needed.
    """
    masks = (median_filter(similarity) * gain).clamp(0.0, 1.0)
    guards: tuple[str, ...] = ()
    # every mask is thinner than the filter: keep them rather than lose the image
    if len(similarity) and not masks.any():
        masks, guards = (similarity * gain).clamp(0.0, 1.0), ("median_erased_all",)
    filled = masks[masks > 0]
    level = filled.mean() if len(filled) else masks.new_tensor(1.0)
    background = (level - masks.sum(dim=0)).clamp(0.0, 1.0)
    return torch.log_softmax(torch.cat([background[None], masks]), dim=0), guards


def median_filter(masks: torch.Tensor) -> torch.Tensor:
    """3x3 median of (K, h, w) maps with a reflecting border; an axis of one token repeats its
    token.
    """
    if not len(masks):
        return masks
    padded = masks[None]
    for axis, padding in ((2, (0, 0, 1, 1)), (3, (1, 1, 0, 0))):
        padded = F.pad(padded, padding, mode="reflect" if padded.shape[axis] > 1 else "replicate")
    # Sort every column of three; the median of nine is the middle of the largest low, the middle
    # middle and the smallest high.
    low, middle, high = _sorted3(padded[0, :, :-2], padded[0, :, 1:-1], padded[0, :, 2:])
    parts = [
        _sorted3(part[..., :-2], part[..., 1:-1], part[..., 2:]) for part in (low, middle, high)
    ]
    return _sorted3(parts[0][2], parts[1][1], parts[2][0])[1]


def _sorted3(
    a: torch.Tensor, b: torch.Tensor, c: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Element-wise minimum, median and maximum of three; twenty times as fast as to sort
    windows.
    """
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    return torch.minimum(low, c), torch.maximum(low, torch.minimum(high, c)), torch.maximum(high, c)
