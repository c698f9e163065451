import copy
import dataclasses

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from primaps.heads import hp
from primaps.heads.hp import HPTask, Pools, draw_pool, update_momentum
from primaps.heads.hp_loss import Pairs, contrastive_loss
from primaps.heads.settings import hp_preset
from primaps.heads.training import Draw, batch_of, generator, train_head

CPU = torch.device("cpu")


@pytest.fixture
def config():
    return dataclasses.replace(
        hp_preset("default"),
        dim=6,
        pool_size=20,
        batch_size=4,
        warmup=3,
        renew_every=4,
        steps=40,
        learning_rate=2e-3,
    )


def test_losses_fall(crops, config):
    config = config.with_steps(100)
    history = train_head(HPTask(crops, 3, config, 0, CPU), 100, seed=0)
    assert history.keys() == {"contrastive", "clusters", "consistency"}
    for name in ("contrastive", "clusters"):
        assert sum(history[name][-30:]) < sum(history[name][:30]), name


class Fixed(nn.Module):
    """A head without parameters whose codes are given."""

    def __init__(self, code):
        super().__init__()
        self.code = code

    def forward(self, features):
        return self.code


def as_maps(rows, images):
    """(N, C) tokens of images as (images, C, 1, N / images)."""
    return rows.reshape(images, 1, -1, rows.shape[1]).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("rho", "weight"), [("0.1", "0.0"), ("0.1", "0.5"), ("1.0", "0.0"), ("1.0", "0.5")]
)
def test_a_step_agrees_with_recorded_official_values(
    crops, config, shared, monkeypatch, rho, weight
):
    path = shared / "golden" / "hp_loss.safetensors"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    golden = load_file(path)
    task = HPTask(
        crops,
        3,
        dataclasses.replace(config, dropout=0.0, warmup=0, steps=10, kept=0.3, temperature=0.6),
        0,
        CPU,
    )
    task.momentum_head = Fixed(as_maps(golden["s_ema"], 3) * 2)
    task.pools.agnostic, task.pools.specific = golden["pool_agnostic"], golden["pool_specific"]
    kept = golden[f"kept_rho{rho}"].bool()
    monkeypatch.setattr(
        torch, "rand", lambda *shape, **_: torch.where(kept, 0.2999, 0.3).reshape(shape)
    )
    step = {"0.0": 0, "0.5": 5}[weight]
    found = task._contrastive(step, as_maps(golden["f"], 3) * 3, (golden["z"], golden["z_mix"]))
    assert float(found) == pytest.approx(
        float(golden[f"loss_rho{rho}_lambda{weight}_reweight1"]), rel=1e-5
    )


def test_a_step_is_put_together_from_the_losses(crops, config):
    """Without dropout, with all tokens compared and uniform local weights, which make mixed codes
    means of 3 x 3.
    """
    config = dataclasses.replace(
        config, dropout=0.0, kept=1.0, momentum=0.6, consistency_weight=0.3
    )
    task = HPTask(crops, 3, config, 5, CPU)
    with torch.no_grad():
        task.head.linear.weight += torch.randn(task.head.linear.weight.shape)
        task.pools.specific.copy_(F.normalize(torch.randn(20, 6), dim=1))
    momentum_head = copy.deepcopy(task.momentum_head)
    hp.update_momentum(momentum_head, task.head, 0.6)
    step = 7  # the pools are not renewed

    found = task.losses(step)

    def tokens(maps):
        return F.normalize(maps.movedim(1, -1).reshape(-1, maps.shape[1]), dim=1)

    def embedded(code):
        return tokens(F.conv2d(code, task.embedding.weight[:, :, None, None], task.embedding.bias))

    batch = batch_of(step, 12, 4, 4, 5)
    features = crops.all[batch]
    code = task.head(features)
    views = [embedded(code), embedded(F.avg_pool2d(code, 3, 1, 1))]
    kinds = []
    for values, pool in (
        (tokens(features), task.pools.agnostic),
        (tokens(momentum_head(features)), task.pools.specific),
    ):
        bars = (values @ pool.T).max(1).values
        similarity = values @ values.T
        kinds.append(
            ((similarity > bars[:, None]) | (similarity > bars)).fill_diagonal_(fill_value=False)
        )
    assert all(0.02 < float(kind.float().mean()) < 0.98 for kind in kinds)
    terms = []
    for image in range(4):
        rows = slice(30 * image, 30 * image + 30)
        pairs = Pairs(
            rows, kinds[0][rows], kinds[1][rows], torch.ones(30, 120, dtype=torch.bool), 4 / 37
        )
        terms += [contrastive_loss(view, pairs, temperature=config.temperature) for view in views]
    torch.testing.assert_close(found["contrastive"], torch.stack(terms).mean())
    augmented = crops.augmented(batch, generator(5, Draw.STEP, step))
    distance = nn.PairwiseDistance()(views[0], embedded(task.head(augmented)))
    torch.testing.assert_close(found["consistency"], 0.3 * distance.mean())
    torch.testing.assert_close(found["clusters"], task.clusters.loss(code))


