"""The other way to learn from names: PriMaPs-EM that starts from named proposals and in whose
E-step these, and the groups they stand for, stay where they are.
"""

from __future__ import annotations

from typing import Final

import torch
from class_measures.photographs import Photographs
from torch import Tensor
from torch.nn import functional as F

from primaps.config import preset_config
from primaps.naming.named_classifier import NOTHING, hand_on
from primaps.pipeline.evidence import Evidence
from primaps.prototypes.classifier import Prototypes
from primaps.prototypes.clusters import ProposalMeans, proposal_means
from primaps.prototypes.em import update_teacher
from primaps.prototypes.proposal_em import proposal_loss, responsibilities
from primaps.types import View

ALIKE: Final = 0.9
"""Cosine to a named proposal from which on a proposal stays in its class."""


def training_proposals(images: Photographs) -> ProposalMeans:
    """All proposals with the tokens that enter the loss, in the order of `StoredProposals`."""
    config, generator = preset_config("default").fit, torch.Generator().manual_seed(0)
    parts = []
    for name in images.names:
        found = proposal_means(
            images.store.features(name, View()),
            images.store.proposals(name),
            config.tokens_per_proposal,
            generator,
        )
        parts.append((found.features, found.areas, found.square_norm.reshape(1), found.tokens))
    features, areas, norms, tokens = (torch.cat(part) for part in zip(*parts, strict=True))
    return ProposalMeans(features, areas, norms.mean(), tokens)


def em_with_names(evidence: Evidence, proposals: ProposalMeans) -> Tensor:
    """(K, C) float32 prototypes of the named classes, for unit features.

    Args:
        evidence: What was named.
        proposals: From `training_proposals`.
    """
    config, unit = preset_config("default").fit, evidence.stored.unit
    classes = {each.id: number for number, each in enumerate(evidence.classes())}
    index = evidence.stored.rows()
    rows = torch.tensor([index[key] for key in evidence.said])
    numbers = torch.tensor([classes.get(each, NOTHING) for each in evidence.said.values()])
    handed = hand_on(unit, rows, numbers)
    fixed = (handed.classes != NOTHING) & (handed.cosines >= ALIKE)
    own = F.one_hot(handed.classes.clamp_min(0), len(classes)).float()
    start = F.normalize((own * fixed[:, None]).T @ unit, dim=1)
    scale = torch.ones(len(classes))
    student, teacher = Prototypes(scale, start), Prototypes(scale.clone(), start.clone())
    parameters = [student.direction.requires_grad_(), student.scale.requires_grad_()]
    optimizer = torch.optim.Adam(parameters, lr=config.proposal_learning_rate)
    norm = 3.0 if config.feature_norm is None else config.feature_norm
    for step in range(config.main_steps(len(evidence.stored.images))):
        shares = responsibilities(teacher.effective() * norm, proposals, soft=True)
        shares = torch.where(fixed[:, None], own, shares)
        loss = proposal_loss(
            student.effective() * norm,
            proposals,
            shares,
            gamma=config.focal_gamma,
            proposal_weight=config.proposal_weight,
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step > 0 and step % config.teacher_every == 0:
            teacher = update_teacher(
                teacher, student, step // config.teacher_every, config.momentum
            )
    return teacher.effective().detach() * norm
