"""Parts of a data set."""

from collections import Counter

import pytest

from primaps.errors import ConfigError
from primaps.outputs.export.splitting import parse_split, split_of


def test_shares_are_read():
    assert parse_split(".8,.1,.1") == (0.8, 0.1, 0.1)
    assert parse_split("0.9, 0.1") == (0.9, 0.1)
    assert parse_split("1") == (1.0,)


@pytest.mark.parametrize("text", ["", "a,b", ".5,.4", ".5,.5,.5", "1.5,-.5", ".1,.2,.3,.4", "nan"])
def test_other_texts_are_refused(text):
    with pytest.raises(ConfigError, match="add up to 1"):
        parse_split(text)


def test_shares_are_kept_and_the_seed_matters():
    names = [f"{number}.jpg" for number in range(4000)]
    parts = [split_of(name, (0.8, 0.1, 0.1), 0) for name in names]
    counts = Counter(parts)
    assert counts["train"] == pytest.approx(3200, abs=100)
    assert counts["val"] == pytest.approx(400, abs=70)
    assert parts != [split_of(name, (0.8, 0.1, 0.1), 1) for name in names]
    assert parts == [split_of(name, (0.8, 0.1, 0.1), 0) for name in names]


def test_an_empty_share_gets_nothing():
    assert {split_of(str(n), (0.5, 0.5, 0.0), 0) for n in range(50)} == {"train", "val"}
    assert {split_of(str(n), (0.0, 1.0), 0) for n in range(50)} == {"val"}
