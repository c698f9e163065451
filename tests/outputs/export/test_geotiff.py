"""GeoTIFF; `tests/e2e/test_export_readers.py` reads georeferences."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("rasterio", reason="rasterio, the extra geo, is not installed")


def test_label_maps_come_back(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "geotiff")
    for image in export.images:
        with Image.open(export.root / "labels" / f"{image.stem}.tif") as picture:
            np.testing.assert_array_equal(np.asarray(picture), export.labels(image.name))
