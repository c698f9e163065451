import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from primaps.naming.suggesting import doubtful, group_shares, medoids, typical


def directions(*degrees):
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


UNIT = directions(0, 4, 10, 80, 90)
CENTRES = directions(5, 88, 180)
GROUPS = torch.tensor([0, 0, 0, 1, 1])
AREAS = torch.tensor([1.0, 1.0, 1.0, 4.0, 3.0])


def test_the_medoid_of_every_group_the_largest_first():
    found = typical(UNIT, AREAS, CENTRES, GROUPS)
    assert [(each.row, each.group, each.why) for each in found] == [
        (4, 1, "group"),
        (1, 0, "group"),
    ]
    assert [round(each.share, 3) for each in found] == [0.7, 0.3]


def test_a_group_without_proposals_has_no_medoid_and_no_share():
    assert medoids(UNIT, CENTRES, GROUPS) == {0: 1, 1: 4}
    assert group_shares(AREAS, GROUPS, 3).tolist()[2] == 0.0


def test_most_doubt_first_and_nothing_known():
    certainty = torch.tensor([0.9, 0.9, 0.9, 0.1, 0.1])
    found = doubtful(UNIT, AREAS, CENTRES, GROUPS, certainty, [], 5)
    assert [(each.row, each.why) for each in found] == [(4, "uncertain"), (1, "uncertain")]
    assert [each.row for each in doubtful(UNIT, AREAS, CENTRES, GROUPS, certainty, [4], 5)] == [1]


def test_without_doubt_nothing_is_asked():
    assert doubtful(UNIT, AREAS, CENTRES, GROUPS, torch.ones(5), [], 5) == ()


@given(st.integers(0, 1000), st.integers(1, 12))
def test_no_proposal_is_asked_for_twice(seed, number):
    generator = torch.Generator().manual_seed(seed)
    unit = F.normalize(torch.randn(30, 4, generator=generator), dim=1)
    centres = unit[:12]
    groups = (unit @ centres.T).argmax(1)
    certainty, areas = (torch.rand(30, generator=generator) for _ in range(2))
    known = [0, 5, 7]
    rows = [each.row for each in doubtful(unit, areas, centres, groups, certainty, known, number)]
    assert len(set(rows)) == len(rows) <= number
    assert not set(rows) & set(known)
