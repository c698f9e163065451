import dataclasses

import numpy as np
import pytest

from primaps.errors import ConfigError
from primaps.naming.binding import bind, bind_unchanged
from primaps.naming.corrections import Correction, Journal, make_corrections
from primaps.naming.regions import map_checksum

BEFORE = np.zeros((40, 60), dtype=np.int32)
BEFORE[5:25, 10:40] = 1
BEFORE[30:38, 10:40] = 2


def said(number=1, proposal=1, class_id=3):
    return make_corrections(number, "a.jpg", [(proposal, class_id)], "photo", BEFORE)[0]


def bound(corrections, photo="photo", proposals=BEFORE):
    return bind(corrections, photo, proposals, Journal(tuple(corrections), "F", (1,)))


def test_corrections_hold_where_nothing_changed():
    found = bound([said(), said(2, 2, 255)])
    assert found.classes == {1: 3, 2: 255}
    assert len(found.bound) == 2
    assert not found.rebound
    assert not found.asleep


def test_they_are_found_again_by_half_an_overlap():
    after = np.zeros_like(BEFORE)
    after[7:25, 12:40] = 5
    after[31:38, 36:60] = 6
    found = bound([said(), said(2, 2)], proposals=after)
    assert found.classes == {5: 3}
    ((correction, number, overlap),) = found.rebound
    assert (correction.id, number) == (1, 5)
    assert overlap == pytest.approx(18 * 28 / (20 * 30), abs=0.01)
    ((asleep, why),) = found.asleep
    assert asleep.id == 2
    assert "overlaps by half" in why


@pytest.mark.parametrize(
    ("photo", "proposals", "why"),
    [
        (None, None, "not in the run"),
        ("photo", None, "no proposals"),
        ("other", BEFORE, "photograph has changed"),
    ],
)
def test_others_sleep(photo, proposals, why):
    found = bound([said()], photo, proposals)
    assert found.classes == {}
    assert why in found.asleep[0][1]


def test_the_later_of_two_counts():
    older = dataclasses.replace(said(1, 1, 3), map="another")
    assert bound([older, said(2, 1, 4)]).classes == {1: 4}
    assert bound([said(1, 1, 4), dataclasses.replace(said(2, 1, 3), map="x")]).classes == {1: 3}


def test_lines_by_hand_mean_what_is_there():
    assert bound([Correction(1, "a.jpg", 2, 0)]).classes == {2: 0}


def test_a_proposal_that_does_not_exist_is_named_with_its_line():
    with pytest.raises(ConfigError, match=r'^F, line 1: .*1\.\.2.*no proposal 9.*"undo": 1'):
        bound([Correction(1, "a.jpg", 9, 0)])


def test_without_the_map_it_is_the_same_where_nothing_changed():
    lines = [said(), said(2, 2, 255), said(3, 1, 4)]
    checksum = map_checksum(BEFORE)
    assert bind_unchanged(lines, "photo", checksum, {1, 2}) == bound(lines)
    assert bind_unchanged(lines, "other", checksum, {1, 2}) is None
    assert bind_unchanged(lines, "photo", "other", {1, 2}) is None
    assert bind_unchanged(lines, "photo", checksum, {1}) is None
