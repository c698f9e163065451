import itertools
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from primaps.heads.hp_loss import (
    Pairs,
    consistency_loss,
    contrastive_loss,
    hidden_positives,
    reference_similarity,
    specific_weight,
)


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def batch_loss(f, s_ema, views, pools, kept, images, *, temperature, weight, reweight):
    """The contrastive part of a step: mean over the images and the views of the code."""
    tokens = len(f) // images
    bars = [
        reference_similarity(values, pool) for values, pool in zip((f, s_ema), pools, strict=True)
    ]
    total = 0.0
    for image in range(images):
        anchors = slice(image * tokens, (image + 1) * tokens)
        agnostic, specific = (
            hidden_positives(v, bar, anchors) for v, bar in zip((f, s_ema), bars, strict=True)
        )
        pairs = Pairs(anchors, agnostic, specific, kept, weight)
        for view in views:
            total = total + contrastive_loss(
                view, pairs, temperature=temperature, reweight=reweight
            )
    return total / (images * len(views))


# ---- a plain restatement in numpy, float64, anchor by anchor -------------------------------------


def plain_batch_loss(f, s_ema, views, pools, kept, images, *, temperature, weight, reweight):
    count = len(f)
    tokens = count // images
    bar_f = [max(float(row @ other) for other in pools[0]) for row in f]
    bar_s = [max(float(row @ other) for other in pools[1]) for row in s_ema]

    def positive(values, bars, i, j):
        similarity = float(values[i] @ values[j])
        return i != j and (bars[i] < similarity or bars[j] < similarity)

    total = 0.0
    for image, view in itertools.product(range(images), views):
        terms, numbers = [], []
        for local in range(tokens):
            i = image * tokens + local
            agnostic = [positive(f, bar_f, i, j) for j in range(count)]
            specific = [positive(s_ema, bar_s, i, j) for j in range(count)]
            if not any(agnostic):
                continue
            scores = [float(view[i] @ view[j]) / temperature for j in range(count)]
            denominator = sum(
                math.exp(scores[j])
                for j in range(count)
                if (agnostic[j] or kept[local][j]) and i != j
            )
            weights = [agnostic[j] + weight * specific[j] for j in range(count)]
            log_probability = [scores[j] - math.log(denominator) for j in range(count)]
            numbers.append(sum(weights))
            terms.append(
                sum(w * p for w, p in zip(weights, log_probability, strict=True)) / sum(weights)
            )
        ratio = np.array(numbers) / np.mean(numbers) if reweight else np.ones(len(terms))
        total += -(temperature / 0.07) * np.mean(ratio * np.array(terms))
    return total / (images * len(views))


def drawn(seed=0, images=2, tokens=6):
    count = images * tokens
    f, s_ema, z, z_mix = (unit(count, depth, seed=seed + k) for k, depth in enumerate((5, 4, 4, 4)))
    pools = (unit(4, 5, seed=seed + 10), unit(4, 4, seed=seed + 11))
    kept = torch.rand(tokens, count, generator=torch.Generator().manual_seed(seed + 20)) < 0.3
    return f, s_ema, (z, z_mix), pools, kept, images


@pytest.mark.parametrize(
    ("weight", "reweight", "seed"),
    list(itertools.product([0.0, 0.4, 1.0], [False, True], [0, 100])),
)
def test_agrees_with_a_plain_restatement(weight, reweight, seed):
    f, s_ema, views, pools, kept, images = drawn(seed)
    options = {"temperature": 0.6, "weight": weight, "reweight": reweight}
    found = batch_loss(f, s_ema, views, pools, kept, images, **options)
    arrays = [[value.double().numpy() for value in values] for values in ((f, s_ema), views, pools)]
    expected = plain_batch_loss(*arrays[0], arrays[1], arrays[2], kept.numpy(), images, **options)
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("rho", "weight", "reweight"), list(itertools.product(["0.1", "1.0"], [0.0, 0.5], [0, 1]))
)
def test_agrees_with_recorded_official_values(shared, rho, weight, reweight):
    path = shared / "golden" / "hp_loss.safetensors"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    golden = load_file(path)
    found = batch_loss(
        golden["f"],
        golden["s_ema"],
        (golden["z"], golden["z_mix"]),
        (golden["pool_agnostic"], golden["pool_specific"]),
        golden[f"kept_rho{rho}"].bool(),
        3,
        temperature=0.6,
        weight=weight,
        reweight=bool(reweight),
    )
    assert float(found) == pytest.approx(
        float(golden[f"loss_rho{rho}_lambda{weight}_reweight{reweight}"]), rel=1e-5
    )


