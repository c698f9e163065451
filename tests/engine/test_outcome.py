import pytest

from primaps.engine.outcome import Outcome


@pytest.mark.parametrize(
    ("out", "told"), [("run", "run/labels"), ("s3://bucket/run/", "s3://bucket/run/labels")]
)
def test_what_is_told_is_what_was_given(out, told):
    assert Outcome(out, False, ()).at("labels") == told
