from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from primaps.data.encoding import LabelEncoding, identity
from primaps.types import IGNORE_INDEX

IDS = st.integers(-1000, 1000)


@given(
    st.dictionaries(IDS, st.integers(0, 254), max_size=20),
    st.sets(IDS, max_size=5),
    st.lists(IDS, max_size=30),
)
def test_decoding_equals_looking_up_one_by_one(classes, ignored, stored):
    meaning = {IGNORE_INDEX: IGNORE_INDEX, **dict.fromkeys(ignored, IGNORE_INDEX), **classes}
    encoding = LabelEncoding(classes, ignored)
    unknown = sorted({label for label in stored if label not in meaning})
    if unknown:
        with pytest.raises(ValueError, match=r".*") as caught:
            encoding.decode(np.array(stored))
        assert caught.value.args == (unknown,)
    else:
        assert encoding.decode(np.array(stored, dtype=np.int64)).tolist() == [
            meaning[label] for label in stored
        ]


def test_far_away_ids_are_unknown():
    limits = np.iinfo(np.int64)
    with pytest.raises(ValueError, match=r".*") as caught:
        identity(3).decode(np.array([[0, limits.max], [2, -(2**40)]]))
    assert caught.value.args == ([-(2**40), limits.max],)


def test_known_ids_as_text():
    assert identity(27).known == "0..26, 255"
    assert LabelEncoding({}).known == "255"
    assert LabelEncoding({3: 0, 4: 1, 9: 2}, ignored=[-1]).known == "-1, 3..4, 9, 255"
