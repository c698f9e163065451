from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from primaps.protocol.counting import TableSums


def test_threads_add_up():
    generator = np.random.default_rng(0)
    images = [
        [generator.integers(0, 9, (3, 5)), generator.integers(0, 9, (2, 2))] for _ in range(200)
    ]
    sums = TableSums([(3, 5), (2, 2)])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sums.add, images))
    assert sums.images == 200
    for position, total in enumerate(sums.tables):
        assert total.dtype == np.int64
        assert np.array_equal(total, np.sum([tables[position] for tables in images], axis=0))


def test_every_table_is_needed():
    with pytest.raises(ValueError, match="shorter"):
        TableSums([(2, 2), (2, 2)]).add([np.zeros((2, 2), dtype=np.int64)])
