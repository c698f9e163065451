"""What a person said about the proposals of a run, gathered for whatever learns from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from primaps.naming.corrections import UNLABELLED
from primaps.naming.named_classifier import (
    NOTHING,
    certain_weights,
    from_clusters,
    hand_on,
    linear_classifier,
)
from primaps.pipeline.named_labels import NamedLabels
from primaps.pipeline.stored_proposals import StoredProposals, read_proposals
from primaps.prototypes.classifier import logits
from primaps.runs.model import Model
from primaps.runs.run import Run
from primaps.runs.store import fingerprint
from primaps.types import ClassTable, NamedClass

NAMES: Final = "names"
"""In the settings of a model: what it was fitted with, if with names."""


@dataclass(frozen=True)
class Evidence:
    """What a person said, and what it is about.

    Attributes:
        table: The present classes.
        said: Class id by image and proposal; `UNLABELLED` = of no class.
        stored: All proposals.
        logits: (M, K) float32 logits of the present model for every proposal.
        learnt: The present model was fitted with names itself.
    """

    table: ClassTable
    said: Mapping[tuple[str, int], int]
    stored: StoredProposals
    logits: Tensor
    learnt: bool = False

    @property
    def clusters(self) -> Tensor:
        """(M,) int64 cluster that the present model gives every proposal to."""
        return self.logits.max(1).indices

    def named_clusters(self) -> dict[int, int]:
        """Class id by cluster, of the classes that have a name or are ignored.

        Those of a model that was fitted with names say nothing new of classes with named proposals,
        from which it has them.
        """
        heard = set(self.said.values()) if self.learnt else set()
        return {
            cluster: each.id
            for each in self.table.classes
            if (each.name is not None or each.ignore) and each.id not in heard
            for cluster in each.clusters
        }

    def classes(self) -> list[NamedClass]:
        """Those that something is said about, by ascending id."""
        known = {*self.said.values(), *self.named_clusters().values()}
        return [each for each in self.table.classes if each.id in known]

    def classifier(self) -> Tensor:
        """(K, C) float32 weights, for unit features, of the linear classifier of `classes`.

        Raises:
            ConfigError: If nothing is said of any class.
        """
        numbers = {each.id: number for number, each in enumerate(self.classes())}
        index = self.stored.rows()
        known = {index[key]: class_id for key, class_id in self.said.items() if key in index}
        handed = hand_on(
            self.stored.unit,
            torch.tensor(list(known), dtype=torch.int64),
            torch.tensor(
                [numbers.get(each, NOTHING) for each in known.values()], dtype=torch.int64
            ),
        )
        named = torch.full((self.table.num_clusters,), NOTHING)
        for cluster, class_id in self.named_clusters().items():
            named[cluster] = numbers[class_id]
        handed = from_clusters(handed, self.stored.unit, self.clusters, named)
        weights = certain_weights(handed, self.stored.areas)
        return linear_classifier(self.stored.unit, handed.classes, weights, len(numbers))

    def facts(self) -> list[Any]:
        """What determines the classifier beside the proposals, JSON-ready."""
        titles = {each.id: each.title for each in self.table.classes} | {UNLABELLED: None}
        said = [[*key, titles[class_id]] for key, class_id in sorted(self.said.items())]
        named = self.named_clusters()
        clusters = [
            titles[named[each]] if each in named else None for each in self.clusters.tolist()
        ]
        return [said, fingerprint(clusters)]


def gather(run: Run) -> Evidence:
    """Everything that was said about the proposals of a run.

    Raises:
        CheckpointError: If there is no model yet.
        ConfigError: If names or corrections have a mistake; the message names the line.
        DatasetError: If no proposals are stored.
    """
    model = Model.load(run.folder.model)
    table, said = NamedLabels(run.folder.root).table, said_of_proposals(run.folder.root)
    stored = read_proposals(run, {image for image, _ in said})
    scores = proposal_logits(stored, model)
    return Evidence(table, said, stored, scores, learnt=NAMES in model.settings)


def said_of_proposals(root: Path) -> dict[tuple[str, int], int]:
    """Class id by image and proposal, of all corrections in force; `UNLABELLED` = of none.

    Raises:
        ConfigError: If the names or corrections have a mistake; the message names the line.
    """
    labels = NamedLabels(root)
    return {
        (image, proposal): class_id
        for image in labels.corrected_images
        for proposal, class_id in labels.binding(image).classes.items()
    }


def proposal_logits(stored: StoredProposals, model: Model) -> Tensor:
    """(M, K) float32 logits of a model for every proposal, as of a token of common norm."""
    features = stored.unit.T[:, None] * stored.token_norm
    found: Tensor = logits(features, model.prototypes, cosine=model.fit.cosine)[:, 0].T
    return found
