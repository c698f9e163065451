import dataclasses

import pytest
import torch
from torch import nn

from primaps.features.heads import hp
from primaps.features.heads.hp import HPTask, Pools, draw_pool, update_momentum
from primaps.features.heads.settings import hp_preset
from primaps.features.heads.training import train_head

CPU = torch.device("cpu")


@pytest.fixture
def config():
    return dataclasses.replace(
        hp_preset("default"), dim=6, pool_size=20, batch_size=4, warmup=3, renew_every=4, steps=40, learning_rate=2e-3
    )


def test_losses_fall(crops, config):
    config = config.with_steps(100)
    history = train_head(HPTask(crops, 3, config, 0, CPU), 100, seed=0)
    assert history.keys() == {"contrastive", "clusters", "consistency"}
    for name in ("contrastive", "clusters"):
        assert sum(history[name][-30:]) < sum(history[name][:30]), name


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
    history = train_head(HPTask(crops, 3, dataclasses.replace(config, consistency_weight=0.0), 0, CPU), 2, seed=0)
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
