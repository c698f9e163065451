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

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor

from primaps.compute.cores import Workers, workers
from primaps.compute.group import Group
from primaps.config import FitConfig
from primaps.errors import ConfigError, DatasetError
from primaps.prototypes.classifier import FeatureMoments, Prototypes, logits, principal_directions
from primaps.prototypes.clusters import (
    Clusters,
    ProposalMeans,
    lloyd,
    proposal_means,
    spherical_kmeans,
)
from primaps.prototypes.em import (
    TrainingImage,
    expectation,
    kmeans_loss,
    student_loss,
    update_teacher,
)
from primaps.prototypes.loop.checks import check_settings, checked_initial, finite_loss
from primaps.prototypes.loop.state import Phase, State
from primaps.prototypes.proposal_em import proposal_loss, responsibilities
from primaps.prototypes.steps.choice import sums_on
from primaps.types import CheckpointStore, FeatureSource, FitResult, View

Progress = Callable[[str, int, int], None]
"""Called with the phase ("proposals", "clusters", "pca", "kmeans", "em", "usage"), the number of
things done, and their total: when a phase begins, with what an earlier run has done of it, and
after every thing.
"""

Watch = Callable[[int, float], None]
"""Called after every step of the main phase with the number of its steps that are done and the loss
of the last one.
"""


class _Draw(enum.IntEnum):
    ORDER = 0
    STEP = 1
    TOKENS = 2


_REPEATED: Final = 0.999
"""Length of prototypes that repeat others."""

