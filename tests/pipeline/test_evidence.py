import pytest
import torch
from torch.nn import functional as F

from primaps.pipeline.evidence import Evidence
from primaps.pipeline.stored_proposals import StoredProposals
from primaps.types import ClassTable, NamedClass

GREY = (1, 2, 3)


def evidence(said, *, names=("road", None, None), learnt=False):
    """Six proposals of two images in the plane, three clusters."""
    angles = torch.deg2rad(torch.tensor([0.0, 10.0, 45.0, 55.0, 80.0, 90.0]))
    stored = StoredProposals(
        ("a", "b"),
        torch.tensor([0, 0, 0, 1, 1, 1]),
        torch.tensor([1, 2, 3, 1, 2, 3]),
        torch.stack([angles.cos(), angles.sin()], dim=1),
        torch.ones(6),
        1.0,
    )
    owners = [NamedClass(each, name, GREY, (each,)) for each, name in enumerate(names)]
    table = ClassTable(3, (*owners, NamedClass(3, "tree", GREY, ())))
    scores = 5 * F.one_hot(torch.tensor([0, 0, 1, 1, 2, 2]), 3).float()
    return Evidence(table, said, stored, scores, learnt=learnt)


def test_classes_are_those_that_something_is_said_about():
    found = evidence({("a", 3): 3, ("b", 1): 255})
    assert [each.id for each in found.classes()] == [0, 3]
    assert found.named_clusters() == {0: 0}


def test_names_of_clusters_and_of_proposals_are_learnt_together():
    found = evidence({("b", 3): 3})
    best = (found.stored.unit @ found.classifier().T).argmax(1)
    assert best.tolist()[:2] == [0, 0]  # the cluster that is called road
    assert best.tolist()[4:] == [1, 1]


def test_a_model_fitted_with_names_does_not_repeat_what_it_was_told():
    said = {("a", 1): 0, ("b", 3): 3}
    assert evidence(said, learnt=True).named_clusters() == {}
    assert evidence(said).named_clusters() == {0: 0}


def test_what_is_of_no_class_teaches_nothing():
    plain, more = evidence({("a", 1): 0, ("b", 3): 3}), evidence({("a", 1): 0, ("b", 3): 3})
    more.said[("a", 3)] = 255
    assert not torch.equal(plain.classifier(), more.classifier())
    assert more.facts() != plain.facts()


@pytest.mark.parametrize("learnt", [False, True])
def test_facts_are_json_and_change_with_names(learnt):
    import json

    said = {("a", 1): 0, ("b", 3): 3}
    one, other = evidence(said, learnt=learnt), evidence(said, names=("street", None, None))
    assert json.dumps(one.facts()) != json.dumps(other.facts())
