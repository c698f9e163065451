"""Answers in words."""

import json

import pytest

pytest.importorskip("starlette", reason="the extra studio is not installed")

from primaps.errors import ConfigError, MissingExtraError, OutputError
from primaps.studio.answering import as_json, kept, printable, problem, status_of


def test_names_that_are_no_unicode_pass_through_json():
    value = {"name": "\udcff<script>\u2028"}
    answer = as_json(value)
    assert answer.body.isascii()
    assert json.loads(answer.body) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json({"share": float("nan")})


def test_what_went_wrong_may_carry_more():
    answer = problem(409, "Expected less.", state={"revision": 2})
    assert answer.status_code == 409
    assert json.loads(answer.body) == {"error": "Expected less.", "state": {"revision": 2}}


def test_the_status_tells_whose_turn_it_is():
    assert status_of(ConfigError("x")) == 400
    assert status_of(OutputError("x")) == 500
    assert status_of(MissingExtraError("x")) == 501


def test_what_is_kept_has_a_tag():
    assert kept("abc") == {"etag": '"abc"', "cache-control": "private, no-cache"}
    assert printable("a\udcff") == r"a\udcff"


def test_a_mistake_of_the_program_is_no_page_of_its_insides(studio, monkeypatch):
    from starlette.testclient import TestClient

    def broken():
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(studio.served, "state", broken)
    headers = {"Authorization": "Bearer the-token-of-this-test"}
    with TestClient(
        studio.app, "http://127.0.0.1:8765", raise_server_exceptions=False, headers=headers
    ) as client:
        answer = client.get("/api/state")
    assert answer.status_code == 500
    assert "terminal" in answer.json()["error"]
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
