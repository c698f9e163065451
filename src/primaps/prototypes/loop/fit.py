"""The loop that fits class prototypes to cached features and mask proposals (Hahn et al., TMLR
2024, section 3.2).

Two ways. On proposals: k-means of the mean features of all proposals, and EM on these from there
(`FitConfig.on_proposals`). On pixels, as published: principal directions of the features, cosine
k-means from there, EM from there (the baseline ends after k-means). Where initial prototypes are
given, EM starts from them at once, and the baseline's k-means does. All randomness derives from
(seed, phase, epoch or step), so a fit resumes at any step from tensors alone and gives the same
bytes as an undisturbed one, on the same machine. On a CPU images are worked on side by side, each
by one thread, and sums over images are in their order, so that the number of threads does not
matter. Several processes divide the images of every batch between them, hold equal states, and give
what one process gives: on a CPU the same bytes, elsewhere up to rounding.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from primaps.compute.cores import workers
from primaps.compute.group import Group
from primaps.config import FitConfig
from primaps.prototypes.classifier import logits
from primaps.prototypes.loop.checks import check_processes, check_settings
from primaps.prototypes.loop.descent import StepLoss, descend
from primaps.prototypes.loop.pixel_steps import em_step, kmeans_step
from primaps.prototypes.loop.proposal_steps import proposal_step, read_proposals
from primaps.prototypes.loop.starts import start_from_features, start_from_proposals
from primaps.prototypes.loop.state import Phase, State
from primaps.prototypes.loop.task import Progress, Task, Watch
from primaps.types import CheckpointStore, FeatureSource, FitResult, View


def fit_prototypes(
    source: FeatureSource,
    num_clusters: int,
    config: FitConfig,
    *,
    seed: int,
    initial: Tensor | None = None,
    device: torch.device | str = "cpu",
    checkpoint: CheckpointStore | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
    group: Group | None = None,
) -> FitResult:
    """Fit class prototypes without labels.

    Args:
        source: Cached features and proposals of all images.
        num_clusters: K.
        config: Its ``method`` chooses EM, k-means of the proposals alone, or the baseline.
        seed: Determines batches, views, pixels and everything else that is random; 0 or more.
        initial: (K, C) float32 directions of any norm to start from, such as the centres of a head
            (Hahn et al. 2024, section 4.2); None = found as ``config.initialise`` says.
        device: Where the steps are computed. The initialisation is always computed on the CPU.
        checkpoint: Where to resume from and to save to; of several processes, process 0's counts.
        progress: Called when a phase begins and after every step.
        watch: Called with the loss of every step of the main phase.
        group: Processes that all call this with the same arguments; each reads the features of its
            own part of every batch only. None = this one alone.

    Returns:
        The fitted prototypes, on the CPU.

    Raises:
        ConfigError: If a setting is out of range, ``initial`` is not (K, C), or a batch has fewer
            images than processes.
        DatasetError: If there are no images or, where they are needed, no proposals, or features
            are not finite or do not fit together.
        CheckpointError: If the checkpoint belongs to another fit.
    """
    check_settings(len(source), num_clusters, config, seed)
    check_processes(1 if group is None else group.size, min(config.batch_size, len(source)))
    device = torch.device(device)
    with workers(device.type == "cpu", group) as threads:
        return _fit(
            Task(
                source,
                num_clusters,
                config,
                seed,
                device=device,
                initial=initial,
                checkpoint=checkpoint,
                progress=progress,
                watch=watch,
                workers=threads,
            )
        )


def _fit(task: Task) -> FitResult:
    """All phases in order, from the checkpoint on if there is one."""
    state = task.resume()
    state = _on_proposals(task, state) if task.config.on_proposals else _on_pixels(task, state)
    return _result(task, state)


def _on_proposals(task: Task, state: State | None) -> State:
    if state is not None and state.phase is not Phase.EM:
        return state
    found = read_proposals(task)
    if state is None:
        state = start_from_proposals(task, found)
        task.save(state)
    on_device = replace(
        found,
        features=found.features.to(task.device),
        areas=found.areas.to(task.device),
        tokens=found.tokens.to(task.device),
    )
    _run_em(task, state, partial(proposal_step, proposals=on_device))
    return state


def _on_pixels(task: Task, state: State | None) -> State:
    if state is None:
        state = _start_on_pixels(task)
        task.save(state)
    if state.phase is Phase.KMEANS:
        descend(task, state, kmeans_step)
        if task.config.method == "baseline":
            state.finish()
        else:
            state.begin_em()
        task.save(state)
    _run_em(task, state, em_step)
    return state


def _start_on_pixels(task: Task) -> State:
    config = task.config
    if config.initialise == "proposals" and config.method == "em" and task.initial is None:
        return start_from_proposals(task, read_proposals(task))
    return start_from_features(task)


def _run_em(task: Task, state: State, step_loss: StepLoss) -> None:
    """The rest of EM; nothing if that is over."""
    if state.phase is Phase.EM:
        descend(task, state, step_loss)
        state.finish()
        task.save(state)


def _result(task: Task, state: State) -> FitResult:
    """The prototypes, and how many tokens of all images each of them owns."""
    cosine, count = task.config.method == "baseline", len(task.source)
    # so that softmax of the logits gives the fitted probabilities
    scale = 1.0 if cosine else state.feature_scale
    teacher = (state.student if cosine else state.teacher).effective().detach() * scale
    usage = torch.zeros(task.num_clusters, dtype=torch.int64)

    def count_tokens(index: int) -> tuple[Tensor]:
        winners = logits(task.features(index, View()), teacher, cosine=cosine).max(0).indices
        return (torch.bincount(winners.flatten(), minlength=task.num_clusters).cpu(),)

    task.report("usage", 0, count)
    for done, (counts,) in enumerate(task.workers.shared(count_tokens, range(count)), start=1):
        usage += counts
        task.report("usage", done, count)
    return FitResult(
        teacher=teacher.cpu(),
        student=state.student.effective().detach().cpu() * scale,
        cosine=cosine,
        usage=usage,
        losses=tuple(state.losses),
    )
