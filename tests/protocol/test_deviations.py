import dataclasses

import pytest

from primaps.protocol.deviations import deviations
from primaps.protocol.packaged import row_names
from primaps.protocol.row import read_row


def of(row, *, size=320, clusters=27, dropout=None, initialise="head"):
    backbone = {} if dropout is None else {"head": {"inference_dropout": dropout}}
    measured = {"row": dataclasses.asdict(row), "head": row.head, "backbone": backbone}
    measured["settings"] = {"fit": {"initialise": initialise}}
    return deviations({**measured, "size": size, "num_clusters": clusters, "num_classes": 27})


@pytest.mark.parametrize("name", row_names())
def test_rows_that_come_with_the_package_follow_the_protocol(name):
    row = read_row(name)
    assert of(row, size=322 if "vits14" in name or "vitb14" in name else 320) == ()


def test_every_difference_is_named():
    row = dataclasses.replace(
        read_row("cityscapes-dino_vits8-em"), split="test", train_split=None, limit=9
    )
    assert of(row, size=224, clusters=30) == (
        "30 clusters",
        "measured on test",
        "fitted to all images",
        "224 pixels",
        "trial of 9 images",
    )


def test_dropout_of_the_head_is_the_published_protocol_with_stego_only():
    for name, expected in (
        ("potsdam-dino_vits8_300ep-stego-em", ()),
        ("potsdam-dino_vitb8-hp-em", ("head dropout",)),
    ):
        assert of(read_row(name), dropout=False) == ()
        assert of(read_row(name), dropout=True) == expected


def test_em_that_does_not_start_from_the_centres_of_the_head_is_named():
    row = read_row("potsdam-dino_vitb8-hp-em")
    assert of(row, initialise="pca") == ("start without the head's centres",)
    assert of(dataclasses.replace(row, method="head"), initialise="pca") == ()
    assert of(read_row("potsdam-dino_vitb8-em"), initialise="pca") == ()
