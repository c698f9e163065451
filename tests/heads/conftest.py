"""Training crops held in memory."""

import pytest
import torch


class MemoryCrops:
    """Tokens of a few kinds, in patches that differ from crop to crop: something that a head can
    learn.
    """

    def __init__(self, count=12, dim=10, grid=(5, 6), kinds=3):
        generator = torch.Generator().manual_seed(7)
        # Kinds without resemblance: STEGO joins what resembles each other by more than its shift.
        centres = torch.linalg.qr(torch.randn(dim, kinds, generator=generator)).Q.T * 6
        coarse = torch.randint(kinds, (count, 2, 2), generator=generator).float()
        self.kinds = torch.nn.functional.interpolate(coarse[:, None], grid, mode="nearest")[
            :, 0
        ].long()
        self.all = (
            centres[self.kinds].permute(0, 3, 1, 2)
            + torch.randn(count, dim, *grid, generator=generator) * 0.7
        )
        self.dim = dim
        self.asked = []

    def __len__(self):
        return len(self.all)

    def features(self, indices):
        self.asked.append(tuple(indices))
        return self.all[list(indices)]

    def augmented(self, indices, generator):
        features = self.all[list(indices)]
        return features + 0.1 * torch.randn(features.shape, generator=generator)

    def local_weights(self, indices):
        return torch.full((len(indices), 9, *self.all.shape[2:]), 1 / 9)

    def descriptors(self):
        return torch.nn.functional.normalize(self.all.mean((2, 3)), dim=1)


@pytest.fixture
def crops():
    return MemoryCrops()


class MemoryCheckpoint:
    """Keeps the states that were saved; `last` of them is loaded."""

    def __init__(self, state=None):
        self.state = state
        self.saved = []

    def load(self):
        return self.state

    def save(self, state):
        self.saved.append(state)


@pytest.fixture
def memory_checkpoint():
    return MemoryCheckpoint
