"""GeoJSON without a georeference; with one, see `tests/e2e/test_export_readers.py`."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from primaps.errors import MissingExtraError
from primaps.outputs.export import georeference


def winding(mask_size, ring):
    """(H, W) bool: centres of pixels inside a ring of edges along pixels (even crossings outside).

    Vertical edges are counted to the right of each centre.
    """
    inside = np.zeros(mask_size, bool)
    for (x0, y0), (x1, y1) in itertools.pairwise(ring):
        if x0 == x1:
            low, high = sorted((int(y0), int(y1)))
            inside[low:high, : int(x0)] ^= True
    return inside


def twice_the_area(ring):
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in itertools.pairwise(ring))


def test_label_maps_come_back_with_their_holes(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "geojson", splits=("train", "val"))
    for image in export.images:
        file = export.root / image.split / "labels" / f"{image.stem}.geojson"
        data = json.loads(file.read_bytes())
        assert data["type"] == "FeatureCollection"
        assert data["coordinates"] == "pixels"
        masks = []
        for feature in data["features"]:
            outer, *holes = feature["geometry"]["coordinates"]
            assert outer[0] == outer[-1]
            assert twice_the_area(outer) > 0
            assert all(twice_the_area(hole) < 0 for hole in holes)
            mask = winding(image.size, outer)
            for hole in holes:
                mask &= ~winding(image.size, hole)
            properties = feature["properties"]
            assert properties["class"] == drawn.NAMES[properties["id"]]
            masks.append((properties["id"], mask))
        np.testing.assert_array_equal(drawn.painted(image.size, masks), export.labels(image.name))


def test_a_georeference_is_not_dropped_in_silence(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(georeference.importlib.util, "find_spec", lambda _: None)
    paths = drawn.write_photographs(tmp_path / "photos")
    with Image.open(paths["full.png"]) as picture:
        tags = {33550: (0.5, 0.5, 0.0), 33922: (0.0, 0.0, 0.0, 691000.0, 5334000.0, 0.0)}
        picture.copy().save(paths["full.png"], format="TIFF", tiffinfo=tags)
    with pytest.raises(MissingExtraError, match=r"primaps\[geo\]"):
        drawn.make_export(tmp_path, "geojson", paths=paths)
