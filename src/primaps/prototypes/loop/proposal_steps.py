"""EM on whole proposals: what is read of them, and the loss of a step, which sees them all."""

from __future__ import annotations

import torch
from torch import Tensor

from primaps.errors import DatasetError
from primaps.prototypes.clusters import ProposalMeans, proposal_means
from primaps.prototypes.loop.state import Phase, State
from primaps.prototypes.loop.task import Draw, Task
from primaps.prototypes.proposal_em import proposal_loss, responsibilities
from primaps.types import View


def read_proposals(task: Task) -> ProposalMeans:
    """Mean features of the proposals of all images, or of random ones up to
    `FitConfig.max_proposals`.

    Returns:
        On the CPU, in random order of the images.

    Raises:
        DatasetError: If features are not finite, or there is no proposal.
    """
    config = task.config
    samples = config.tokens_per_proposal if config.on_proposals and config.method == "em" else 0

    def measure(index: int) -> tuple[Tensor, ...]:
        try:
            features = task.source.features(index, View()).cpu()
            proposals = task.source.proposals(index).cpu()
            generator = task.generator(Phase.EM, Draw.TOKENS, index)
            found = proposal_means(features, proposals, samples, generator)
        except DatasetError as error:
            raise DatasetError(f"Image {index}: {error}") from error
        return found.features, found.areas, found.square_norm.reshape(1), found.tokens

    chosen, parts, present = task.order(Phase.PCA, 0), list[tuple[Tensor, ...]](), 0
    task.report("proposals", 0, len(chosen))
    for part in task.workers.shared(measure, chosen):
        parts.append(part)
        present += len(part[0])
        task.report("proposals", len(parts), len(chosen))
        if present >= config.max_proposals:
            break
    if not present:
        other = "--init pca" if config.method == "em" else "--method baseline"
        raise DatasetError(
            "Expected mask proposals to fit classes to, but the images have none. Give a lower"
            f" --threshold to `primaps proposals`, or {other} to `primaps fit`."
        )
    features, areas, square_norms, tokens = (
        torch.cat(tensors) for tensors in zip(*parts, strict=True)
    )
    kept = slice(config.max_proposals)
    return ProposalMeans(features[kept], areas[kept], square_norms.mean(), tokens[kept])


def proposal_step(task: Task, state: State, proposals: ProposalMeans) -> Tensor:
    """E-step of the teacher and loss of the student.

    Args:
        task: The fit.
        state: Of the step.
        proposals: From `read_proposals`, with features, areas and tokens on the device.

    Returns:
        () float32, differentiable in the student.
    """
    # of unit features
    scale = state.feature_scale * float(proposals.square_norm.sqrt())
    teacher, student = (part.effective() * scale for part in (state.teacher, state.student))
    shares = responsibilities(teacher, proposals, soft=task.config.soft_votes)
    return proposal_loss(
        student,
        proposals,
        shares,
        gamma=task.config.focal_gamma,
        proposal_weight=task.config.proposal_weight,
    )
