import dataclasses

import pytest
import torch

from primaps.heads.neighbours import nearest_neighbours
from primaps.heads.settings import stego_preset
from primaps.heads.stego import StegoTask
from primaps.heads.stego_loss import Switches, correspondence_terms, draw_permutation
from primaps.heads.training import Draw, batch_of, generator, train_head

CPU = torch.device("cpu")


@pytest.fixture
def config():
    return dataclasses.replace(
        stego_preset("default"),
        dim=6,
        samples=4,
        batch_size=5,
        num_neighbours=3,
        learning_rate=5e-3,
    )


def make(crops, config, seed=0):
    return StegoTask(crops, nearest_neighbours(crops.descriptors(), 30), 3, config, seed, CPU)


def test_the_loss_falls_and_clusters_are_the_kinds_of_tokens(crops, config):
    # More centres than kinds: one that starts far from all codes never owns any.
    task = StegoTask(crops, nearest_neighbours(crops.descriptors(), 30), 6, config, 0, CPU)
    history = train_head(task, 150, seed=0)
    total = [sum(terms) for terms in zip(*history.values(), strict=True)]
    assert sum(total[-40:]) < sum(total[:40])
    assert sum(history["clusters"][-40:]) < sum(history["clusters"][:40])
    with torch.no_grad():
        found = task.clusters(task.head(crops.all)).argmax(1)
    agreement = sum(
        int(torch.bincount(crops.kinds[found == cluster]).max()) for cluster in found.unique()
    )
    assert agreement / crops.kinds.numel() > 0.8


def test_partners_are_drawn_from_the_nearest_neighbours(crops, config):
    task = make(crops, config)
    for step in range(6):
        crops.asked.clear()
        task.losses(step)
        batch, partners = crops.asked
        assert list(batch) == batch_of(step, 12, 5, 2, 0)
        assert all(
            partner in task.neighbours[index, :3]
            for index, partner in zip(batch, partners, strict=True)
        )


def test_a_step_depends_on_seed_and_number_alone(crops, config):
    def terms(task, step):
        torch.manual_seed(step)
        return {name: float(value.detach()) for name, value in task.losses(step).items()}

    later = make(crops, config)
    terms(later, 0)
    assert terms(later, 3) == terms(make(crops, config), 3)
    assert terms(make(crops, config), 3) != terms(make(crops, config), 4)
    assert terms(make(crops, config), 3) != terms(make(crops, config, seed=1), 3)


def test_the_terms_are_the_weighted_ones_of_the_correspondence_loss(crops, config):
    """Without dropout, with the whole weight on one term at a time."""
    base = dataclasses.replace(config, dropout=0.0)
    for name, weight in (
        ("self", "weight_self"),
        ("neighbour", "weight_neighbour"),
        ("random", "weight_random"),
    ):
        single = make(crops, dataclasses.replace(base, **{weight: 1.0})).losses(2)[name]
        double = make(crops, dataclasses.replace(base, **{weight: 2.0})).losses(2)[name]
        assert float(double.detach()) == pytest.approx(2 * float(single.detach()))


@pytest.mark.parametrize("step", [0, 5])
def test_a_step_is_the_correspondence_loss_of_what_was_drawn(crops, config, step):
    """Without dropout, with coordinates, permutations and partners drawn here."""
    switches = Switches(0.2, 0.1, 0.4, pointwise=True, zero_clamp=True)
    weights = {"weight_self": 0.7, "weight_neighbour": 0.3, "weight_random": 0.6}
    config = dataclasses.replace(config, dropout=0.0, negatives=2, switches=switches, **weights)
    task = make(crops, config, seed=3)

    found = task.losses(step)

    draws = generator(3, Draw.STEP, step)
    batch = batch_of(step, 12, 5, 2, 3)
    ranks = torch.randint(3, (len(batch),), generator=draws).tolist()
    nearest = nearest_neighbours(crops.descriptors(), 3)
    partners = [int(nearest[index, rank]) for index, rank in zip(batch, ranks, strict=True)]
    here, there = (torch.rand(len(batch), 4, 4, 2, generator=draws) * 2 - 1 for _ in range(2))
    orders = torch.stack([draw_permutation(len(batch), draws) for _ in range(2)])
    plain, positive = (
        (crops.all[indices], task.head(crops.all[indices])) for indices in (batch, partners)
    )
    terms = correspondence_terms(plain, positive, (here, there), orders, switches)
    torch.testing.assert_close(found["self"], 0.7 * terms.itself)
    torch.testing.assert_close(found["neighbour"], 0.3 * terms.neighbour)
    torch.testing.assert_close(found["random"], 0.6 * terms.random)
    torch.testing.assert_close(found["clusters"], task.clusters.loss(plain[1]))
    assert (
        len(
            {
                round(float(value.detach()), 6)
                for value in (terms.itself, terms.neighbour, terms.random)
            }
        )
        == 3
    )


def test_cluster_centres_do_not_move_the_head(crops, config):
    task = make(crops, config)
    loss = task.clusters.loss(task.head(crops.all))
    loss.backward()
    assert task.head.linear.weight.grad is None
    assert task.clusters.centres.grad.any()
    code = torch.randn(2, 6, 3, 4)
    cosines = torch.cosine_similarity(
        task.clusters.centres[None, :, :, None], code.flatten(2)[:, None], dim=2
    )
    torch.testing.assert_close(task.clusters(code).flatten(2), cosines)
    torch.testing.assert_close(task.clusters.loss(code), -cosines.max(1).values.mean())


def test_resumes_with_the_same_bytes(crops, config, memory_checkpoint):
    kept, undisturbed = memory_checkpoint(), make(crops, config)
    train_head(undisturbed, 7, seed=0, checkpoint=kept, checkpoint_every=3)
    for state in kept.saved:
        resumed = make(crops, config)
        train_head(resumed, 7, seed=0, checkpoint=memory_checkpoint(state))
        for name, value in resumed.modules.state_dict().items():
            assert torch.equal(value, undisturbed.modules.state_dict()[name]), name
