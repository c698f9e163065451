import numpy as np

from primaps.naming.mending import mended_proposals

PROPOSALS = np.repeat([[1] * 10, [2] * 10, [0] * 10], 4, axis=0)


def label_map(*rows):
    """(12, 10) class ids: four equal rows per given one."""
    return np.repeat(np.array(rows, dtype=np.uint8), 4, axis=0)


PRESENT = label_map([3] * 10, [4] * 10, [5] * 10)


def mended(after, present=PRESENT, shown=None):
    shown = present if shown is None else shown
    return mended_proposals(present, shown, after, PROPOSALS)


def test_nothing_mended_says_nothing():
    found = mended(PRESENT)
    assert (found.classes, found.changed, found.left, found.beyond) == ({}, 0, 0, 0)


def test_a_proposal_that_became_another_class_is_corrected():
    found = mended(label_map([7] * 10, [4] * 10, [5] * 10))
    assert (found.classes, found.changed, found.left, found.beyond) == ({1: 7}, 40, 0, 0)


def test_a_part_is_no_correction_and_is_counted():
    found = mended(label_map([7] * 4 + [3] * 6, [4] * 10, [5] * 10))
    assert (found.classes, found.changed, found.left, found.beyond) == ({}, 16, 16, 0)


def test_the_rest_of_a_proposal_goes_along_and_is_counted():
    found = mended(label_map([7] * 8 + [3] * 2, [4] * 10, [5] * 10))
    assert (found.classes, found.changed, found.left, found.beyond) == ({1: 7}, 32, 0, 8)


def test_two_new_classes_in_one_proposal_need_four_fifths():
    for many, classes in ((8, {1: 7}), (7, {})):
        found = mended(label_map([7] * many + [8] * (10 - many), [4] * 10, [5] * 10))
        assert found.classes == classes
        assert found.left == (40 if not classes else 8)


def test_a_proposal_of_two_classes_that_became_one_is_corrected():
    """Less than half of it was mended, but all of it is one class now."""
    present = label_map([3] * 6 + [7] * 4, [4] * 10, [5] * 10)
    found = mended(label_map([3] * 10, [4] * 10, [5] * 10), present)
    assert (found.classes, found.left, found.beyond) == ({1: 3}, 0, 0)


def test_painting_must_not_put_more_wrong_than_right():
    """A touch of the class that has most of the proposal anyway."""
    present = label_map([7] * 6 + [3] * 4, [4] * 10, [5] * 10)
    found = mended(label_map([7] * 7 + [3] * 3, [4] * 10, [5] * 10), present)
    assert (found.classes, found.left) == ({}, 4)


def test_what_lies_in_no_proposal_is_counted():
    found = mended(label_map([3] * 10, [4] * 10, [255] * 10))
    assert (found.classes, found.changed, found.left) == ({}, 40, 40)


def test_unlabelled_is_said_like_a_class():
    assert mended(label_map([3] * 10, [255] * 10, [5] * 10)).classes == {2: 255}


def test_what_the_export_left_out_was_not_mended():
    shown = label_map([255] * 10, [255] * 6 + [4] * 4, [5] * 10)
    assert mended(shown, shown=shown).changed == 0
    # what could be seen of proposal 2 became another class
    found = mended(label_map([255] * 10, [255] * 6 + [7] * 4, [5] * 10), shown=shown)
    assert (found.classes, found.changed, found.left, found.beyond) == ({2: 7}, 16, 0, 0)


def test_large_ids_of_proposals():
    proposals = np.where(PROPOSALS == 1, 65535, 0)
    after = label_map([7] * 10, [4] * 10, [5] * 10)
    assert mended_proposals(PRESENT, PRESENT, after, proposals).classes == {65535: 7}
