import dataclasses
import json

import pytest

from primaps import pipeline
from primaps.config import FailureLimit
from primaps.errors import FailureLimitError
from primaps.pipeline.failures import refuse_more
from primaps.types import Failure


def failures(number):
    return [Failure(f"{each}.jpg", "read", "Expected an image") for each in range(number)]


def test_up_to_the_limit_the_work_goes_on():
    refuse_more(failures(3), None)
    refuse_more(failures(3), 3)
    with pytest.raises(FailureLimitError, match="at most 2 inputs") as caught:
        refuse_more(failures(3), 2)
    assert "2.jpg: Expected an image" in str(caught.value)
    assert "again to resume" in str(caught.value)


@pytest.fixture
def mixed(photographs):
    """Five photographs and three files that are none; the first and last by name."""
    for name in ("a.jpg", "b.jpg", "z.jpg"):
        (photographs / name).write_text("no picture")
    return photographs


def test_a_run_ends_keeps_what_is_done_and_goes_on(mixed, texture, small_config, tmp_path):
    out = tmp_path / "run"
    run = pipeline.open_run(
        [mixed], out, texture, small_config, max_failures=FailureLimit(number=1)
    )
    with pytest.raises(FailureLimitError):
        pipeline.segment(run)
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "failed"
    assert record["counters"]["failed"] == 2
    listed = (out / "failures.jsonl").read_text(encoding="ascii").splitlines()
    assert len(listed) == 2
    again = pipeline.open_run([mixed], out, texture, small_config)
    assert again.folder.resumed
    pipeline.segment(again)
    assert len(again.failures) == 3
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["counters"]["resumes"] == 1


def test_a_share_of_all_inputs(mixed, texture, small_config, tmp_path):
    run = pipeline.open_run(
        [mixed], tmp_path / "run", texture, small_config, max_failures=FailureLimit(share=0.375)
    )
    assert run.most_failures == 3
    pipeline.proposals(run)
    config = dataclasses.replace(small_config)
    with pytest.raises(FailureLimitError):
        pipeline.proposals(
            pipeline.open_run(
                [mixed], tmp_path / "less", texture, config, max_failures=FailureLimit(share=0.37)
            )
        )
