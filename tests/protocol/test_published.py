import pytest

from primaps.protocol.published import PUBLISHED, SOURCE, published


def test_cells_of_the_published_table():
    assert published("baseline", "dino_vits8", "cityscapes") == (61.4, 15.8)
    assert published("em", "dino_vitb8", "cocostuff") == (48.5, 21.9)
    assert published("em", "dino_vitb8", "potsdam", "hp") == (83.3, 71.0)
    assert published("em", "dino_vits8_300ep", "cityscapes", "hp") == (76.6, 19.2)
    assert published("em", "dinov2_vitb14", "cityscapes") == (82.9, 21.3)
    assert "TMLR 2024" in SOURCE


@pytest.mark.parametrize(
    "cell",
    [
        ("em", "mini", "cityscapes"),
        ("em", "dino_vits8", "camvid"),
        ("em", "dino_vits8", "cityscapes", "stego"),
        ("baseline", "dino_vits8", "cityscapes", "hp"),
    ],
)
def test_cells_without_a_published_score(cell):
    assert published(*cell) is None


def test_every_cell_is_a_pair_of_percentages():
    assert len(PUBLISHED) == 30
    assert all(0 < miou < accuracy < 100 for accuracy, miou in PUBLISHED.values())
