from __future__ import annotations

from primaps.data.listed import list_pairs
from primaps.data.paired import Pair


def test_pairs_in_the_order_of_the_list_and_what_is_missing(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    for folder, names in (
        (images, ("a.jpg", "b.jpg", "d.jpg", "unlisted.jpg")),
        (labels, ("b.png", "c.png", "d.png")),
    ):
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    listing = list_pairs(["d", "c", "a", "b", "e"], images, ".jpg", labels, ".png")
    assert listing.pairs == (
        Pair("d.jpg", images / "d.jpg", labels / "d.png"),
        Pair("b.jpg", images / "b.jpg", labels / "b.png"),
    )
    expected = [images / "c.jpg", labels / "a.png", images / "e.jpg", labels / "e.png"]
    assert [failure.path for failure in listing.missing] == [str(path) for path in expected]
    assert {failure.stage for failure in listing.missing} == {"layout"}
