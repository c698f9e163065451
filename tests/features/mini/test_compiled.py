import pytest
import torch

from primaps.features.mini import compiled, plain


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("cut", [(128, 4096), (3, 8), (7, 5)])
@pytest.mark.parametrize("size", [(1, 1), (1, 17), (9, 15), (16, 16)])
def test_mean_shift_equals_the_plain_one_however_it_is_cut(monkeypatch, cut, size):
    monkeypatch.setattr(compiled, "_ROWS", cut[0])
    monkeypatch.setattr(compiled, "_COLUMNS", cut[1])
    cells = normal(2, 6, *size)
    before = cells.clone()
    expected = plain.mean_shift(cells.double(), 3, 0.2)
    torch.testing.assert_close(
        compiled.mean_shift(cells, 3, 0.2).double(), expected, rtol=1e-5, atol=1e-5
    )
    assert torch.equal(cells, before)


def test_mean_shift_of_part_of_the_channels():
    cells = normal(2, 9, 4, 5)[:, :6]  # not contiguous
    expected = plain.mean_shift(cells.double(), 2, 0.07)
    torch.testing.assert_close(
        compiled.mean_shift(cells, 2, 0.07).double(), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("at_once", [256, 1, 10])
@pytest.mark.parametrize(("per_cell", "size"), [(1, (3, 5)), (2, (6, 8)), (2, (2, 2)), (3, (6, 9))])
def test_triangles_equal_the_plain_ones(monkeypatch, at_once, per_cell, size):
    monkeypatch.setattr(compiled, "_PATCHES", at_once)
    patches, centres = normal(2, 5, *size), normal(32, 5, seed=1)
    patches[0, :, 0, 0] = centres[3]  # rounding must not make a squared distance negative
    found = compiled.triangle(patches, centres, per_cell)
    expected = plain.triangle(patches.double(), centres.double(), per_cell)
    assert found.shape == expected.shape
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-3)
    assert float((found - expected).abs().median()) < 1e-6


@pytest.mark.parametrize(("size", "number"), [((4, 4), 24), ((3, 4), 32), ((4, 3), 32)])
def test_triangles_of_parts_of_vectors_or_cells_are_refused(size, number):
    with pytest.raises(ValueError, match="a multiple of 16 centres and whole cells"):
        compiled.triangle(normal(1, 5, *size), normal(number, 5), 2)
