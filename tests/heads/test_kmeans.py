import pytest
import torch
from torch.nn import functional as F

from primaps.heads.kmeans import spherical_kmeans


def test_spherical_kmeans_improves_on_its_start_and_finds_directions():
    generator = torch.Generator().manual_seed(0)
    directions = F.normalize(torch.randn(4, 16, generator=generator), dim=1)
    unit = F.normalize(
        directions.repeat_interleave(100, 0) + 0.05 * torch.randn(400, 16, generator=generator),
        dim=1,
    )
    centres, objective = spherical_kmeans(unit, 4, generator)
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(4))
    assert (directions @ centres.T).amax(dim=1).min() > 0.99
    assert objective == pytest.approx(float((unit @ centres.T).amax(dim=1).mean()))
