"""Colours, overlays, thumbnails and the notebook figure."""

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib import pyplot as plt

from primaps.errors import OutputError
from primaps.outputs.visualize import boundaries, overlay, palette, resize_labels, show, thumbnail
from primaps.types import MaskProposals


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.fixture
def labels() -> np.ndarray:
    label_map = np.zeros((30, 40), dtype=np.uint8)
    label_map[:, 20:] = 1
    label_map[20:] = 255
    return label_map


@pytest.fixture(autouse=True)
def _no_window():
    mpl.use("agg")
    yield
    plt.close("all")


def test_palette_colour_of_an_id_does_not_depend_on_the_number_of_ids():
    whole = palette(255)
    assert whole.shape == (255, 3)
    assert whole.dtype == np.uint8
    for num in (0, 1, 12, 27, 254):
        np.testing.assert_array_equal(palette(num), whole[:num])


def test_palette_is_pinned():
    # Label files written by one release keep their colours in the next; 12 is the first colour that
    # is computed.
    assert palette(14)[[0, 1, 11, 12, 13]].tolist() == [
        [230, 25, 75],
        [60, 140, 255],
        [255, 179, 167],
        [135, 0, 105],
        [0, 90, 0],
    ]


def test_palette_colours_are_distinct_and_none_is_grey():
    colours = palette(255).astype(int)
    gaps = np.abs(colours[:, None] - colours[None]).sum(axis=-1)
    np.fill_diagonal(gaps, 999)
    assert gaps.min() >= 15
    assert gaps[:27, :27].min() >= 60
    assert (colours.max(axis=1) - colours.min(axis=1)).min() >= 20


def test_palette_copy_cannot_spoil_the_table():
    palette(3)[:] = 0
    assert palette(3).any()


@pytest.mark.parametrize("num", [-1, 256])
def test_palette_rejects_impossible_numbers(num):
    with pytest.raises(OutputError, match=f"between 0 and 255, but got {num}"):
        palette(num)


def test_overlay_mixes_photo_and_colour(photo, labels):
    mixed = overlay(photo, labels, palette(2), alpha=0.5)
    inside = np.s_[2:18, 2:18]
    expected = photo[inside] / 2 + palette(2)[0] / 2
    assert mixed.dtype == np.uint8
    assert np.abs(mixed[inside] - expected).max() <= 1


def test_overlay_leaves_ignored_pixels_untouched(photo, labels):
    mixed = overlay(photo, labels, palette(2))
    np.testing.assert_array_equal(mixed[21:], photo[21:])
    as_proposals = overlay(photo, labels, palette(2), ignore=0)
    np.testing.assert_array_equal(as_proposals[:19, :19], photo[:19, :19])


def test_overlay_draws_a_light_line_between_regions(photo, labels):
    mixed = overlay(photo, labels, palette(2))
    assert mixed[5:15, 19].min() >= 191
    assert mixed[19, 3:18].min() >= 191


def test_overlay_extremes_of_alpha(photo):
    flat = np.ones(photo.shape[:2], dtype=np.int32)
    np.testing.assert_array_equal(overlay(photo, flat, palette(2), alpha=0.0), photo)
    assert (overlay(photo, flat, palette(2), alpha=1.0) == palette(2)[1]).all()


def test_overlay_reuses_colours_beyond_the_palette(photo):
    many = np.full(photo.shape[:2], 255 + 3, dtype=np.int32)
    few = np.full(photo.shape[:2], 3, dtype=np.int32)
    np.testing.assert_array_equal(
        overlay(photo, many, palette(255)), overlay(photo, few, palette(255))
    )


