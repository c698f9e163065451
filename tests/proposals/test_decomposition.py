import torch

from primaps.proposals.decomposition import PrincipalMasks, Round, collected, plane_of


def one_round(members, *, made=True, guards=(False, False)):
    """A round of two images of four tokens; the second image has none."""
    similarity = torch.zeros(2, 4, dtype=torch.float64)
    similarity[0, members] = torch.tensor([0.8, 0.4, 0.4, 0.4][: len(members)]).double()
    return Round(
        available=torch.ones(2, 4, dtype=torch.bool),
        alignment=torch.zeros(2, 4, dtype=torch.float64),
        anchors=torch.tensor([members[0], 3]),
        similarity=similarity,
        made=torch.tensor([made, False]),
        guards=torch.tensor([guards, (True, True)]),
        doubtful=torch.tensor([False, False]),
    )


def test_what_is_kept_of_a_round():
    plane = plane_of(one_round([2, 1]))
    assert plane.similarity.tolist() == [[0.0, 0.5, 1.0, 0.0], [0.0] * 4]
    assert plane.anchors.tolist() == [2, -1]
    torch.testing.assert_close(plane.scores, torch.tensor([0.6, 0.0]))
    assert plane.flags.tolist() == [[True, False, False], [False] * 3]


def test_rounds_become_masks_and_guards():
    features = torch.ones(2, 3, 2, 2)
    features[1, :, 0, 0] = 0.0
    made = [plane_of(one_round([2, 1], guards=(True, False))), plane_of(one_round([0]))]
    found = collected(features, [*made, plane_of(one_round([3], made=False))], {})
    assert found.similarity.shape == (2, 2, 2, 2)
    assert found.counts == (2, 0)
    assert found.anchors.tolist() == [[2, 0], [-1, -1]]
    assert found.guards == (("anchor_among_used",), ("zero_tokens",))
    assert found.doubtful == 0


def test_images_that_were_decomposed_alone_replace_what_was_made_of_them():
    alone = PrincipalMasks(
        similarity=torch.eye(4).view(1, 4, 2, 2)[:, :3],
        counts=(3,),
        anchors=torch.tensor([[0, 1, 2]]),
        scores=torch.ones(1, 3),
        guards=(("anchor_without_tokens",),),
        doubtful=0,
    )
    found = collected(torch.ones(2, 3, 2, 2), [plane_of(one_round([2, 1]))], {0: alone})
    assert found.counts == (3, 0)
    assert torch.equal(found.similarity[0], alone.similarity[0])
    assert found.anchors.tolist() == [[0, 1, 2], [-1, -1, -1]]
    assert found.guards == (("anchor_without_tokens",), ())
    assert not found.similarity[1].any()
    assert found.doubtful == 1


def test_no_round_is_no_mask():
    found = collected(torch.zeros(2, 3, 2, 2), [], {})
    assert found.similarity.shape == (2, 0, 2, 2)
    assert found.counts == (0, 0)
    assert found.guards == (("zero_tokens",), ("zero_tokens",))
