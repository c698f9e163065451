import torch
from torch.nn import functional as F

from primaps.features.mini import plain


def test_mean_shift_equals_a_plain_loop_however_it_is_cut(monkeypatch):
    tokens = torch.randn(2, 5, 17, generator=torch.Generator().manual_seed(0))
    expected = tokens.double()
    for _ in range(3):
        rounds = torch.empty_like(expected)
        for image in range(2):
            for i in range(17):
                weights = torch.stack(
                    [
                        torch.exp(
                            (
                                F.cosine_similarity(
                                    expected[image, :, i], expected[image, :, j], dim=0
                                )
                                - 1
                            )
                            / 0.2
                        )
                        for j in range(17)
                    ]
                )
                rounds[image, :, i] = (expected[image] * weights).sum(dim=1) / weights.sum()
        expected = rounds
    cells = tokens[:, :, None]  # 17 cells in a row
    torch.testing.assert_close(
        plain.mean_shift(cells, 3, 0.2)[:, :, 0].double(), expected, rtol=1e-4, atol=1e-5
    )
    monkeypatch.setattr(plain, "_AFFINITY_ENTRIES", 100)
    torch.testing.assert_close(
        plain.mean_shift(cells, 3, 0.2)[:, :, 0].double(), expected, rtol=1e-4, atol=1e-5
    )


def test_triangle_is_the_mean_over_a_cell_of_mean_distance_minus_distance():
    generator = torch.Generator().manual_seed(0)
    patches, centres = (
        torch.randn(1, 4, 2, 6, generator=generator),
        torch.randn(6, 4, generator=generator),
    )
    # (one per centre, 2, 6)
    distances = (
        (patches[0].double()[None] - centres.double()[:, :, None, None]).square().sum(1).sqrt()
    )
    near = (distances.mean(0) - distances).clamp_min(0.0)
    expected = (near[:3] + near[3:]).view(3, 1, 2, 3, 2).mean((2, 4))
    torch.testing.assert_close(
        plain.triangle(patches, centres, 2)[0].double(), expected, rtol=1e-5, atol=1e-6
    )
