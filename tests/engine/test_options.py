import pytest

from primaps.config import FailureLimit
from primaps.engine.limits import Limits
from primaps.engine.options import SHARD_SIZE, EngineOptions, shards_option
from primaps.errors import ConfigError


def test_nothing_asked_for_wants_no_workers():
    assert not EngineOptions().wanted
    assert not EngineOptions(shards=0).wanted
    assert not EngineOptions(shard_format="parquet").wanted
    assert not EngineOptions(max_failures=FailureLimit(number=0)).wanted


@pytest.mark.parametrize(
    "asked",
    [
        {"engine": "local"},
        {"workers": 1},
        {"limits": Limits(seconds=5)},
    ],
)
def test_what_only_workers_can_do_wants_them(asked):
    assert EngineOptions(**asked).wanted


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"engine": "spark"}, "local or ray, but got 'spark'"),
        ({"shard_format": "zip"}, "tar or parquet, but got 'zip'"),
        ({"shard_format": "tar", "shards": 0}, "but got --shards off"),
        ({"workers": 0}, "--workers to be 1 or more, but got 0"),
    ],
)
def test_impossible_values_are_refused(asked, told):
    with pytest.raises(ConfigError, match=told):
        EngineOptions(**asked)


@pytest.mark.parametrize(
    ("text", "value"),
    [(None, None), ("auto", None), ("on", SHARD_SIZE), ("off", 0), ("1000", 1000)],
)
def test_shards_are_on_off_or_a_number(text, value):
    assert shards_option(text) == value


@pytest.mark.parametrize("text", ["0", "-3", "many", ""])
def test_other_shards_are_refused(text):
    with pytest.raises(ConfigError, match="on, off, or a number of images per shard"):
        shards_option(text)
