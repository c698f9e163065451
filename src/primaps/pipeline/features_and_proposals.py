"""Features of all views and mask proposals: of one photograph, or of several whose inputs to the
backbone have one size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from primaps.config import Config
from primaps.data.reading import Photo
from primaps.errors import ImageError
from primaps.features.extractor import FrozenBackbone
from primaps.features.views import make_views
from primaps.heads.extractor import encode, plain_backbone
from primaps.proposals.extract import extract_proposals, extract_proposals_batch
from primaps.types import FeatureExtractor, Image, MaskProposals, View


def features_and_proposals(
    photo: Photo,
    backbone: FeatureExtractor,
    config: Config,
    views: Sequence[View],
    threshold: float,
) -> tuple[torch.Tensor, MaskProposals]:
    """Features of all views, (V, C, h, w), and the proposals of the plain one at the backbone's
    input size.

    With a head, features are its codes, while proposals come from the backbone's own features (Hahn
    et al. 2024). The photometric draws depend on the photograph alone, not on its neighbours, the
    seed of the fit, or the order.

    Raises:
        ImageError: If the features cannot be stored.
    """
    plain = backbone.preprocess(photo.image, config.features.side(photo.image.shape[:2]))
    features, tokens = _features(plain, [photo.sha256], backbone, config, views)
    check_finite(features, backbone)
    proposals = extract_proposals(
        as_image(plain, backbone), tokens[0], threshold, config.proposals, config.predict.max_pixels
    )
    return features[0], proposals


def host_input(image: Image, backbone: FeatureExtractor, size: int) -> torch.Tensor:
    """The input of one image as ``backbone.preprocess`` makes it, (1, 3, H', W') float32, in host
    memory.

    Backbones of this package make it there, so that no memory of their device is needed. Other
    extractors, of which `primaps.types.FeatureExtractor` asks for inputs on their device, make it
    on the device, from where it is fetched.
    """
    plain = plain_backbone(backbone)
    if isinstance(plain, FrozenBackbone):
        return plain.preprocess(image, size, device=torch.device("cpu"))
    return plain.preprocess(image, size).cpu()


def features_and_proposals_batch(
    inputs: torch.Tensor,
    checksums: Sequence[str],
    backbone: FeatureExtractor,
    config: Config,
    views: Sequence[View],
    threshold: float,
) -> list[tuple[torch.Tensor, MaskProposals] | ImageError]:
    """`features_and_proposals` of B photographs at once.

    Args:
        inputs: (B, 3, H', W') float32, each from ``backbone.preprocess``, on the backbone's device.
        checksums: SHA-256 of each photograph's file.
        backbone: The frozen feature extractor.
        config: All settings.
        views: The views, the plain one first.
        threshold: Cosine similarity to the anchor from which on a token belongs to a proposal.

    Returns:
        For each photograph its features, (V, C, h, w) float16 in host memory, and proposals; or why
        it has none.
    """
    features, tokens = _features(inputs, checksums, backbone, config, views)
    halves = features.half()
    made = list[tuple[torch.Tensor, MaskProposals] | ImageError]()
    made += [_not_finite(backbone)] * len(inputs)
    good = [
        image
        for image, finite in enumerate(halves.isfinite().flatten(1).all(dim=1).tolist())
        if finite
    ]
    if good:
        index = torch.tensor(good, device=tokens.device)
        pixels = _grey_levels(inputs, backbone, round_down=False).to(tokens.device)
        proposals = extract_proposals_batch(
            pixels[index], tokens[index], threshold, config.proposals, config.predict.max_pixels
        )
        fetched = halves.cpu()
        for image, found in zip(good, proposals, strict=True):
            made[image] = fetched[image], found
    return made


def _features(
    plain: torch.Tensor,
    checksums: Sequence[str],
    backbone: FeatureExtractor,
    config: Config,
    views: Sequence[View],
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, V, C, h, w) features of all views, and (B, C', h, w) features that the plain view has
    without the head.
    """
    tokens_of = plain_backbone(backbone)
    # other extractors need not have the attribute
    mirror = getattr(tokens_of, "mirror_equivariant", False)
    seen = [view for view in views if not (mirror and view.flip)]
    clamp = config.features.clamp_jitter
    drawn = [
        make_views(
            image[None],
            seen,
            _seed(checksum),
            clamp_jitter=clamp,
            mean=backbone.mean,
            std=backbone.std,
        )
        for image, checksum in zip(plain, checksums, strict=True)
    ]
    made = {
        view: tokens_of.forward(torch.stack([views_of[number] for views_of in drawn]))
        for number, view in enumerate(seen)
    }
    made |= {
        View(flip=True, photometric=view.photometric): made[view].flip(-1)
        for view in seen
        if mirror
    }
    return torch.stack([encode(backbone, made[view]) for view in views], dim=1), made[views[0]]


def _seed(checksum: str) -> int:
    """Of the photometric draws of one photograph."""
    return int(hashlib.sha256(checksum.encode("ascii")).hexdigest()[:12], 16)


def check_finite(features: torch.Tensor, backbone: FeatureExtractor) -> None:
    """Check that features can be stored.

    Args:
        features: Any shape, floating point.
        backbone: That made them.

    Raises:
        ImageError: If there is NaN, infinity, or what float16 cannot hold.
    """
    if not torch.isfinite(features.half()).all():
        raise _not_finite(backbone)


def _not_finite(backbone: FeatureExtractor) -> ImageError:
    # other extractors need not have the attribute
    weights = getattr(backbone, "weights_path", None)
    suspected = "" if weights is None else f" If all images do, {weights} may be damaged."
    return ImageError(
        "Expected finite features below 65504, but this image gives others. Leave it out, or take"
        f" another backbone.{suspected}"
    )


def as_image(batch: torch.Tensor, backbone: FeatureExtractor, *, round_down: bool = False) -> Image:
    """The 8-bit image behind a normalised input.

    Args:
        batch: (1, 3, H', W') float32, normalised.
        backbone: Whose mean and standard deviation it was normalised with.
        round_down: Round grey levels down, as the official code does before a CRF; otherwise to the
            nearest.

    Returns:
        (H', W', 3) uint8 RGB.
    """
    image: Image = _grey_levels(batch, backbone, round_down=round_down)[0].cpu().numpy()
    return image


def _grey_levels(
    batch: torch.Tensor, backbone: FeatureExtractor, *, round_down: bool
) -> torch.Tensor:
    """`as_image` of (B, 3, H', W') inputs where they are: (B, H', W', 3) uint8."""
    mean, std = (
        torch.tensor(numbers, device=batch.device)[:, None, None]
        for numbers in (backbone.mean, backbone.std)
    )
    levels = (batch * std + mean) * 255
    levels = (levels.floor() if round_down else levels.round()).clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous()
