import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from primaps.errors import BackboneError, ConfigError
from primaps.features.levels import (
    LAST,
    MAX_WEIGHT,
    Level,
    OfferedLevel,
    choose_levels,
    input_multiple,
    join_levels,
    levels_text,
    offered_levels,
    parse_levels,
    refuse_levels,
)

OFFERED = {
    stride: OfferedLevel(index, 10 * stride) for index, stride in enumerate((2, 4, 8, 16, 32))
}

weights = st.floats(min_value=0.0, max_value=MAX_WEIGHT, exclude_min=True)
levels = st.dictionaries(st.integers(1, 512), weights, min_size=1, max_size=6).map(
    lambda chosen: tuple(sorted(Level(stride, weight) for stride, weight in chosen.items()))
)


def maps(levels, size, channels=4):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, channels, size[0] // one.stride, size[1] // one.stride, generator=generator)
        for one in levels
    ]


# ---- the text form -------------------------------------------------------------------------------


@given(levels)
def test_the_text_form_is_read_back(chosen):
    assert parse_levels(levels_text(chosen)) == chosen


def test_levels_come_finest_first():
    assert parse_levels(" 32, 8:0.5 ,16 ") == (Level(8, 0.5), Level(16), Level(32))
    assert levels_text(parse_levels("32:2.0,8:0.5,16:1")) == "8:0.5,16,32:2"


@pytest.mark.parametrize("text", ["", "a", "8,", "8;16", "8:", "8:x", "8.0", "8:1:2", "last,8"])
def test_another_form_is_refused(text):
    with pytest.raises(
        ConfigError,
        match=r"Expected levels to be strides with commas between.*8:0\.5,16,32, or last, but got",
    ):
        parse_levels(text)


@pytest.mark.parametrize("text", ["0", "-8", "8:0", "8:-1", "8:nan", "8:inf", "8,16:1001"])
def test_values_out_of_range_are_refused(text):
    with pytest.raises(
        ConfigError, match="strides from 1 on and weights above 0, up to 1000, but got"
    ):
        parse_levels(text)


def test_a_stride_counts_once():
    with pytest.raises(ConfigError, match="every stride once, but got '8,16,8:2'"):
        parse_levels("8,16,8:2")


# ---- which levels --------------------------------------------------------------------------------


def test_by_default_the_three_usual_strides_as_far_as_there_are():
    assert choose_levels(None, OFFERED, "x") == (Level(8), Level(16), Level(32))
    two = {stride: OFFERED[stride] for stride in (4, 8, 16)}
    assert choose_levels(None, two, "x") == (Level(8), Level(16))
    assert choose_levels(LAST, OFFERED, "x") == ()
    assert choose_levels("4:2,32", OFFERED, "x") == (Level(4, 2.0), Level(32))


def test_a_level_that_is_not_there_is_told():
    with pytest.raises(
        ConfigError,
        match="levels that 'x' has, with strides 2, 4, 8, 16, 32, but got 12, 64 in '64,8,12'",
    ):
        choose_levels("64,8,12", OFFERED, "x")


def test_one_stride_leaves_no_choice():
    plain = {16: OfferedLevel(11, 192)}
    assert choose_levels(None, plain, "x") == choose_levels(LAST, plain, "x") == ()
    refuse_levels(None, "x")
    for text in ("16", "8,16"):
        with pytest.raises(
            ConfigError, match=f"Expected no levels with 'x', .* but got '{text}'. Leave them out."
        ):
            choose_levels(text, plain, "x")


def test_of_levels_with_one_stride_the_last_counts():
    info = [
        {"reduction": stride, "num_chs": channels}
        for stride, channels in ((8, 1), (16, 2), (16, 3), (16, 4))
    ]
    assert offered_levels(info) == {8: OfferedLevel(0, 1), 16: OfferedLevel(3, 4)}


@pytest.mark.parametrize(
    ("text", "multiple"), [("8", 8), ("8,16,32", 32), ("4,16", 16), ("4,6", 12)]
)
def test_inputs_are_multiples_of_all_strides(text, multiple):
    assert input_multiple(parse_levels(text)) == multiple


# ---- joining -------------------------------------------------------------------------------------


def test_a_weight_is_the_length_of_the_vectors_of_a_level():
    chosen = (Level(8, 0.5), Level(16), Level(32, 2.0))
    joined = join_levels(maps(chosen, (64, 96)), chosen, (64, 96), "x")
    assert joined.shape == (2, 12, 8, 12)
    lengths = [joined[:, start : start + 4].norm(dim=1) for start in (0, 4, 8)]
    torch.testing.assert_close(lengths[0], torch.full_like(lengths[0], 0.5))
    assert float(lengths[1].max()) <= 1.0 + 1e-6
    assert float(lengths[2].max()) <= 2.0 + 1e-6


def test_levels_lie_exactly_on_each_other():
    chosen = (Level(8), Level(32))
    fine, coarse = maps(chosen, (64, 96))
    joined = join_levels([fine, coarse], chosen, (64, 96), "x")[:, 4:]
    expected = F.interpolate(
        F.normalize(coarse, dim=1), scale_factor=4.0, mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(joined, expected)
    mirrored = join_levels([fine.flip(-1), coarse.flip(-1)], chosen, (64, 96), "x")
    torch.testing.assert_close(mirrored[:, 4:].flip(-1), joined)


def test_a_single_level_is_only_normalised():
    (values,) = maps([Level(16)], (64, 96))
    torch.testing.assert_close(
        join_levels([values], (Level(16),), (64, 96), "x"), F.normalize(values, dim=1)
    )


def test_scale_of_a_level_does_not_matter():
    chosen = (Level(8), Level(16))
    first, second = maps(chosen, (32, 32))
    torch.testing.assert_close(
        join_levels([first, second], chosen, (32, 32), "x"),
        join_levels([1e3 * first, 1e-3 * second], chosen, (32, 32), "x"),
    )


def test_a_map_of_another_size_is_refused():
    with pytest.raises(
        BackboneError, match="level of stride 8 of 'x' to have 4 x 8 cells, but got 4 x 7"
    ):
        join_levels([torch.zeros(1, 2, 4, 7)], (Level(8),), (32, 64), "x")
