import dataclasses

import pytest

from primaps.benchmark.packaged import row_names
from primaps.benchmark.protocol import deviations
from primaps.benchmark.row import read_row


def of(row, *, size=320, clusters=27):
    return deviations({"row": dataclasses.asdict(row), "size": size, "num_clusters": clusters, "num_classes": 27})


@pytest.mark.parametrize("name", row_names())
def test_rows_that_come_with_the_package_follow_the_protocol(name):
    row = read_row(name)
    assert of(row, size=322 if "vits14" in name or "vitb14" in name else 320) == ()


def test_every_difference_is_named():
    row = dataclasses.replace(read_row("cityscapes-dino_vits8-em"), split="test", train_split=None, limit=9)
    assert of(row, size=224, clusters=30) == (
        "30 clusters",
        "measured on test",
        "fitted to all images",
        "224 pixels",
        "trial of 9 images",
    )