def test_overlay_does_not_write_to_its_inputs(photo, labels):
    before = photo.copy(), labels.copy()
    overlay(photo, labels, palette(2))
    np.testing.assert_array_equal(photo, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_overlay_names_what_does_not_fit(photo, labels):
    with pytest.raises(OutputError, match=r"size of the image, \(30, 40\), but got \(15, 40\)"):
        overlay(photo, labels[::2], palette(2))
    with pytest.raises(
        OutputError, match=r"\(H, W, 3\) uint8 RGB, but got shape \(30, 40, 3\) and dtype float64"
    ):
        overlay(photo / 255, labels, palette(2))
    with pytest.raises(OutputError, match=r"whole numbers, but got .* dtype float64"):
        overlay(photo, labels.astype(float), palette(2))
    with pytest.raises(OutputError, match="ids of 0 or more, but got -1"):
        overlay(photo, labels.astype(int) * 0 - 1, palette(2))
    with pytest.raises(OutputError, match="opacity"):
        overlay(photo, labels, palette(2), alpha=1.5)
    with pytest.raises(OutputError, match="at least one colour"):
        overlay(photo, labels, palette(0))


def _boundaries_reference(labels: np.ndarray) -> np.ndarray:
    height, width = labels.shape
    return np.array(
        [
            [
                (x + 1 < width and labels[y, x] != labels[y, x + 1])
                or (y + 1 < height and labels[y, x] != labels[y + 1, x])
                for x in range(width)
            ]
            for y in range(height)
        ]
    )


@given(
    hnp.arrays(
        np.int32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 2)
    )
)
def test_boundaries_match_a_plain_loop(labels):
    np.testing.assert_array_equal(boundaries(labels), _boundaries_reference(labels))


@given(
    hnp.arrays(
        np.int32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.integers(0, 70000),
    ),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_resize_labels_invents_no_ids(labels, size):
    resized = resize_labels(labels, size)
    assert resized.shape == size
    assert resized.dtype == labels.dtype
    assert set(np.unique(resized)) <= set(np.unique(labels))
    np.testing.assert_array_equal(resize_labels(labels, labels.shape), labels)


def test_resize_labels_undoes_enlargement():
    labels = np.arange(12).reshape(3, 4)
    large = np.kron(labels, np.ones((5, 7), dtype=int))
    np.testing.assert_array_equal(resize_labels(large, (3, 4)), labels)
    np.testing.assert_array_equal(resize_labels(labels, (15, 28)), large)


@pytest.mark.parametrize(
    ("shape", "expected"), [((300, 400), (75, 100)), ((400, 300), (100, 75)), ((5000, 3), (100, 1))]
)
def test_thumbnail_keeps_the_aspect_ratio(shape, expected):
    assert thumbnail(np.zeros((*shape, 3), dtype=np.uint8), 100).shape == (*expected, 3)


def test_thumbnail_never_enlarges_and_averages(photo):
    np.testing.assert_array_equal(thumbnail(photo, 1000), photo)
    assert thumbnail(photo, 1000) is not photo
    stripes = np.zeros((200, 200, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    assert abs(int(thumbnail(stripes, 20).mean()) - 127) <= 3


def test_thumbnail_takes_crops_that_are_not_contiguous(photo):
    assert thumbnail(photo[::-1, 5:25], 10).shape == (10, 7, 3)


def test_thumbnail_rejects_nonsense(photo):
    with pytest.raises(OutputError, match="max_side"):
        thumbnail(photo, 0)
    with pytest.raises(OutputError, match=r"\(H, W, 3\)"):
        thumbnail(photo[..., 0], 10)


def test_show_proposals_side_by_side(photo):
    label_image = np.zeros((30, 40), dtype=np.int32)
    label_image[:15] = 1
    figure = show(photo, MaskProposals(label_image, np.array([0.5], dtype=np.float32)))
    left, right = figure.axes
    np.testing.assert_array_equal(left.images[0].get_array(), photo)
    np.testing.assert_array_equal(right.images[0].get_array()[15:], photo[15:])
    assert right.get_title() == "1 mask proposals, 50% of the pixels"
    figure.canvas.draw()


def test_show_label_map_leaves_255_unpainted(photo, labels):
    right = show(photo, labels).axes[1]
    np.testing.assert_array_equal(right.images[0].get_array(), overlay(photo, labels, palette(255)))
    assert right.get_title() == "label map, 2 classes"


def test_show_draws_into_given_axes_only(photo, labels):
    figure, grid = plt.subplots(1, 3)
    assert show(photo, labels, ax=grid[1]) is figure
    assert [len(ax.images) for ax in grid] == [0, 1, 0]
    assert len(plt.get_fignums()) == 1


def test_show_never_opens_a_window(photo, labels, monkeypatch):
    def fail(*args, **kwargs):
        pytest.fail("plt.show was called")

    monkeypatch.setattr(plt, "show", fail)
    assert len(show(photo, labels).axes) == 2
