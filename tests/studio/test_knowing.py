"""What is known of all proposals."""

import pytest

pytest.importorskip("starlette", reason="the extra studio is not installed")

from primaps import pipeline
from primaps.pipeline.editing import Editing
from primaps.pipeline.evidence import gather
from primaps.pipeline.suggestion_rounds import Plan, Rounds, next_round
from primaps.studio.knowing import Knowing


@pytest.fixture
def knowing(folder):
    return Knowing(pipeline.reopen(folder, {}))


def keys(cards):
    return [(each["image"], each["proposal"]) for each in cards]


def test_the_first_round_is_that_of_the_pipeline(knowing):
    evidence = gather(knowing.run)
    rounds = Rounds(evidence.stored, knowing.run.config.seed, Plan(groups=3))
    expected = [each.record() for each in next_round(rounds, evidence, 0)]
    assert knowing.cards(0, 3) == expected
    assert len(expected) == 3


def test_what_was_said_since_counts(knowing, folder):
    first = knowing.cards(0, 2)[0]
    assert first["said"] is None
    editing = Editing(folder)
    said = [[first["image"], first["proposal"]]]
    editing.apply({"kind": "say", "proposals": said, "class": 1}, editing.revision())
    assert knowing.cards(0, 2)[0]["said"] == 1


def test_who_was_passed_over_is_not_asked_again(knowing):
    first, second = (set(keys(knowing.cards(number, 2))) for number in (1, 2))
    assert not first & second
    assert set(keys(knowing.cards(1, 2))) == first  # asked for anew, it is the same


def test_images_that_were_not_read_are_read_once_somebody_speaks_of_them(knowing, folder):
    knowing._known.stored.__dict__["images"] = ("2.png",)
    editing = Editing(folder)
    edit = {"kind": "say", "proposals": [["0.png", 1]], "class": 1}
    editing.apply(edit, editing.revision())
    knowing.cards(0, 2)
    assert "0.png" in knowing._known.stored.images


def test_look_alikes_begin_with_the_one_that_is_asked_for(knowing):
    assert knowing.alike("0.png", 1)[0] == ("0.png", 1)
