"""Lists of images that were damaged."""

import json

import pytest

from primaps.errors import CheckpointError
from primaps.pipeline.image_list import read_image_list, stored_entries


@pytest.fixture
def listing(named_run):
    return named_run / "store" / "manifest.json"


def test_a_whole_list_is_read(listing):
    assert read_image_list(listing) == json.loads(listing.read_text())
    assert stored_entries(listing) == read_image_list(listing)["images"]


@pytest.mark.parametrize(
    "entry",
    [3, [], {}, {"path": 3}, {"path": "a", "page": "b"}, {"path": "a", "num_masks": -1}, None],
)
def test_strange_entries_are_refused(listing, entry):
    record = json.loads(listing.read_text())
    record["images"]["2.png"] = entry
    listing.write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=r"manifest\.json to give a usable 'images'"):
        read_image_list(listing)


@pytest.mark.parametrize("key", ["images", "settings", "views"])
def test_what_is_missing_is_named(listing, key):
    record = json.loads(listing.read_text())
    del record[key]
    listing.write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=f"manifest.json to be complete, but '{key}'"):
        stored_entries(listing)


def test_what_the_viewer_needs_is_named(listing):
    record = json.loads(listing.read_text())
    del record["images"]["2.png"]["guards"]
    listing.write_text(json.dumps(record))
    assert read_image_list(listing)
    with pytest.raises(CheckpointError, match=r"manifest\.json to give a usable 'images'"):
        stored_entries(listing)
