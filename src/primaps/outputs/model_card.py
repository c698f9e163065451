"""The card of a model on the Hugging Face hub: what it is, what it was fitted on, how to use it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from primaps.types import ClassTable, EvaluationResult

_METHODS: Final = {
    "em": "PriMaPs-EM",
    "clusters": "k-means of mask proposals",
    "baseline": "cosine k-means of tokens",
}
_TAGS: Final = ("primaps", "unsupervised-semantic-segmentation")
_HUB_LICENCES: Final = {"Apache-2.0": "apache-2.0", "MIT": "mit", "CC-BY-4.0": "cc-by-4.0"}


@dataclass(frozen=True)
class Measured:
    """Scores, and what they were measured on.

    Attributes:
        dataset: Name of the labelled data set with its split, and how classes were matched where
            that was by name.
        result: From `primaps.evaluate`.
    """

    dataset: str
    result: EvaluationResult


@dataclass(frozen=True)
class CardFacts:
    """What a card says.

    Attributes:
        repo_id: Of the model on the hub, ``owner/name``.
        version: Of this package.
        images: How many photographs the model was fitted to; None = not on record.
        method: "em", "clusters" or "baseline".
        size: Short side of the backbone's input in pixels.
        classes: Names and colours.
        backbone: Its name.
        source: Where the features come from, in words.
        training: What the backbone was trained with, in words.
        licence: Licence of its weights.
        weights_sha256: Checksum of its weights, where they are a file of the author's that is not
            uploaded; None = they are installed, on the hub or in the model.
        head: Kind of the head; None without one.
        measured: Scores; None = not known.
    """

    repo_id: str
    version: str
    images: int | None
    method: str
    size: int
    classes: ClassTable
    backbone: str
    source: str
    training: str
    licence: str
    weights_sha256: str | None = None
    head: str | None = None
    measured: Measured | None = None


def model_card(facts: CardFacts) -> str:
    """The text of a card: Markdown below a head of YAML, as the hub reads it."""
    parts = [
        _front_matter(facts),
        f"# {facts.repo_id.rpartition('/')[2]}",
        (
            "Semantic segmentation without labels: class prototypes on the features of a frozen"
            f" backbone, made with `primaps` {facts.version}."
        ),
        _facts(facts),
        _use(facts),
        _classes(facts.classes),
    ]
    if facts.measured is not None:
        parts.append(_scores(facts.measured))
    return "\n\n".join(parts) + "\n"


def _front_matter(facts: CardFacts) -> str:
    """Values as JSON texts, which YAML reads as well."""
    known = _HUB_LICENCES.get(facts.licence)
    lines = ["library_name: primaps", "pipeline_tag: image-segmentation"]
    lines += [f"license: {known or 'other'}"]
    if known is None:
        lines.append(f"license_name: {json.dumps(facts.licence)}")
    lines += ["tags:", *(f"- {tag}" for tag in _TAGS)]
    return "\n".join(["---", *lines, "---"])


def _facts(facts: CardFacts) -> str:
    on = "a number of photographs that is not on record"
    if facts.images is not None:
        on = f"{facts.images} photograph{'' if facts.images == 1 else 's'}"
    lines = [
        (
            f"- Fitted on {on}, without labels, by {_METHODS.get(facts.method, facts.method)};"
            f" {facts.classes.num_clusters} clusters."
        ),
        f"- Backbone: `{facts.backbone}` ({facts.source}). It was trained with: {facts.training}.",
        f"- Licence of the backbone's weights: {facts.licence}.",
        f"- Photographs are brought to a short side of {facts.size} pixels.",
    ]
    if facts.head is not None:
        lines.append(f"- On the backbone there is a head of kind {facts.head}, which is included.")
    return "\n".join(["## What it is", "", *lines])


def _use(facts: CardFacts) -> str:
    weights = "" if facts.weights_sha256 is None else ', weights="FILE"'
    lines = [
        "## How to use it",
        "",
        "```python",
        "import primaps as pm",
        "",
        f"segmenter = pm.Segmenter.from_pretrained({json.dumps(facts.repo_id)}{weights})",
        'label_map = segmenter.predict(pm.read_image("photo.jpg"), names=True)',
        "```",
    ]
    if facts.weights_sha256 is not None:
        lines += [
            "",
            "The weights of the backbone are not included. `FILE` is the one with the SHA-256",
            f"`{facts.weights_sha256}`.",
        ]
    return "\n".join(lines)


def _classes(table: ClassTable) -> str:
    lines = ["## Classes", "", "| id | name | colour | clusters |", "|---|---|---|---|"]
    for each in table.classes:
        name = each.title.replace("\\", "\\\\").replace("|", "\\|")
        name += " (ignored: 255)" if each.ignore else ""
        colour = "#" + "".join(f"{value:02x}" for value in each.colour)
        lines.append(f"| {each.id} | {name} | {colour} | {', '.join(map(str, each.clusters))} |")
    return "\n".join(lines)


def _scores(measured: Measured) -> str:
    result = measured.result
    scores = f"accuracy {result.accuracy:.1%}, mean IoU {result.miou:.1%}"
    return f"## Scores\n\nOn {measured.dataset}, {result.num_images} images: {scores}."
