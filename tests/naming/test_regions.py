import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from primaps.errors import ConfigError
from primaps.naming.regions import (
    best_overlap,
    map_checksum,
    region_from,
    region_record,
    regions_of,
)

SIDES = st.integers(1, 20)
MAPS = hnp.arrays(np.int32, st.tuples(SIDES, SIDES), elements=st.integers(0, 3))


def disc(x, y, radius=60, number=3, size=(300, 400)):
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.where((rows - y) ** 2 + (columns - x) ** 2 < radius**2, number, 0)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@given(MAPS)
def test_small_regions_are_kept_pixel_by_pixel(ids):
    for number in set(np.unique(ids)) - {0}:
        region, (x, y) = regions_of(ids, [number])[number]
        rows, columns = region.samples()
        found = np.zeros(ids.shape, dtype=bool)
        found[rows, columns] = True
        np.testing.assert_array_equal(found, ids == number)
        assert ids[y, x] == number
        assert region_from(region_record(region)) == region
        assert best_overlap(region, ids) == (number, 1.0)


@pytest.mark.parametrize("shift", [0, 5, 30, 70])
def test_overlap_is_about_intersection_over_union(shift):
    before, after = disc(150, 120), disc(150 + shift, 120, number=9)
    number, overlap = best_overlap(regions_of(before, [3])[3][0], after)
    assert number == 9
    assert overlap == pytest.approx(iou(before > 0, after > 0), abs=0.02)


def test_nothing_overlaps_where_nothing_is():
    region, _ = regions_of(disc(100, 100), [3])[3]
    assert best_overlap(region, disc(300, 200, number=1)) == (0, 0.0)
    assert best_overlap(region, disc(100, 100, size=(200, 400))) == (0, 0.0)


def test_a_proposal_has_to_exist():
    with pytest.raises(ConfigError, match=r"proposal 4\. There are proposals 1\.\.3"):
        regions_of(disc(100, 100), [4])


def test_the_checksum_is_that_of_the_ids():
    ids = disc(100, 100)
    assert map_checksum(ids) == map_checksum(ids.astype(np.uint8))
    assert map_checksum(ids) != map_checksum(ids[:, ::-1])
    assert map_checksum(np.zeros((2, 3), int)) != map_checksum(np.zeros((3, 2), int))


@pytest.mark.parametrize(
    "values",
    [
        None,
        {},
        {"size": [4, 4], "box": [0, 0, 2, 2], "area": 4, "runs": [0, 5]},
        {"size": [4, 4], "box": [3, 0, 2, 2], "area": 4, "runs": [0, 4]},
        {"size": [4, 4], "box": [0, 0, 2, 2], "area": -4, "runs": [0, 4]},
        {"size": [4], "box": [0, 0, 2, 2], "area": 4, "runs": [0, 4]},
    ],
)
def test_what_is_no_region_is_refused(values):
    with pytest.raises(ConfigError, match="Expected a region"):
        region_from(values)
