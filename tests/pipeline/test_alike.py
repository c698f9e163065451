import pytest
import torch
from torch.nn import functional as F

from primaps.errors import ConfigError
from primaps.pipeline.alike import alike
from primaps.pipeline.stored_proposals import StoredProposals


def stored(vectors, images=("a.png", "b.png")):
    unit = F.normalize(torch.tensor(vectors, dtype=torch.float32), dim=1)
    image = torch.arange(len(unit)) % len(images)
    return StoredProposals(
        images, image, torch.arange(len(unit)) // len(images) + 1, unit, torch.ones(len(unit)), 1.0
    )


def test_those_that_look_alike_the_most_similar_first():
    found = alike(stored([[1, 0], [0.9, 0.2], [0, 1], [1, 0], [-1, 0]]), "a.png", 1)
    assert found == [("a.png", 1), ("b.png", 2), ("b.png", 1)]


def test_a_proposal_like_no_other_stays_alone():
    assert alike(stored([[1, 0], [0, 1]]), "b.png", 1) == [("b.png", 1)]


@pytest.mark.parametrize("asked", [("a.png", 7), ("c.png", 1)])
def test_an_unknown_proposal_is_refused(asked):
    with pytest.raises(ConfigError, match="whose features are stored"):
        alike(stored([[1, 0]]), *asked)
