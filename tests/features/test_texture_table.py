import math

from primaps.features.registry import TEXTURE_DIM
from primaps.features.texture import HISTOGRAM_BINS, HISTOGRAMS, SCALES, WINDOWS
from primaps.features.texture_table import TABLE


def test_rows_match_the_statistics():
    kinds = [name.partition(" ")[0] for name, _, _ in TABLE]
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    assert counts == {
        "mean": 3,
        "spread": 3,
        "oriented": 4 * SCALES,
        "laplacian": SCALES,
        "chroma": 2 * SCALES,
        "histogram": HISTOGRAM_BINS * len(HISTOGRAMS),
    }
    assert len(TABLE) * len(WINDOWS) + 4 == TEXTURE_DIM
    assert len({name for name, _, _ in TABLE}) == len(TABLE)


def test_numbers_are_usable():
    for name, means, deviations in TABLE:
        assert len(means) == len(deviations) == len(WINDOWS)
        assert all(math.isfinite(value) for value in means)
        assert all(value > 0.01 for value in deviations), name