_ADAM_KEYS: Final = ("step", "exp_avg", "exp_avg_sq")


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
        config: Settings of the fit; ``config.method`` chooses EM, k-means of the proposals alone,
            or the baseline.
        seed: Determines batches, views, pixels and everything else that is random; 0 or more.
        initial: (K, C) float32 directions to start from, for example the cluster centres of a head
            (Hahn et al. 2024, section 4.2), of any norm; None = found as ``config.initialise``
            says.
        device: Where the steps are computed. The initialisation is computed on the CPU on every
            device.
        checkpoint: Where to resume from and to save to; None = neither. With several processes,
            that of process 0 counts.
        progress: Called when a phase begins and after every step.
        watch: Called with the loss of every step of the main phase.
        group: Processes that all call this with the same arguments; each reads the features of its
            own part of every batch only. None = this one alone.

    Returns:
        The fitted prototypes, on the CPU.

    Raises:
        ConfigError: If a setting is out of range, ``initial`` is not (K, C), or a batch has fewer
            images than processes.
        DatasetError: If there are no images, their features do not fit together or are not finite,
            or classes shall be fitted to proposals and there are none.
        CheckpointError: If the checkpoint belongs to another fit.
    """
    check_settings(len(source), num_clusters, config, seed)
    most = min(config.batch_size, len(source))
    if group is not None and group.size > most:
        raise ConfigError(
            f"Expected at most {most} processes, one per image of a batch, but got {group.size}."
            " Use fewer."
        )
    device = torch.device(device)
    with workers(device.type == "cpu", group) as threads:
        return _Fit(
            source,
            num_clusters,
            config,
            seed,
            device,
            checkpoint,
            progress,
            initial,
            threads,
            watch,
        ).run()


@dataclass(frozen=True)
class _Fit:
    """One call of `fit_prototypes`: its arguments, and the phases as methods."""

    source: FeatureSource
    num_clusters: int
    config: FitConfig
    seed: int
    device: torch.device
    checkpoint: CheckpointStore | None
    progress: Progress | None
    initial: Tensor | None = None
    workers: Workers = field(default_factory=Workers)
    watch: Watch | None = None

    def run(self) -> FitResult:
        """All phases in order, from the checkpoint on if there is one."""
        state = self._resume()
        return self._on_proposals(state) if self.config.on_proposals else self._on_pixels(state)

    def _on_proposals(self, state: State | None) -> FitResult:
        if state is None or state.phase is Phase.EM:
            found = self._read_proposals()
            state = state or self._start_from_proposals(found)
            gamma, exponent, norm = (
                self.config.focal_gamma,
                self.config.proposal_weight,
                float(found.square_norm.sqrt()),
            )
            found = ProposalMeans(
                *(
                    part.to(self.device)
                    for part in (found.features, found.areas, found.square_norm, found.tokens)
                )
            )

            def step_loss(state: State) -> Tensor:
                scale = state.feature_scale * norm  # of unit features
                teacher, student = (
                    part.effective() * scale for part in (state.teacher, state.student)
                )
                shares = responsibilities(teacher, found, soft=self.config.soft_votes)
                return proposal_loss(student, found, shares, gamma=gamma, proposal_weight=exponent)

            self._run_em(state, step_loss)
        return self._result(state)

    def _on_pixels(self, state: State | None) -> FitResult:
        config, count = self.config, len(self.source)
        if state is None:
            from_proposals = (
                config.initialise == "proposals" and config.method == "em" and self.initial is None
            )
            state = (
                self._start_from_proposals(self._read_proposals())
                if from_proposals
                else self._initialise()
            )
        if state.phase is Phase.KMEANS:
            baseline = config.method == "baseline"
            steps = config.main_steps(count) if baseline else config.kmeans_steps(count)
            self._optimise(state, steps, {"direction": state.student.direction}, self._kmeans_step)
            if baseline:
                state.phase, state.adam = Phase.DONE, {}
            else:
                self._start_em(state)
            self._save(state)
        self._run_em(state, self._em_step)
        return self._result(state)

    def _run_em(self, state: State, step_loss: Callable[[State], Tensor]) -> None:
        """The rest of EM; nothing if that is over."""
        if state.phase is Phase.EM:
            parameters = {"direction": state.student.direction, "scale": state.student.scale}
            self._optimise(state, self.config.main_steps(len(self.source)), parameters, step_loss)
            state.phase, state.adam = Phase.DONE, {}
            self._save(state)

    def _read_proposals(self) -> ProposalMeans:
        """Mean features of the proposals of all images, or of random ones up to
        `FitConfig.max_proposals`.
        """

        def measure(index: int) -> tuple[Tensor, ...]:
            try:
                features, proposals = (
                    self.source.features(index, View()).cpu(),
                    self.source.proposals(index).cpu(),
                )
                generator = self._generator(Phase.EM, _Draw.TOKENS, index)
                found = proposal_means(features, proposals, samples, generator)
            except DatasetError as error:
                raise DatasetError(f"Image {index}: {error}") from error
            return found.features, found.areas, found.square_norm.reshape(1), found.tokens

        samples = (
            self.config.tokens_per_proposal
            if self.config.on_proposals and self.config.method == "em"
            else 0
        )
        chosen, parts, present = self._order(Phase.PCA, 0), list[tuple[Tensor, ...]](), 0
        self._report("proposals", 0, len(chosen))
        for part in self.workers.shared(measure, chosen):
            parts.append(part)
            present += len(part[0])
            self._report("proposals", len(parts), len(chosen))
            if present >= self.config.max_proposals:
                break
        if not present:
            other = "--init pca" if self.config.method == "em" else "--method baseline"
            raise DatasetError(
                "Expected mask proposals to fit classes to, but the images have none. Give a lower"
                f" --threshold, or {other}."
            )
        features, areas, square_norms, tokens = (
            torch.cat(tensors) for tensors in zip(*parts, strict=True)
        )
        kept = slice(self.config.max_proposals)
        return ProposalMeans(features[kept], areas[kept], square_norms.mean(), tokens[kept])

    def _start_from_proposals(self, found: ProposalMeans) -> State:
        """Centres of the proposals, or the directions that are given; EM starts from them, if that
        is the method.
        """
        scale = torch.ones(self.num_clusters, device=self.device)
        if self.initial is None:
            # Centres that repeat others, for want of proposals, own nothing: ties are settled by
            # the length.
            scale[len(found.features) :] = _REPEATED
            generators = [
                self._generator(Phase.PCA, _Draw.STEP, start)
                for start in range(self.config.cluster_restarts)
            ]
            self._report("clusters", 0, len(generators))
            centres = spherical_kmeans(
                found.features, self.num_clusters, generators, each=self._each_start
            ).centres
        else:
            centres = checked_initial(self.initial, (self.num_clusters, found.features.shape[1]))
            if self.config.method == "clusters":
                unit = torch.nn.functional.normalize(found.features, dim=1)
                centres = lloyd(
                    unit, torch.nn.functional.normalize(centres, dim=1), torch.ones(len(unit))
                ).centres
        centres = centres.to(self.device, copy=True)
        state = State(Prototypes(scale, centres), Prototypes(scale.clone(), centres.clone()))
        state.feature_scale = self._scale(
            float((found.features.norm(dim=1).square().mean() * found.square_norm).sqrt())
        )
        state.phase = Phase.EM if self.config.method == "em" else Phase.DONE
        self._save(state)
        return state

    def _each_start(
        self, run: Callable[[torch.Generator], Clusters], generators: Iterable[torch.Generator]
    ) -> Iterator[Clusters]:
        for done, found in enumerate(self.workers.each(run, generators), start=1):
            self._report("clusters", done, self.config.cluster_restarts)
            yield found

    def _scale(self, rms_norm: float) -> float:
        norm = self.config.feature_norm
        return 1.0 if norm is None else norm / max(rms_norm, 1e-12)

    def _initialise(self) -> State:
        """Principal directions of the plain features of a random part of the images, unless
        directions are given.
        """
        chosen = self._order(Phase.PCA, 0)[: self.config.pca_images]
        moments = FeatureMoments(len(self.source.features(chosen[0], View())))

        def measure(index: int) -> tuple[Tensor, ...]:
            try:
                return moments.measure(self.source.features(index, View()).cpu()).to_tensors()
            except DatasetError as error:
                raise DatasetError(f"Image {index}: {error}") from error

        self._report("pca", 0, len(chosen))
        for done, found in enumerate(self.workers.shared(measure, chosen), start=1):
            moments.merge(FeatureMoments.from_tensors(*found))
            self._report("pca", done, len(chosen))
        if self.initial is None:
            directions = principal_directions(
                moments, self.num_clusters, self._generator(Phase.PCA, _Draw.STEP, 0)
            )
        else:
            directions = checked_initial(self.initial, (self.num_clusters, len(moments.mean)))
        directions = directions.to(self.device, copy=True)
        scale = torch.ones(self.num_clusters, device=self.device)
        state = State(Prototypes(scale, directions), Prototypes(scale.clone(), directions.clone()))
        state.feature_scale = self._scale(moments.rms_norm())
        if self.initial is not None and self.config.method == "em":
            self._start_em(state)
        self._save(state)
        return state

    def _start_em(self, state: State) -> None:
        """Student and teacher start from the k-means directions; their norm is kept, it sets the
        size of Adam's steps.
        """
        direction = state.student.direction.detach()
        scale = torch.ones(self.num_clusters, device=self.device)
        state.student = Prototypes(scale, direction.clone())
        state.teacher = Prototypes(scale.clone(), direction.clone())
        state.phase, state.step, state.adam, state.losses = Phase.EM, 0, {}, []

    def _optimise(
        self,
        state: State,
        steps: int,
        parameters: dict[str, Tensor],
        step_loss: Callable[[State], Tensor],
    ) -> None:
        """Adam on one phase's loss; `step_loss` gives that of the current step."""
        rate = self._learning_rate(state.phase)
        watch = self.watch if state.phase is Phase.EM or self.config.method == "baseline" else None
        optimizer = torch.optim.Adam(
            [value.requires_grad_() for value in parameters.values()], lr=rate
        )
        for name, value in parameters.items():
            moments = {
                key: state.adam[f"{name}.{key}"]
                for key in _ADAM_KEYS
                if f"{name}.{key}" in state.adam
            }
            if moments:
                optimizer.state[value] = {
                    key: moment.to(_adam_device(key, self.device), copy=True)
                    for key, moment in moments.items()
                }
        self._report(state.phase.name.lower(), state.step, steps)
        while state.step < steps:
            loss = step_loss(state)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            images = [] if self.config.on_proposals else self._batch(state.phase, state.step)
            state.losses.append(finite_loss(float(loss.detach()), images))
            if (
                state.phase is Phase.EM
                and state.step > 0
                and state.step % self.config.teacher_every == 0
            ):
                call = state.step // self.config.teacher_every
                state.teacher = update_teacher(
                    state.teacher, state.student, call, self.config.momentum
                )
            state.step += 1
            if state.step < steps and state.step % self.config.snapshot_distance == 0:
                state.adam = {
                    f"{name}.{key}": optimizer.state[value][key]
                    for name, value in parameters.items()
                    for key in _ADAM_KEYS
                }
                self._save(state)
            if watch is not None:
                watch(state.step, state.losses[-1])
            self._report(state.phase.name.lower(), state.step, steps)

    def _learning_rate(self, phase: Phase) -> float:
        if phase is not Phase.EM:
            return self.config.learning_rate
        return (
            self.config.proposal_learning_rate
            if self.config.on_proposals
            else self.config.em_learning_rate
        )

    def _kmeans_step(self, state: State) -> Tensor:
        batch = self._batch(state.phase, state.step)
        features = list(
            self.workers.each(
                self._features, [(index, View()) for index in self.workers.own(batch)]
            )
        )
        return kmeans_loss(state.student.direction, features, sums_on(self.device, self.workers))

    def _em_step(self, state: State) -> Tensor:
        config, batch = self.config, self._batch(state.phase, state.step)
        generator = self._generator(state.phase, _Draw.STEP, state.step)
        views = [self._draw_views(generator) for _ in batch]
        images = list(
            self.workers.each(
                self._training_image, self.workers.own(list(zip(batch, views, strict=True)))
            )
        )
        # Logits are linear: scaling K prototypes equals scaling all features.
        teacher, student = (
            prototypes.effective() * state.feature_scale
            for prototypes in (state.teacher, state.student)
        )
        sums = sums_on(self.device, self.workers)
        votes = expectation(teacher, images, sums, config)
        return student_loss(student, images, votes, sums, config, generator)

    def _draw_views(self, generator: torch.Generator) -> tuple[View, View]:
        """Of teacher and student: a random flip for both, a random photometric draw of the same
        geometry for the student.
        """
        views = self.source.views
        flip = bool(torch.rand((), generator=generator) < 0.5) and View(flip=True) in views
        draws = sorted(
            view.photometric for view in views if view.flip == flip and view.photometric is not None
        )
        choice = int(torch.randint(max(1, len(draws)), (), generator=generator))
        return View(flip), View(flip, draws[choice] if draws else None)

    def _training_image(self, drawn: tuple[int, tuple[View, View]]) -> TrainingImage:
        index, (seen_by_teacher, seen_by_student) = drawn
        features = self._features((index, seen_by_teacher))
        proposals = self.source.proposals(index).to(self.device)
        return TrainingImage(
            teacher_features=features,
            student_features=(
                features
                if seen_by_student == seen_by_teacher
                else self._features((index, seen_by_student))
            ),
            proposals=proposals.flip(1) if seen_by_teacher.flip else proposals,
        )

    def _result(self, state: State) -> FitResult:
        cosine = self.config.method == "baseline"
        # so that softmax of the logits gives the fitted probabilities
        scale = 1.0 if cosine else state.feature_scale
        teacher = (state.student if cosine else state.teacher).effective().detach() * scale
        usage = torch.zeros(self.num_clusters, dtype=torch.int64)

        def count_tokens(index: int) -> tuple[Tensor]:
            winners = logits(self._features((index, View())), teacher, cosine=cosine).max(0).indices
            return (torch.bincount(winners.flatten(), minlength=self.num_clusters).cpu(),)

        self._report("usage", 0, len(self.source))
        for done, (counts,) in enumerate(
            self.workers.shared(count_tokens, range(len(self.source))), start=1
        ):
            usage += counts
            self._report("usage", done, len(self.source))
        return FitResult(
            teacher=teacher.cpu(),
            student=state.student.effective().detach().cpu() * scale,
            cosine=cosine,
            usage=usage,
            losses=tuple(state.losses),
        )

    def _features(self, wanted: tuple[int, View]) -> Tensor:
        """Features on the device; on the CPU as the source gives them, to be converted when they
        are used.
        """
        features = self.source.features(*wanted)
        return features if self.device.type == "cpu" else features.to(self.device, torch.float32)

    def _batch(self, phase: Phase, step: int) -> list[int]:
        """Images of one step: shuffled epochs, the incomplete last batch dropped."""
        epoch, number = divmod(step, self.config.steps_per_epoch(len(self.source)))
        return self._order(phase, epoch)[number * self.config.batch_size :][
            : self.config.batch_size
        ]

    def _order(self, phase: Phase, epoch: int) -> list[int]:
        generator = self._generator(phase, _Draw.ORDER, epoch)
        order: list[int] = torch.randperm(len(self.source), generator=generator).tolist()
        return order

    def _generator(self, phase: Phase, draw: _Draw, number: int) -> torch.Generator:
        entropy = np.random.SeedSequence([self.seed, phase, draw, number]).generate_state(
            1, np.uint64
        )
        return torch.Generator().manual_seed(int(entropy[0] >> np.uint64(1)))

    def _resume(self) -> State | None:
        group = self.workers.group
        found = self.checkpoint.load() if self.checkpoint is not None and group.rank == 0 else None
        tensors = group.exchange(found or {})[0]
        if not tensors:
            return None
        channels = len(self.source.features(0, View()))
        return State.from_tensors(tensors, (self.num_clusters, channels), self.device)

    def _save(self, state: State) -> None:
        if self.checkpoint is not None and self.workers.group.rank == 0:
            self.checkpoint.save(state.to_tensors())

    def _report(self, phase: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(phase, done, total)


def _adam_device(key: str, device: torch.device) -> torch.device:
    """Adam counts its steps on the CPU."""
    return torch.device("cpu") if key == "step" else device
