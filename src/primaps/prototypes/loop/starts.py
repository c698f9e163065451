"""Where a fit starts: from centres of the proposals, from principal directions of the features, or
from directions that are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.errors import DatasetError
from primaps.prototypes.classifier import FeatureMoments, Prototypes, principal_directions
from primaps.prototypes.clusters import Clusters, ProposalMeans, lloyd, spherical_kmeans
from primaps.prototypes.loop.checks import checked_initial
from primaps.prototypes.loop.state import Phase, State
from primaps.prototypes.loop.task import Draw, Task
from primaps.types import View

_REPEATED: Final = 0.999
"""Length of prototypes that repeat others."""


def start_from_proposals(task: Task, found: ProposalMeans) -> State:
    """Centres of the proposals, or the directions that are given; EM starts from them, if that is
    the method.

    Raises:
        ConfigError: If the directions that are given do not fit.
    """
    scale = torch.ones(task.num_clusters, device=task.device)
    if task.initial is None:
        # Centres that repeat others, for want of proposals, own nothing: ties are settled by the
        # length.
        scale[len(found.features) :] = _REPEATED
        centres = _best_centres(task, found)
    else:
        centres = checked_initial(task.initial, (task.num_clusters, found.features.shape[1]))
        if task.config.method == "clusters":
            unit = F.normalize(found.features, dim=1)
            centres = lloyd(unit, F.normalize(centres, dim=1), torch.ones(len(unit))).centres
    state = _alike(centres.to(task.device, copy=True), scale)
    state.feature_scale = task.feature_scale(
        float((found.features.norm(dim=1).square().mean() * found.square_norm).sqrt())
    )
    state.phase = Phase.EM if task.config.method == "em" else Phase.DONE
    return state


def _best_centres(task: Task, found: ProposalMeans) -> Tensor:
    restarts = task.config.cluster_restarts
    generators = [task.generator(Phase.PCA, Draw.STEP, start) for start in range(restarts)]

    def each(
        run: Callable[[torch.Generator], Clusters], generators: Iterable[torch.Generator]
    ) -> Iterator[Clusters]:
        for done, clusters in enumerate(task.workers.each(run, generators), start=1):
            task.report("clusters", done, restarts)
            yield clusters

    task.report("clusters", 0, restarts)
    return spherical_kmeans(found.features, task.num_clusters, generators, each=each).centres


def start_from_features(task: Task) -> State:
    """Principal directions of the features, or the directions that are given; cosine k-means starts
    from them, or EM at once from given ones, if that is the method.

    Raises:
        ConfigError: If the directions that are given do not fit.
        DatasetError: If features do not fit together or are not finite.
    """
    moments = _measure_features(task)
    if task.initial is None:
        generator = task.generator(Phase.PCA, Draw.STEP, 0)
        directions = principal_directions(moments, task.num_clusters, generator)
    else:
        directions = checked_initial(task.initial, (task.num_clusters, len(moments.mean)))
    state = _alike(
        directions.to(task.device, copy=True), torch.ones(task.num_clusters, device=task.device)
    )
    state.feature_scale = task.feature_scale(moments.rms_norm())
    if task.initial is not None and task.config.method == "em":
        state.begin_em()
    return state


def _measure_features(task: Task) -> FeatureMoments:
    """Of the plain features of a random part of the images."""
    chosen = task.order(Phase.PCA, 0)[: task.config.pca_images]
    moments = FeatureMoments(len(task.source.features(chosen[0], View())))

    def measure(index: int) -> tuple[Tensor, ...]:
        try:
            return moments.measure(task.source.features(index, View()).cpu()).to_tensors()
        except DatasetError as error:
            raise DatasetError(f"Image {index}: {error}") from error

    task.report("pca", 0, len(chosen))
    for done, found in enumerate(task.workers.shared(measure, chosen), start=1):
        moments.merge(FeatureMoments.from_tensors(*found))
        task.report("pca", done, len(chosen))
    return moments


def _alike(direction: Tensor, scale: Tensor) -> State:
    """Student and teacher are equal."""
    return State(Prototypes(scale, direction), Prototypes(scale.clone(), direction.clone()))
