"""Cards of models."""

import dataclasses

import pytest
from ruamel.yaml import YAML

from primaps.outputs.model_card import CardFacts, model_card
from primaps.types import ClassTable, NamedClass


@pytest.fixture
def facts():
    classes = (
        NamedClass(0, "sky", (1, 2, 255), (0, 2)),
        NamedClass(3, None, (0, 0, 0), (1,), ignore=True),
    )
    return CardFacts(
        repo_id="me/streets",
        version="1.2",
        images=1,
        method="clusters",
        size=320,
        classes=ClassTable(3, classes),
        backbone="x",
        source="somewhere",
        training="labels of ImageNet",
        licence="Apache-2.0",
    )


def front(card):
    return YAML(typ="safe").load(card.split("---")[1])


def test_the_front_matter_is_what_the_hub_reads(facts):
    expected = {
        "library_name": "primaps",
        "pipeline_tag": "image-segmentation",
        "license": "apache-2.0",
        "tags": ["primaps", "unsupervised-semantic-segmentation"],
    }
    assert front(model_card(facts)) == expected
    other = dataclasses.replace(facts, licence='The "X": Licence')
    named = {"license": "other", "license_name": 'The "X": Licence'}
    assert front(model_card(other)) == {**expected, **named}


def test_what_is_known_is_said_and_nothing_else(facts):
    card = model_card(facts)
    for words in (
        "made with `primaps` 1.2.",
        "Fitted on 1 photograph, without labels, by k-means of mask proposals; 3 clusters.",
        "- Backbone: `x` (somewhere). It was trained with: labels of ImageNet.",
        "a short side of 320 pixels",
        "| 0 | sky | #0102ff | 0, 2 |",
        "| 3 | class 3 (ignored: 255) | #000000 | 1 |",
    ):
        assert words in card, words
    for words in ("Scores", "head of kind", "SHA-256", "None"):
        assert words not in card, words
    assert "not on record" in model_card(dataclasses.replace(facts, images=None))
