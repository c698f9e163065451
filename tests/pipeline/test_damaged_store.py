"""Damaged shards are made anew before they are read."""

import pytest

from primaps import pipeline
from primaps.errors import CheckpointError
from primaps.outputs.label_files import read_label_image
from primaps.pipeline.opening import reopen
from primaps.pipeline.suggesting import suggest
from primaps.progress import Silent
from primaps.runs.model import Model


class Notes(Silent):
    def __init__(self):
        self.told = []

    def note(self, message):
        self.told.append(message)


def flip(path, place=-9):
    content = bytearray(path.read_bytes())
    content[place] ^= 8
    path.write_bytes(content)


@pytest.fixture
def shard(named_run):
    return named_run / "store" / "2.png.safetensors"


def test_a_fit_makes_a_damaged_shard_anew_and_says_so(named_run, shard):
    whole, former = shard.read_bytes(), Model.load(named_run)
    flip(shard)
    (named_run / "model" / "model.json").unlink()
    notes = Notes()
    pipeline.segment(reopen(named_run, {}, device="cpu", progress=notes))
    assert [each for each in notes.told if "made anew: 2.png." in each]
    assert shard.read_bytes() == whole
    assert Model.load(named_run).prototypes.equal(former.prototypes)


def test_label_maps_are_not_made_of_damaged_features(named_run, shard):
    path = named_run / "labels" / "2.png.png"
    former = read_label_image(path)
    path.unlink()
    flip(shard)
    notes = Notes()
    pipeline.segment(reopen(named_run, {}, device="cpu", progress=notes))
    assert (read_label_image(path) == former).all()
    assert [each for each in notes.told if "damaged" in each]


def test_damaged_label_maps_and_proposals_are_made_anew(named_run):
    paths = [named_run / each / "2.png.png" for each in ("labels", "proposals")]
    former = [read_label_image(path) for path in paths]
    for path in paths:
        flip(path, -20)
    pipeline.segment(reopen(named_run, {}, device="cpu"))
    assert all(
        (read_label_image(path) == known).all() for path, known in zip(paths, former, strict=True)
    )


def test_what_only_reads_refuses_it(named_run, shard):
    flip(shard)
    with pytest.raises(CheckpointError, match=r"2\.png.*checksum.*Delete the file"):
        suggest(reopen(named_run, {}, device="cpu"))
