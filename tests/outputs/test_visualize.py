"""Colours, painted regions, thumbnails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from primaps.errors import OutputError
from primaps.outputs.visualize import (
    grown,
    outline,
    paint,
    palette,
    resize_labels,
    thumbnail,
)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.fixture
def labels() -> np.ndarray:
    label_map = np.zeros((30, 40), dtype=np.uint8)
    label_map[:, 20:] = 1
    label_map[20:] = 255
    return label_map


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


def tones(photo):
    """The ground, as it is seen where nothing lies over it."""
    return paint(photo, np.zeros(photo.shape[:2], int), palette(1), alpha=0, contours=False)


def test_the_ground_is_grey_in_middle_tones_and_keeps_the_order_of_brightness(photo):
    ground, luma = tones(photo), photo.astype(int) @ (54, 183, 19) // 256
    assert (ground == ground[..., :1]).all()
    assert ground.min() >= 74
    assert ground.max() <= 181
    brighter = np.diff(ground[..., 0].ravel()[np.argsort(luma, axis=None)].astype(int))
    assert brighter.min() >= 0


@pytest.mark.parametrize("lift", [0, 200])
def test_something_is_seen_on_dark_and_on_pale_photographs(photo, lift):
    narrow = (photo // 5 + lift).astype(np.uint8)  # a fifth of all tones
    found = tones(narrow).astype(int)
    assert found.max() - found.min() > 60


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_a_photograph_of_one_tone_stays_as_bright_as_it_is(tone):
    flat = tones(np.full((20, 20, 3), tone, np.uint8))
    np.testing.assert_allclose(flat, 74 + 107 * tone / 255, atol=2)


def test_painting_mixes_middle_tones_and_colours(photo, labels):
    mixed = paint(photo, labels, palette(2), alpha=0.5, contours=False)
    inside = np.s_[:20, :20]
    assert mixed.dtype == np.uint8
    assert np.abs(mixed[inside] - (tones(photo)[inside] + palette(2)[0].astype(int)) / 2).max() <= 1


def test_what_has_no_class_has_no_colour(photo, labels):
    mixed = paint(photo, labels, palette(2), contours=False)
    np.testing.assert_array_equal(mixed[20:], tones(photo)[20:])
    as_proposals = paint(photo, labels, palette(2), ignore=0, contours=False)
    np.testing.assert_array_equal(as_proposals[:20, :20], tones(photo)[:20, :20])


def contrast(first, second):
    """Ratio of relative luminances (WCAG 2.1)."""

    def luminance(colour):
        value = np.asarray(colour) / 255
        linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", [0, 90, 255])
def test_colours_and_lines_are_seen_on_dark_and_on_light_photographs(ground):
    photo = np.full((20, 40, 3), ground, np.uint8)
    colours = palette(40)
    seen = [
        paint(photo, np.full((20, 40), each, np.uint8), colours)[0, 0].astype(int)
        for each in range(40)
    ]
    for first in range(12):
        for second in range(first):
            assert np.abs(seen[first] - seen[second]).sum() > 40
    sides = np.repeat([[0, 1]], 20, axis=1).repeat(20, axis=0)
    for each in range(40):
        drawn = paint(photo, sides, colours[[each, (each + 1) % 40]])
        dark, light = drawn[10, 19], drawn[10, 20]
        assert contrast(light, dark) > 6
        assert max(contrast(drawn[10, 2], light), contrast(drawn[10, 2], dark)) > 3


def test_lines_are_dark_on_one_side_and_light_on_the_other(photo, labels):
    mixed = paint(photo, labels, palette(2))
    assert mixed[5:15, 19].max() <= 38
    assert mixed[5:15, 20].min() >= 242
    assert mixed[19, 3:18].max() <= 38
    assert mixed[20, 3:18].min() >= 242
    halves = np.repeat([0, 1], 600)[None].repeat(9, axis=0)
    wide = paint(np.zeros((9, 1200, 3), np.uint8), halves, palette(2))
    assert [(wide[4, at] <= 38).all() for at in range(597, 601)] == [False, True, True, False]
    assert [(wide[4, at] >= 242).all() for at in range(599, 603)] == [False, True, True, False]
    flat = paint(photo, labels, palette(2), contours=False)
    assert not (flat[5:15, 19] <= 38).all()


def test_extremes_of_opacity(photo):
    flat = np.ones(photo.shape[:2], dtype=np.int32)
    np.testing.assert_array_equal(paint(photo, flat, palette(2), alpha=0.0), tones(photo))
    assert (paint(photo, flat, palette(2), alpha=1.0) == palette(2)[1]).all()


def test_painting_reuses_colours_beyond_the_palette(photo):
    many = np.full(photo.shape[:2], 255 + 3, dtype=np.int32)
    few = np.full(photo.shape[:2], 3, dtype=np.int32)
    np.testing.assert_array_equal(paint(photo, many, palette(255)), paint(photo, few, palette(255)))


def test_outlined_regions_keep_the_colours_of_the_photograph(photo, labels):
    drawn = outline(photo, labels)
    np.testing.assert_array_equal(drawn[2:18, 22:38], photo[2:18, 22:38])
    np.testing.assert_array_equal(drawn[2:18, 2:17], tones(photo)[2:18, 2:17])
    assert drawn[5:15, 19].max() <= 38
    assert drawn[5:15, 20].min() >= 242
    plain = outline(photo, labels, contours=False)
    np.testing.assert_array_equal(plain[:, 20:], photo[:, 20:])


def test_painting_does_not_write_to_its_inputs(photo, labels):
    before = photo.copy(), labels.copy()
    paint(photo, labels, palette(2))
    outline(photo, labels)
    np.testing.assert_array_equal(photo, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_painting_names_what_does_not_fit(photo, labels):
    for draw in (lambda *given: paint(*given, palette(2)), outline):
        with pytest.raises(OutputError, match=r"size of the image, \(30, 40\), but got \(15, 40\)"):
            draw(photo, labels[::2])
        with pytest.raises(
            OutputError,
            match=r"\(H, W, 3\) uint8 RGB, but got shape \(30, 40, 3\) and dtype float64",
        ):
            draw(photo / 255, labels)
        with pytest.raises(OutputError, match=r"whole numbers, but got .* dtype float64"):
            draw(photo, labels.astype(float))
        with pytest.raises(OutputError, match="ids of 0 or more, but got -1"):
            draw(photo, labels.astype(int) * 0 - 1)
    with pytest.raises(OutputError, match="opacity"):
        paint(photo, labels, palette(2), alpha=1.5)
    with pytest.raises(OutputError, match="at least one colour"):
        paint(photo, labels, palette(0))


def test_growing_a_mask_takes_a_square_around_every_pixel():
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = mask[0, 8] = True
    found = grown(mask, 2)
    assert found.sum() == 25 + 9 - 1
    assert found[2:7, 2:7].all()
    np.testing.assert_array_equal(grown(mask, 0), mask)


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
