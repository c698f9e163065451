import itertools
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from primaps.errors import ConfigError
from primaps.heads.stego_loss import (
    Switches,
    correlation,
    correspondence_loss,
    correspondence_terms,
    draw_coordinates,
    draw_permutation,
    sample_at,
)

SHIFTS = {"shift_self": 0.18, "shift_neighbour": 0.12, "shift_random": 0.46}


def as_vector(terms):
    return torch.stack([terms.itself, terms.neighbour, terms.random])


# ---- a plain restatement in numpy, float64 -------------------------------------------------------


def plain_sample(maps, coordinates):
    count, channels, height, width = maps.shape
    samples = coordinates.shape[1]
    result = np.zeros((count, channels, samples, samples))
    for n, a, b in itertools.product(range(count), range(samples), range(samples)):
        x, y = coordinates[n, b, a]  # the two axes are swapped
        column = min(max((x + 1) / 2 * (width - 1), 0), width - 1)
        row = min(max((y + 1) / 2 * (height - 1), 0), height - 1)
        left, top = min(int(column), width - 2), min(int(row), height - 2)
        right, low = column - left, row - top
        corner = maps[n, :, top : top + 2, left : left + 2]
        result[n, :, a, b] = (1 - low) * (
            (1 - right) * corner[:, 0, 0] + right * corner[:, 0, 1]
        ) + low * ((1 - right) * corner[:, 1, 0] + right * corner[:, 1, 1])
    return result


def plain_correlation(first, second):
    first, second = (
        values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-10)
        for values in (first, second)
    )
    return np.einsum("ncab,ncij->nabij", first, second)


def plain_loss(f1, f2, s1, s2, shift, pointwise, zero_clamp, stabilize):
    target = plain_correlation(f1, f2)
    if pointwise:
        mean = target.mean()
        target = target - target.mean(axis=(3, 4), keepdims=True)
        target = target - target.mean() + mean
    found = plain_correlation(s1, s2)
    low, high = (0.0 if zero_clamp else -9999.0), (0.8 if stabilize else math.inf)
    return -np.clip(found, low, high) * (target - shift)


def plain_terms(plain, positive, coordinates, permutations, pointwise, zero_clamp, stabilize):
    switches = (pointwise, zero_clamp, stabilize)
    f, s = (plain_sample(maps, coordinates[0]) for maps in plain)
    f_pos, s_pos = (plain_sample(maps, coordinates[1]) for maps in positive)
    negative = []
    for order in permutations:
        f_neg, s_neg = (plain_sample(maps[order], coordinates[1]) for maps in plain)
        negative.append(plain_loss(f, f_neg, s, s_neg, 0.46, *switches))
    return [
        plain_loss(f, f, s, s, 0.18, *switches).mean(),
        plain_loss(f, f_pos, s, s_pos, 0.12, *switches).mean(),
        np.concatenate(negative).mean(),
    ]


def drawn(seed=0, count=3, channels=5, dim=4, height=4, width=6, samples=3):
    generator = torch.Generator().manual_seed(seed)

    def maps(depth):
        return torch.randn(count, depth, height, width, generator=generator)

    plain, positive = (maps(channels), maps(dim)), (maps(channels), maps(dim))
    coordinates = tuple(draw_coordinates(count, samples, generator) for _ in range(2))
    permutations = torch.stack([draw_permutation(count, generator) for _ in range(2)])
    return plain, positive, coordinates, permutations


@pytest.mark.parametrize(
    ("pointwise", "zero_clamp", "stabilize"), list(itertools.product([False, True], repeat=3))
)
def test_agrees_with_a_plain_restatement(pointwise, zero_clamp, stabilize):
    plain, positive, coordinates, permutations = drawn()
    switches = Switches(**SHIFTS, pointwise=pointwise, zero_clamp=zero_clamp, stabilize=stabilize)
    terms = correspondence_terms(plain, positive, coordinates, permutations, switches)
    arrays = [
        tuple(value.double().numpy() for value in pair) for pair in (plain, positive, coordinates)
    ]
    expected = plain_terms(*arrays, permutations.numpy(), pointwise, zero_clamp, stabilize)
    np.testing.assert_allclose(as_vector(terms).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("pointwise", "stabilize"), list(itertools.product([0, 1], repeat=2)))
