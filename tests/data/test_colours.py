from __future__ import annotations

import numpy as np

from primaps.data.colours import class_colours


def test_colours_are_the_pascal_map_and_all_different():
    colours = class_colours(256)
    assert colours[[1, 15, 20, 255]].tolist() == [
        [128, 0, 0],
        [192, 128, 128],
        [0, 64, 128],
        [224, 224, 192],
    ]
    assert len(np.unique(colours, axis=0)) == 256
