from __future__ import annotations

from pathlib import Path

import pytest

from primaps.data.about import About, Split
from primaps.errors import DatasetError

ABOUT = About(
    "Toy, 2 classes",
    (Split("train", 3), Split("val", 2, aliases=("test",))),
    "layout",
    "source",
    "licence",
)


def test_a_split_by_name_and_by_alias():
    assert ABOUT.split("train", Path("r")).images == 3
    assert ABOUT.split("test", Path("r")) is ABOUT.split("val", Path("r"))
    assert (Split(None).title, Split("val").title) == ("all", "val")


@pytest.mark.parametrize(
    ("name", "got"), [(None, "no split was given"), ("tset", "there is no split 'tset'")]
)
def test_unknown_splits(name, got):
    with pytest.raises(
        DatasetError,
        match=(
            rf"Expected a split of Toy, 2 classes in r, but {got}\. It has the splits train, val\."
        ),
    ):
        ABOUT.split(name, Path("r"))