def test_agrees_with_recorded_official_values(shared, pointwise, stabilize):
    path = shared / "golden" / "stego_loss.safetensors"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    golden = load_file(path)
    terms = correspondence_terms(
        (golden["features"], golden["code"]),
        (golden["features_pos"], golden["code_pos"]),
        (golden["coords1"], golden["coords2"]),
        golden["permutations"],
        Switches(**SHIFTS, pointwise=bool(pointwise), stabilize=bool(stabilize)),
    )
    expected = golden[f"loss_self_knn_rand_pointwise{pointwise}_stabilize{stabilize}"]
    torch.testing.assert_close(as_vector(terms), expected, atol=1e-5, rtol=0)


def test_pairs_above_the_shift_attract_and_pairs_below_it_repel():
    features = torch.eye(2).reshape(1, 2, 1, 2)  # two places that have nothing in common
    code = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.5]]]], requires_grad=True)
    switches = Switches(**SHIFTS, pointwise=False)
    loss = correspondence_loss((features, features), (code, code), 0.5, switches)
    assert float(loss[0, 0, 0].detach()) == pytest.approx(-0.5)  # the same place: correlation 1
    assert float(loss[0, 0, 1].detach()) > 0.4  # different features, similar code: costs
    loss.sum().backward()
    # descent raises the component that tells the second place from the first
    assert float(code.grad[0, 1, 0, 1]) < 0


def test_no_gradient_reaches_the_features():
    plain, positive, coordinates, permutations = drawn()
    for values in (*plain, *positive):
        values.requires_grad_()
    terms = correspondence_terms(plain, positive, coordinates, permutations, Switches(**SHIFTS))
    as_vector(terms).sum().backward()
    assert plain[0].grad is None or not plain[0].grad.any()
    assert positive[0].grad is None or not positive[0].grad.any()
    assert plain[1].grad.any()
    assert positive[1].grad.any()


def test_zero_vectors_give_finite_losses_and_gradients():
    plain, positive, coordinates, permutations = drawn()
    code = torch.zeros_like(plain[1], requires_grad=True)
    terms = correspondence_terms(
        (plain[0] * 0, code), positive, coordinates, permutations, Switches(**SHIFTS)
    )
    as_vector(terms).sum().backward()
    assert torch.isfinite(as_vector(terms)).all()
    assert torch.isfinite(code.grad).all()


def test_corners_are_the_centres_of_the_outermost_tokens():
    maps = torch.arange(12.0).reshape(1, 1, 3, 4)
    corners = torch.tensor([[[[-1.0, -1.0], [1.0, -1.0]], [[-1.0, 1.0], [1.0, 1.0]]]])
    assert sample_at(maps, corners)[0, 0].flatten().sort().values.tolist() == [0.0, 3.0, 8.0, 11.0]


def test_correlation_is_the_cosine():
    first, second = torch.randn(2, 3, 2, 2), torch.randn(2, 3, 4, 1)
    expected = torch.nn.functional.cosine_similarity(first[1, :, 1, 0], second[1, :, 3, 0], dim=0)
    assert float(correlation(first, second)[1, 2, 3]) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("count", [2, 3, 7, 16])
def test_no_image_is_its_own_negative(count):
    generator = torch.Generator().manual_seed(count)
    for _ in range(50):
        order = draw_permutation(count, generator)
        assert not (order == torch.arange(count)).any()
        assert order.min() >= 0
        assert order.max() < count


def test_one_image_has_no_negative():
    with pytest.raises(ConfigError, match="two or more images"):
        draw_permutation(1, torch.Generator())


def test_coordinates_fill_the_square():
    places = draw_coordinates(4, 11, torch.Generator().manual_seed(0))
    assert places.shape == (4, 11, 11, 2)
    assert -1 <= float(places.min()) < -0.95
    assert 0.95 < float(places.max()) <= 1