def test_the_momentum_head_follows_before_the_step(crops, config):
    task = HPTask(crops, 3, config, 0, CPU)
    before = task.momentum_head.linear.weight.clone()
    assert torch.equal(before, task.head.linear.weight)
    train_head(task, 1, seed=0)
    assert torch.equal(task.momentum_head.linear.weight, before)  # the head had not moved yet
    moved = task.head.linear.weight.detach().clone()
    train_head(task, 1, seed=0)
    expected = config.momentum * before + (1 - config.momentum) * moved
    torch.testing.assert_close(task.momentum_head.linear.weight, expected)
    assert not any(parameter.requires_grad for parameter in task.momentum_head.parameters())


def test_update_momentum_at_its_ends():
    follower, leader = nn.Linear(2, 2), nn.Linear(2, 2)
    own = follower.weight.detach().clone()
    update_momentum(follower, leader, 1.0)
    assert torch.equal(follower.weight, own)
    update_momentum(follower, leader, 0.0)
    assert torch.equal(follower.weight, leader.weight)


def test_the_pool_of_momentum_codes_is_renewed_now_and_then(crops, config):
    task = HPTask(crops, 3, config, 0, CPU)
    seen = []
    task.pools.renew = seen.append
    train_head(task, 9, seed=0)
    assert len(seen) == 3  # steps 0, 4, 8


def test_pools_are_unit_codes_of_single_tokens(crops):
    raw = draw_pool(crops, 20, seed=0)
    pools = Pools(raw, 4, dropout=0.0)
    head = nn.Conv2d(10, 4, 1)
    pools.renew(head)
    torch.testing.assert_close(pools.agnostic, raw / raw.norm(dim=1, keepdim=True))
    expected = head(raw[:, :, None, None])[:, :, 0, 0].detach()
    torch.testing.assert_close(pools.specific, expected / expected.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("size", [5, 12, 30, 200])
def test_pool_tokens_come_from_all_crops_evenly(crops, size):
    pool = draw_pool(crops, size, seed=3)
    assert pool.shape == (size, 10)
    tokens = crops.all.flatten(2)
    origin = [int((token[None, :, None] == tokens).all(1).any(1).nonzero()[0]) for token in pool]
    numbers = torch.bincount(torch.tensor(origin), minlength=12)
    assert numbers.max() - numbers.min() <= 1
    assert torch.equal(pool, draw_pool(crops, size, seed=3))
    assert not torch.equal(pool, draw_pool(crops, size, seed=4))


def test_recomputing_similarities_changes_nothing(crops, config, monkeypatch):
    results = []
    for limit in (2**40, 0):
        monkeypatch.setattr(hp, "RECOMPUTE_FROM", limit)
        task = HPTask(crops, 3, config, 0, CPU)
        train_head(task, 3, seed=0)
        results.append(task.head.linear.weight.detach())
    torch.testing.assert_close(*results, atol=1e-6, rtol=1e-5)


def test_no_augmented_images_without_their_loss(crops, config):
    def refuse(indices, generator):
        raise AssertionError("not asked for")

    crops.augmented = refuse
    history = train_head(
        HPTask(crops, 3, dataclasses.replace(config, consistency_weight=0.0), 0, CPU), 2, seed=0
    )
    assert "consistency" not in history


def test_resumes_with_the_same_bytes(crops, config, memory_checkpoint):
    kept, undisturbed = memory_checkpoint(), HPTask(crops, 3, config, 0, CPU)
    train_head(undisturbed, 11, seed=0, checkpoint=kept, checkpoint_every=3)
    assert len(kept.saved) == 3
    for state in kept.saved:
        resumed = HPTask(crops, 3, config, 0, CPU)
        train_head(resumed, 11, seed=0, checkpoint=memory_checkpoint(state))
        for name, value in resumed.modules.state_dict().items():
            assert torch.equal(value, undisturbed.modules.state_dict()[name]), name
