"""Means of proposals and their k-means against plain loops in float64."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.compute.cores import Workers, one_thread_each
from primaps.errors import DatasetError
from primaps.prototypes import clusters
from primaps.prototypes.clusters import (
    CANDIDATES,
    SMALLEST_AREA,
    lloyd,
    proposal_means,
    spherical_kmeans,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


def unit_vectors(count, channels, seed=0):
    return torch.nn.functional.normalize(random(count, channels, seed=seed), dim=1)


# ---- means of proposals --------------------------------------------------------------------------


def plain_means(features, proposals):
    """Pixel by pixel: mean feature, area in tokens and tokens of every id that is large enough, in
    the order of ids.
    """
    (_, h, w), (height, width) = features.shape, proposals.shape
    tokens = features.double().numpy()
    found = {}
    for row in range(height):
        for column in range(width):
            cell = int((row + 0.5) * h / height), int((column + 0.5) * w / width)
            found.setdefault(int(proposals[row, column]), []).append(cell)
    means, areas, shares = [], [], []
    for number in sorted(found.keys() - {0}):
        unit = [
            tokens[:, r, c] / max(np.linalg.norm(tokens[:, r, c]), 1e-12) for r, c in found[number]
        ]
        area = len(unit) * h * w / (height * width)
        if area >= SMALLEST_AREA and np.linalg.norm(np.mean(unit, axis=0)) > 1e-9:
            means.append(np.mean(unit, axis=0))
            areas.append(area)
            shares.append(
                {cell: found[number].count(cell) / len(unit) for cell in set(found[number])}
            )
    return np.array(means), np.array(areas), shares


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize(
    ("grid", "size"), [((3, 4), (24, 32)), ((3, 5), (25, 31)), ((4, 3), (3, 2)), ((1, 2), (7, 5))]
)
def test_means_are_those_of_a_loop_over_pixels(grid, size, dtype):
    features = 4 * random(6, *grid).to(dtype)
    proposals = torch.randint(0, 5, size, generator=generator(1), dtype=torch.int32)
    proposals[proposals == 3] = 7  # ids need not be consecutive
    proposals[proposals == 2] = 1  # so that one is large
    found = proposal_means(features, proposals, 3, generator())
    means, areas, shares = plain_means(features, proposals)
    assert len(means) > 0
    np.testing.assert_allclose(found.features, means, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.areas, areas, rtol=1e-6)
    squares = features.double().square().sum(0).mean()
    torch.testing.assert_close(found.square_norm, squares, rtol=1e-6, atol=0.0)
    assert (found.features.dtype, found.areas.dtype, found.square_norm.dtype) == (
        torch.float32,
        torch.float32,
        torch.float64,
    )
    unit = torch.nn.functional.normalize(features.float(), dim=0)
    for tokens, mine in zip(found.tokens, shares, strict=True):
        inside = torch.stack([unit[:, row, column] for row, column in mine])
        assert ((tokens[:, None] - inside).abs().amax(2).amin(1) < 1e-6).all()


def test_small_and_vanishing_proposals_do_not_count():
    features, proposals = random(3, 4, 4), torch.zeros(16, 16, dtype=torch.int64)
    # 4 tokens, 7 and 8 of the 16 pixels of a token
    proposals[:8, :8], proposals[12, :7], proposals[14, 4:12] = 1, 2, 3
    assert proposal_means(features, proposals, 0, generator()).areas.tolist() == [4.0, 0.5]
    features[:, :2, :2] = 0.0  # no direction
    assert proposal_means(features, proposals, 0, generator()).areas.tolist() == [0.5]
    # directions that cancel out
    features[:, :2, 0], features[:, :2, 1] = torch.ones(3, 1), -torch.ones(3, 1)
    assert proposal_means(features, proposals, 0, generator()).areas.tolist() == [0.5]


@pytest.mark.parametrize("samples", [0, 3])
def test_an_image_without_proposals_gives_none(samples):
    found = proposal_means(
        random(5, 3, 4), torch.zeros(12, 16, dtype=torch.int32), samples, generator()
    )
    assert (tuple(found.features.shape), tuple(found.areas.shape), tuple(found.tokens.shape)) == (
        (0, 5),
        (0,),
        (0, samples, 5),
    )
    assert found.square_norm > 0


def test_tokens_are_drawn_in_proportion_to_the_shared_area():
    features, proposals = torch.eye(4).reshape(4, 2, 2), torch.zeros(8, 8, dtype=torch.int64)
    # 16, 4 and 4 pixels of three of the tokens
    proposals[:4, :4], proposals[:2, 4:6], proposals[4:, :1] = 1, 1, 1
    drawn = proposal_means(features, proposals, 6000, generator()).tokens[0]
    assert set(map(tuple, drawn.tolist())) == {(1.0, 0, 0, 0), (0, 1.0, 0, 0), (0, 0, 1.0, 0)}
    np.testing.assert_allclose(drawn.mean(0), [4 / 6, 1 / 6, 1 / 6, 0], atol=0.02)


def test_the_same_generator_draws_the_same_tokens():
    arguments = random(4, 5, 5), torch.ones(10, 10, dtype=torch.int64), 3
    one, same, other = (proposal_means(*arguments, generator(seed)).tokens for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_features_that_are_not_finite_are_refused(value):
    features = random(3, 2, 2)
    features[1, 0, 1] = value
    with pytest.raises(DatasetError, match="Expected features to be finite"):
        proposal_means(features, torch.ones(4, 4, dtype=torch.int64), 0, generator())


# ---- k-means -------------------------------------------------------------------------------------


def plain_kmeans(unit, centres, votes):
    """Centres, clusters and objective, vector by vector in float64."""
    unit, centres, votes = (each.double().numpy() for each in (unit, centres.clone(), votes))
    previous = None
    while True:
        nearest = np.array(
            [int(np.argmax([vector @ centre for centre in centres])) for vector in unit]
        )
        if previous is not None and (nearest == previous).all():
            break
        for cluster in range(len(centres)):
            members = [
                vote * vector
                for vote, vector, mine in zip(votes, unit, nearest, strict=True)
                if mine == cluster
            ]
            if members:
                centres[cluster] = sum(members) / np.linalg.norm(sum(members))
        previous = nearest
    cosines = [unit[index] @ centres[cluster] for index, cluster in enumerate(nearest)]
    return centres, nearest, np.average(cosines, weights=votes)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("count", "channels", "num_clusters"), [(40, 5, 4), (30, 2, 9), (5, 8, 5), (12, 3, 1)]
)
def test_kmeans_is_the_plain_one(count, channels, num_clusters, weighted):
    unit, centres = unit_vectors(count, channels), unit_vectors(num_clusters, channels, seed=1)
    votes = torch.rand(count, generator=generator(2)) + 0.1 if weighted else torch.ones(count)
    found = lloyd(unit, centres, votes)
    expected, nearest, objective = plain_kmeans(unit, centres, votes)
    np.testing.assert_allclose(found.centres, expected, rtol=1e-5, atol=1e-6)
    assert found.nearest.tolist() == nearest.tolist()
    assert found.objective == pytest.approx(objective, rel=1e-6)


@settings(deadline=None, max_examples=30)
@given(
    count=st.integers(1, 60),
    channels=st.integers(2, 6),
    num_clusters=st.integers(1, 8),
    seed=st.integers(0, 10**6),
)
def test_the_objective_never_falls(count, channels, num_clusters, seed):
    unit, centres = (
        unit_vectors(count, channels, seed),
        unit_vectors(num_clusters, channels, seed + 1),
    )
    votes = torch.rand(count, generator=generator(seed)) + 0.01
    course = [lloyd(unit, centres, votes, rounds).objective for rounds in range(8)]
    assert all(after >= before - 1e-6 for before, after in itertools.pairwise(course))


def test_a_weight_is_a_number_of_votes():
    unit, centres, votes = unit_vectors(20, 4), unit_vectors(3, 4, seed=1), torch.arange(20) % 3 + 1
    found = lloyd(unit, centres, votes.float())
    repeated = lloyd(unit.repeat_interleave(votes, 0), centres, torch.ones(int(votes.sum())))
    torch.testing.assert_close(found.centres, repeated.centres)
    assert torch.equal(found.nearest.repeat_interleave(votes), repeated.nearest)
    assert found.objective == pytest.approx(repeated.objective, rel=1e-6)


def test_a_cluster_without_vectors_keeps_its_centre_and_the_first_wins_ties():
    unit, centres = (
        torch.tensor([[1.0, 0.0], [1.0, 0.0]]),
        torch.tensor([[-1.0, 0.0], [0.6, 0.8], [0.6, 0.8]]),
    )
    found = lloyd(unit, centres, torch.ones(2))
    torch.testing.assert_close(found.centres, torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.6, 0.8]]))
    assert found.nearest.tolist() == [1, 1]


def plain_start(unit, num_clusters, votes, draws):
    """Greedy k-means++ with distances taken anew of all centres for every candidate; numbers of the
    chosen vectors.
    """
    chosen = [int(torch.multinomial(votes, 1, generator=draws))]
    points, weights = unit.double().numpy(), votes.double().numpy()

    def distances(numbers):
        return np.maximum(
            0.0, 1.0 - np.max([points @ points[number] for number in numbers], axis=0)
        )

    while len(chosen) < num_clusters:
        chances = torch.tensor(distances(chosen) * weights).float().clamp_min(1e-12)
        candidates = torch.multinomial(
            chances, CANDIDATES, replacement=True, generator=draws
        ).tolist()
        chosen.append(
            min(candidates, key=lambda number: float(distances([*chosen, number]) @ weights))
        )
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_starts_are_those_of_plain_greedy_kmeans_plus_plus(seed):
    unit, votes = unit_vectors(50, 4, seed), torch.rand(50, generator=generator(seed)) + 0.1
    found = clusters._start(unit, 6, votes, generator(seed))
    assert torch.equal(found, unit[plain_start(unit, 6, votes, generator(seed))])


def planted(sizes=(60, 30, 5), channels=8, noise=0.2):
    centres = 3 * torch.eye(channels)[: len(sizes)]
    truth = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    order = torch.randperm(len(truth), generator=generator(4))
    return (centres[truth] + noise * random(len(truth), channels, seed=5))[order], truth[order]


def test_kmeans_finds_planted_clusters_whatever_the_length_of_the_vectors():
    vectors, truth = planted()
    found = spherical_kmeans(vectors, 3, [generator(seed) for seed in range(4)])
    pairs = set(zip(found.nearest.tolist(), truth.tolist(), strict=True))
    assert len(pairs) == 3
    torch.testing.assert_close(found.centres.norm(dim=1), torch.ones(3))
    lengths = torch.rand(len(vectors), 1, generator=generator(6)) + 0.2
    longer = spherical_kmeans(lengths * vectors, 3, [generator(seed) for seed in range(4)])
    torch.testing.assert_close(longer.centres, found.centres, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_best_start_by_the_objective_is_taken(weighted):
    vectors, seeds = random(60, 5, seed=3), range(12)
    weights = torch.rand(60, generator=generator(1)) + 0.1 if weighted else None
    single = [spherical_kmeans(vectors, 7, [generator(seed)], weights=weights) for seed in seeds]
    best = max(single, key=lambda found: found.objective)
    assert len({round(found.objective, 5) for found in single}) > 2
    together = spherical_kmeans(vectors, 7, [generator(seed) for seed in seeds], weights=weights)
    assert together.objective == best.objective
    assert torch.equal(together.centres, best.centres)
    assert torch.equal(together.nearest, best.nearest)


def test_centres_beyond_the_number_of_vectors_repeat_the_others():
    vectors = 2 * unit_vectors(3, 5)
    found = spherical_kmeans(vectors, 8, [generator(seed) for seed in range(2)])
    assert torch.equal(found.centres, found.centres[torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])])
    torch.testing.assert_close(found.centres[found.nearest], vectors / 2)
    assert sorted(found.nearest.tolist()) == [0, 1, 2]
    assert found.objective == pytest.approx(1.0)


def test_equal_vectors_share_one_cluster():
    vectors = torch.tensor([[3.0, 4.0]]).repeat(9, 1)
    found = spherical_kmeans(vectors, 4, [generator()])
    torch.testing.assert_close(found.centres, torch.tensor([[0.6, 0.8]]).repeat(4, 1))
    assert len(set(found.nearest.tolist())) == 1
    assert found.objective == pytest.approx(1.0)


def test_the_same_generators_give_the_same_bytes_and_the_vectors_stay_as_they_are():
    vectors = random(40, 6)
    before = vectors.clone()
    one, same, other = (spherical_kmeans(vectors, 9, [generator(seed)]) for seed in (1, 1, 2))
    assert torch.equal(one.centres, same.centres)
    assert not torch.equal(one.centres, other.centres)
    assert torch.equal(vectors, before)


def test_one_and_three_threads_give_the_same_bytes():
    vectors = random(300, 16)
    with one_thread_each(), ThreadPoolExecutor(3) as pool:
        one, three = (
            spherical_kmeans(vectors, 12, [generator(seed) for seed in range(9)], each=each)
            for each in (map, Workers(pool, 3).each)
        )
    assert torch.equal(one.centres, three.centres)
    assert torch.equal(one.nearest, three.nearest)
    assert one.objective == three.objective


def test_starts_are_compared_on_the_first_vectors_and_the_best_goes_on_with_all(monkeypatch):
    vectors, weights = random(200, 5), torch.rand(200, generator=generator(1)) + 0.1
    first = spherical_kmeans(
        vectors[:50], 6, [generator(seed) for seed in range(5)], weights=weights[:50]
    )
    expected = lloyd(torch.nn.functional.normalize(vectors, dim=1), first.centres, weights)
    monkeypatch.setattr(clusters, "SEARCHED", 50)
    found = spherical_kmeans(vectors, 6, [generator(seed) for seed in range(5)], weights=weights)
    assert torch.equal(found.centres, expected.centres)
    assert torch.equal(found.nearest, expected.nearest)
    assert len(found.nearest) == 200
    assert found.objective == expected.objective