def test_one_image_with_everything_compared_is_multi_positive_infonce():
    """Khosla et al. 2020, L_out: minus the mean log-probability of the positives among all others,
    times tau / 0.07.
    """
    count, temperature = 10, 0.5
    classes = torch.arange(count) % 3
    positive = (classes[:, None] == classes) & ~torch.eye(count, dtype=torch.bool)
    z = unit(count, 6)
    pairs = Pairs(
        slice(0, count), positive, torch.zeros_like(positive), torch.ones_like(positive), 0.0
    )
    found = contrastive_loss(z, pairs, temperature=temperature, reweight=False)
    scores = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    expected = torch.stack(
        [-scores.log_softmax(1)[i][positive[i]].mean() for i in range(count)]
    ).mean()
    assert float(found) == pytest.approx(float(expected) * temperature / 0.07, rel=1e-6)


def test_anchors_without_positives_are_left_out_and_none_at_all_cost_nothing():
    z = unit(4, 3).requires_grad_()
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    kept = torch.ones(4, 4, dtype=torch.bool)
    loss = contrastive_loss(z, Pairs(slice(0, 4), nothing, nothing, kept, 0.5), temperature=0.5)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert torch.equal(z.grad, torch.zeros(4, 3))
    one = nothing.clone()
    one[1, 2] = True
    alone = contrastive_loss(
        z, Pairs(slice(1, 2), one[1:2], nothing[1:2], kept[1:2], 0.5), temperature=0.5
    )
    among = contrastive_loss(z, Pairs(slice(0, 4), one, nothing, kept, 0.5), temperature=0.5)
    assert float(among.detach()) == pytest.approx(float(alone.detach()))


def test_thousands_of_positives_do_not_overflow():
    """The sum over positives would exceed 65504, the largest float16."""
    z = F.normalize(unit(3000, 3) + 0.02, dim=1)
    positive = ~torch.eye(3000, dtype=torch.bool)
    pairs = Pairs(slice(0, 2), positive[:2], positive[:2], positive[:2], 1.0)
    assert 0 < float(contrastive_loss(z, pairs, temperature=0.01)) < 1e4


def test_hidden_positives_are_symmetric_and_exceed_a_bar():
    tokens, pool = unit(8, 4), unit(3, 4, seed=1)
    bars = reference_similarity(tokens, pool, chunk=3)
    torch.testing.assert_close(bars, (tokens @ pool.T).max(1).values)
    found = torch.cat(
        [hidden_positives(tokens, bars, slice(0, 5)), hidden_positives(tokens, bars, slice(5, 8))]
    )
    assert torch.equal(found, found.T)
    assert not found.diagonal().any()
    for i, j in itertools.permutations(range(8), 2):
        assert bool(found[i, j]) == bool(tokens[i] @ tokens[j] > min(bars[i], bars[j]))


def test_consistency_is_the_pairwise_distance_of_torch():
    first, second = unit(6, 4), unit(6, 4, seed=3)
    assert float(consistency_loss(first, second)) == pytest.approx(
        float(torch.nn.PairwiseDistance()(first, second).mean())
    )
    same = first.clone().requires_grad_()
    consistency_loss(same, first).backward()
    assert torch.isfinite(same.grad).all()


def test_the_weight_of_specific_positives_rises_after_the_warm_up():
    assert [specific_weight(step, 10, 4) for step in (0, 4, 5, 7, 9)] == pytest.approx(
        [0, 0, 1 / 6, 0.5, 5 / 6]
    )
    assert specific_weight(3, 3, 5) == 0.0
