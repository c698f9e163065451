import pytest
import torch

from primaps.proposals.doubt import doubtful_proposals


@pytest.mark.parametrize(
    ("contenders", "available", "cosines", "expected"),
    [
        ([1, 0, 0], [1, 1, 1], [1.0, 0.7, 0.2], False),
        ([1, 1, 0], [1, 1, 1], [1.0, 0.7, 0.2], True),  # another anchor
        ([1, 1, 0], [1, 1, 1], [1.0, 1.0, 0.2], False),  # the same one twice
        ([1, 1, 0], [0, 0, 1], [1.0, 0.7, 0.2], False),  # used ones are exactly zero
        ([1, 0, 1], [0, 0, 1], [1.0, 0.7, 1.0], True),  # used or not
        ([1, 0, 0], [1, 1, 1], [1.0, 0.4 + 1e-7, 0.2], True),  # on the threshold
        ([1, 0, 0], [1, 0, 1], [1.0, 0.4 + 1e-7, 0.2], False),
    ],
)
def test_where_rounding_could_change_a_proposal(contenders, available, cosines, expected):
    found = doubtful_proposals(
        torch.tensor([contenders]).bool(),
        torch.tensor([available]).bool(),
        torch.tensor([cosines], dtype=torch.float64),
        torch.tensor([[0.4]], dtype=torch.float64),
    )
    assert found.tolist() == [expected]
