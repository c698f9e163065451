import numpy as np
import pytest

from primaps.naming.class_number import propose_number, separation


def kinds(number, seed, each=12, noise=0.1):
    """Vectors of so many kinds, and clusters of about two of them each."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(number, 20))
    vectors = np.repeat(centres, each, axis=0) + noise * generator.normal(size=(number * each, 20))
    return vectors, [np.arange(number * each) // 2]


@pytest.mark.parametrize("number", [2, 3, 5, 8, 15])
def test_kinds_are_counted(number):
    choice = propose_number(*kinds(number, seed=number))
    assert choice.value == number
    assert [each for each, _ in choice.curve] == list(range(2, 4 * number + 1))


def test_ids_of_clusters_and_lengths_of_vectors_do_not_matter():
    vectors, nearest = kinds(4, seed=1)
    lengths = np.random.default_rng(0).uniform(0.2, 3, (len(vectors), 1))
    again = propose_number(lengths * vectors, [7 * nearest[0] + 3])
    for (number, score), (same, other) in zip(
        propose_number(vectors, nearest).curve, again.curve, strict=True
    ):
        assert number == same
        assert score == pytest.approx(other)


@pytest.mark.parametrize("count", [1, 2])
def test_where_there_is_nothing_to_choose_from_it_is_two(count):
    choice = propose_number(np.eye(3)[:count], [np.arange(count)])
    assert (choice.value, choice.curve) == (2, ())


def test_proposals_that_are_all_alike_make_two():
    assert propose_number(np.ones((12, 3)), [np.arange(12)]).value == 2


def test_scores_are_means_over_clusterings_of_the_numbers_that_all_have():
    vectors, _ = kinds(3, seed=2)
    several = [np.arange(36) // 2, np.arange(36) // 3]
    first, second = (dict(propose_number(vectors, [each]).curve) for each in several)
    both = dict(propose_number(vectors, several).curve)
    assert both.keys() == second.keys() < first.keys()
    assert all(both[each] == pytest.approx((first[each] + second[each]) / 2) for each in both)


def test_separation_is_the_silhouette_over_all_pairs():
    generator = np.random.default_rng(0)
    unit = generator.normal(size=(9, 4))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    own = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
    distance, found = 1 - unit @ unit.T, []
    for row in range(9):
        means = [
            distance[row, [each for each in range(9) if own[each] == group and each != row]].mean()
            if group != own[row] or own[row] != 2
            else 0.0
            for group in range(3)
        ]
        inside, nearest = means[own[row]], min(means[each] for each in range(3) if each != own[row])
        found.append((nearest - inside) / max(inside, nearest) if own[row] != 2 else 0.0)
    wanted = np.mean([np.mean(np.array(found)[own == group]) for group in range(3)])
    member = np.eye(3)[own]
    cosines = unit @ (member.T @ unit).T
    assert separation(cosines, member.sum(axis=0), own) == pytest.approx(wanted)
