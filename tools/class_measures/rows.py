"""The rows of the table: ways to find classes in stored features and mask proposals, none of which
sees a label.

Settings that define a row are written out, so that a row stays what it is when the defaults change;
all others are those of the preset ``default``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor

from primaps.config import FitConfig, did_you_mean, preset_config
from primaps.errors import ConfigError
from primaps.prototypes.clusters import proposal_means, spherical_kmeans
from primaps.prototypes.loop.fit import fit_prototypes
from primaps.types import FeatureSource, View

RESTARTS: Final = 32
"""Starts of the k-means that no method of the package is."""

TOKENS: Final = 40_000
"""Random tokens at most that k-means of tokens sees, as many of every photograph."""


@dataclass(frozen=True)
class Classes:
    """What a row finds.

    Attributes:
        prototypes: (K, C) float32, of the teacher where there is one.
        cosine: Whether logits are cosines instead of inner products with features.
    """

    prototypes: Tensor
    cosine: bool


class Way(Protocol):
    """A way to find classes."""

    def find(self, source: FeatureSource, num_clusters: int, seed: int) -> Classes:
        """Prototypes of K classes of the photographs of a source."""
        ...

    def settings(self) -> dict[str, Any]:
        """What determines them beside the arguments of `find`, JSON-ready."""
        ...


@dataclass(frozen=True)
class Fit:
    """What the package does with some settings."""

    config: FitConfig

    def find(self, source: FeatureSource, num_clusters: int, seed: int) -> Classes:
        """The teacher's prototypes."""
        result = fit_prototypes(source, num_clusters, self.config, seed=seed)
        return Classes(result.teacher, result.cosine)

    def settings(self) -> dict[str, Any]:
        """All settings of the fit."""
        return {"fit": asdict(self.config)}


@dataclass(frozen=True)
class ProposalKMeans:
    """Spherical k-means of the mean features of proposals that count by a power of their area."""

    exponent: float

    def find(self, source: FeatureSource, num_clusters: int, seed: int) -> Classes:
        """The best centres of `RESTARTS` starts."""
        order = _generator(seed, RESTARTS)
        means = [
            proposal_means(source.features(index, View()), source.proposals(index), 0, order)
            for index in range(len(source))
        ]
        features, areas = (
            torch.cat(parts)
            for parts in zip(*((one.features, one.areas) for one in means), strict=True)
        )
        shuffled = torch.randperm(len(features), generator=order)
        weights = areas[shuffled] ** self.exponent
        found = spherical_kmeans(features[shuffled], num_clusters, _starts(seed), weights=weights)
        return Classes(found.centres, cosine=False)

    def settings(self) -> dict[str, Any]:
        """The power, and the number of starts."""
        return {"kmeans": "proposals", "exponent": self.exponent, "restarts": RESTARTS}


@dataclass(frozen=True)
class TokenKMeans:
    """Spherical k-means of random tokens."""

    def find(self, source: FeatureSource, num_clusters: int, seed: int) -> Classes:
        """The best centres of `RESTARTS` starts."""
        order, sample = _generator(seed, RESTARTS), list[Tensor]()
        for index in range(len(source)):
            tokens = source.features(index, View()).flatten(1).T
            chosen = torch.randperm(len(tokens), generator=order)[: max(1, TOKENS // len(source))]
            sample.append(tokens[chosen].float())
        vectors = torch.cat(sample)
        found = spherical_kmeans(
            vectors[torch.randperm(len(vectors), generator=order)], num_clusters, _starts(seed)
        )
        return Classes(found.centres, cosine=False)

    def settings(self) -> dict[str, Any]:
        """The numbers of tokens and of starts."""
        return {"kmeans": "tokens", "tokens": TOKENS, "restarts": RESTARTS}


def _starts(seed: int) -> list[torch.Generator]:
    return [_generator(seed, start) for start in range(RESTARTS)]


def _generator(seed: int, number: int) -> torch.Generator:
    entropy = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(entropy[0] >> np.uint64(1)))


_DEFAULT: Final = preset_config("default").fit
_PROPOSALS: Final = replace(
    _DEFAULT,
    method="em",
    initialise="proposals",
    em_on="proposals",
    proposal_weight=1.0,
    tokens_per_proposal=4,
    soft_votes=True,
)
_PIXELS: Final = replace(
    _DEFAULT, method="em", initialise="proposals", em_on="pixels", min_agreement=0.9
)

ROWS: Final[Mapping[str, Way]] = MappingProxyType(
    {
        "baseline": Fit(replace(_DEFAULT, method="baseline", initialise="pca")),
        "em-pca": Fit(replace(_PIXELS, initialise="pca", proposal_weight=1.0)),
        "pixels-kmeans": TokenKMeans(),
        "clusters-area": ProposalKMeans(1.0),
        "clusters-sqrt": ProposalKMeans(0.5),
        "clusters": Fit(replace(_DEFAULT, method="clusters", initialise="proposals")),
        "em-pixels": Fit(replace(_PIXELS, proposal_weight=1.0)),
        "em-pixels-sqrt": Fit(replace(_PIXELS, proposal_weight=0.5)),
        "em-pixels-sqrt-all": Fit(replace(_PIXELS, proposal_weight=0.5, min_agreement=0.0)),
        "em-pixels-one": Fit(replace(_PIXELS, proposal_weight=0.0)),
        "em-proposals-area": Fit(_PROPOSALS),
        "em-proposals-sqrt": Fit(replace(_PROPOSALS, proposal_weight=0.5)),
        "em-proposals-one": Fit(replace(_PROPOSALS, proposal_weight=0.0)),
        "em-proposals-hard": Fit(replace(_PROPOSALS, soft_votes=False)),
        "em-proposals-hard-sqrt": Fit(replace(_PROPOSALS, soft_votes=False, proposal_weight=0.5)),
        "em-proposals-means": Fit(replace(_PROPOSALS, tokens_per_proposal=0)),
        "default": Fit(_DEFAULT),
    }
)
"""All ways by name."""


def way(name: str) -> Way:
    """The way of a row.

    Raises:
        ConfigError: If there is no such row.
    """
    if name not in ROWS:
        raise ConfigError(
            f"Unknown row {name!r}.{did_you_mean(name, list(ROWS))} Choose some of"
            f" {', '.join(ROWS)}."
        )
    return ROWS[name]
