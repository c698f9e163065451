"""Which prototypes of a fit are measured, chosen without any label: the last ones, or the most
stable ones.

Stability: the teacher classifies the tokens of training images twice, as they are and in another
cached view (mirrored, or with photometric augmentation). The agreement of the two is corrected for
chance (Cohen's kappa, Educational and Psychological Measurement 1960), so that prototypes that put
everything into one class are not taken for stable ones. To choose clusterings by their stability is
an idea of Ben-Hur, Elisseeff & Guyon (PSB 2002) and Lange, Roth, Braun & Buhmann (Neural
Computation 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from primaps.errors import ConfigError
from primaps.features.device import compute_device
from primaps.pipeline.fit_curves import sampled_names
from primaps.protocol.row import Select
from primaps.prototypes.loop.curve_measures import token_classes
from primaps.prototypes.loop.state import Snapshot
from primaps.runs.run import Run
from primaps.types import FeatureSource, View


@dataclass(frozen=True)
class Selected:
    """The prototypes of one seed that are measured.

    Attributes:
        snapshot: The prototypes.
        select: How they were chosen.
        steps: Steps of all candidates.
        criterion: The criterion's value of every candidate; empty for "last".
    """

    snapshot: Snapshot
    select: Select
    steps: tuple[int, ...]
    criterion: tuple[float, ...] = ()

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "select": self.select,
            "oracle": self.select == "oracle",
            "step": self.snapshot.step,
            "candidates": list(self.steps),
            "criterion": [round(value, 6) for value in self.criterion],
        }


def best(candidates: Sequence[Snapshot], criterion: Sequence[float], select: Select) -> Selected:
    """The candidate with the largest criterion; of equal ones that with the most steps."""
    chosen = max(range(len(candidates)), key=lambda index: (criterion[index], index))
    return Selected(
        candidates[chosen], select, tuple(one.step for one in candidates), tuple(criterion)
    )


def last(candidates: Sequence[Snapshot]) -> Selected:
    """The candidate with the most steps."""
    return Selected(candidates[-1], "last", tuple(one.step for one in candidates))


def most_stable(run: Run, candidates: Sequence[Snapshot], *, cosine: bool) -> Selected:
    """The candidate whose teacher is most stable under the cached views of the training images.

    Args:
        run: Its proposals stage is done.
        candidates: Prototypes of one fit.
        cosine: Whether they classify by cosine similarity.

    Raises:
        ConfigError: If the run caches no view but the plain one.
    """
    chosen = sampled_names(run)
    device = compute_device(run.backbone.device)
    teachers = torch.stack([candidate.teacher for candidate in candidates]).to(device)
    with run.stage("select: agreement", len(chosen)):
        tables = view_tables(
            run.store.source(chosen), teachers, cosine=cosine, advance=run.progress.advance
        )
    return best(candidates, [cohens_kappa(table) for table in tables], "agreement")


def view_tables(
    source: FeatureSource,
    teachers: Tensor,
    *,
    cosine: bool,
    advance: Callable[[], None] | None = None,
) -> Tensor:
    """Count the tokens by their class in the plain view and in every other view.

    Args:
        source: Cached features.
        teachers: (n, K, C) prototypes.
        cosine: Whether they classify by cosine similarity.
        advance: Called after every image.

    Returns:
        (n, K, K) int64, rows = class in the plain view.

    Raises:
        ConfigError: If there is no other view.
    """
    others = [view for view in source.views if view != View()]
    if not others:
        raise ConfigError(
            "Expected cached views that the classes can be compared in, but this preset keeps the"
            " plain one only. Select by last, or take the preset paper."
        )
    count, num_clusters, _ = teachers.shape
    tables = torch.zeros(
        count, num_clusters * num_clusters, dtype=torch.int64, device=teachers.device
    )
    for index in range(len(source)):
        plain = _classes(source, index, View(), teachers, cosine=cosine)
        for view in others:
            pairs = plain * num_clusters + _classes(source, index, view, teachers, cosine=cosine)
            tables.scatter_add_(1, pairs, torch.ones_like(pairs))
        if advance is not None:
            advance()
    return tables.view(count, num_clusters, num_clusters).cpu()


def _classes(
    source: FeatureSource, index: int, view: View, teachers: Tensor, *, cosine: bool
) -> Tensor:
    """(n, h * w) class of every token, mirrored back."""
    classes = token_classes(
        source.features(index, view).to(teachers.device), teachers, cosine=cosine
    )
    return (classes.flip(-1) if view.flip else classes).flatten(1)


def cohens_kappa(table: Tensor) -> float:
    """Agreement of two classifications corrected for chance, at most 1.

    Args:
        table: (K, K) counts.

    Returns:
        ``(p - c) / (1 - c)`` with p the share on the diagonal and c the share expected by chance; 0
        if all lies in one class.

    Examples:
        >>> cohens_kappa(torch.tensor([[20, 5], [10, 15]]))
        0.4
        >>> cohens_kappa(torch.tensor([[50, 0], [0, 0]]))
        0.0
    """
    shares = table.double() / table.sum()
    chance = float((shares.sum(0) * shares.sum(1)).sum())
    return round((float(shares.trace()) - chance) / (1.0 - chance), 12) if chance < 1.0 else 0.0
