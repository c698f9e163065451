import json
import re

import pytest

from primaps.errors import CheckpointError
from primaps.pipeline.excerpt import IMAGE_BYTES, report_excerpt


def block(page, name):
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', page)[1])


def test_as_many_photographs_as_fit(named_run):
    bare = len(report_excerpt(named_run, 0))
    pages = {number: report_excerpt(named_run, bare + number * IMAGE_BYTES) for number in (1, 2, 9)}
    found = {number: page.decode("utf-8") for number, page in pages.items()}
    for number, shown in ((1, 1), (2, 2), (9, 4)):
        record = block(found[number], "run")
        assert len(record["images"]["name"]) == shown
        assert record["total_images"] == 4
        assert found[number].count('id="photo-') == shown
        assert found[number].count('id="maps-') == shown
        said = any(f"holds {shown} of 4 photographs" in each for each in record["warnings"])
        assert said == (shown < 4)
    assert len(pages[2]) <= bare + 2 * IMAGE_BYTES
    assert len(block(found[1], "state")["classes"]) == 4


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError):
        report_excerpt(tmp_path, 1_000_000)
