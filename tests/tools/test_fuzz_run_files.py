"""Mutated files of a run, sixty of them."""

import logging
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module", autouse=True)
def tools():
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    from fuzz_run_files import Trials

    return Trials(tmp_path_factory.mktemp("fuzzed"))


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # and back
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, 64, 8))
def test_each_is_refused_in_words_or_used_rightly(trials, first):
    found = [trials.run(number) for number in range(first, first + 8)]
    assert [
        f"{each.number} {each.what}: {each.found}" for each in found if "WRONG" in each.found
    ] == []
    assert max(each.seconds for each in found) < 30


def test_every_sort_of_file_is_there(trials):
    from fuzzed_run.reading import COMMANDS, KINDS, found_files

    assert all(found_files(kind, trials.whole) for kind in KINDS.values())
    assert {each for kind in KINDS.values() for each in kind.commands} <= COMMANDS.keys()


def test_the_same_number_is_the_same_trial(trials):
    assert trials.run(5).what == trials.run(5).what


def test_wrong_outcomes_are_told(trials):
    from fuzzed_run.reading import KINDS, Outcome, judged

    trial = (KINDS["labels"], trials.whole / "run" / "labels" / "0.png.png", "export")
    usual = Outcome(0, "", {"out/a": "1"})

    def of(*made, typed=None):
        return judged(trial, trials.whole, typed or {}, Outcome(*made), usual)

    assert of(0, "", {"out/a": "1"}) == "the same"
    assert of(2, "Error: labels/0.png.png is damaged.", {}) == "refused"
    assert of(0, "made anew", {"out/a": "2"}) == "told"
    assert "without a word" in of(0, "", {"out/a": "2"})
    assert "not named" in of(2, "Error: something.", {})
    assert "no error is told" in of(1, "", {})
    assert "KeyError" in of(None, "KeyError: 'a'", {})
    assert "is lost" in of(2, "Error: 0.png", {}, typed={"classes.yaml": b"mine"})
