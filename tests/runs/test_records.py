"""Values of records that were read from JSON."""

import json
from pathlib import Path

import pytest

from primaps.errors import CheckpointError
from primaps.runs import records

STRANGE = [None, True, -1, 0.5, 10**400, float("nan"), float("inf"), "", "a\0b", [], {}, [[]]]


@pytest.mark.parametrize(
    ("check", "fine"),
    [
        (records.is_text, ["a", "", "\udc80"]),
        (records.is_number, [0, -1.5, 2**60]),
        (records.is_whole, [0, -3, 2**40]),
        (records.is_count, [0, 7]),
        (records.is_truth, [True, False]),
        (records.is_mapping, [{}, {"a": 1}]),
        (records.maybe(records.is_count), [None, 3]),
        (records.list_of(records.is_text), [[], ["a", "b"]]),
        (records.tuple_of(records.is_text, records.is_number), [["a", 1]]),
        (records.values_of(records.is_number), [{}, {"a": 1}]),
        (records.with_keys({"a": records.is_text}, ("a",)), [{"a": "x", "b": None}]),
    ],
)
def test_each_check_takes_its_own_and_answers_for_anything(check, fine):
    assert all(check(value) is True for value in fine)
    assert all(check(value) in {True, False} for value in STRANGE)


@pytest.mark.parametrize(
    ("check", "wrong"),
    [
        (records.is_text, [None, 3, "a\0b", "a" * 100_000]),
        (records.is_number, [True, "1", float("nan"), float("inf"), 10**400]),
        (records.is_count, [True, -1, 1.0, 10**40]),
        (records.tuple_of(records.is_text, records.is_number), [["a"], ["a", "b"], "ab"]),
        (records.with_keys({"a": records.is_text}, ("a",)), [{}, {"a": 1}, []]),
    ],
)
def test_and_refuses_others(check, wrong):
    assert not any(check(value) for value in wrong)


def test_a_refusal_names_file_key_and_what_to_do():
    record = json.loads('{"a": [1, 2]}')
    with pytest.raises(
        CheckpointError, match=r"x\.json to give a usable 'a', but got \[1, 2\]. Go"
    ):
        records.check_record(record, {"a": records.is_text}, Path("x.json"), "Go.")
    with pytest.raises(CheckpointError, match=r"x\.json to be complete, but 'b' is missing\. Go\."):
        records.check_record(record, {}, Path("x.json"), "Go.", ("b",))
