import pytest

import primaps as pm
from primaps import pipeline
from primaps.errors import ConfigError
from primaps.pipeline.evidence import gather
from primaps.pipeline.named_labels import correct
from primaps.pipeline.suggesting import suggest
from primaps.pipeline.suggestion_rounds import PLAN, Plan, Rounds, next_round


def opened(folder):
    return pipeline.reopen(folder, {})


@pytest.fixture
def rounds(named_run):
    run = opened(named_run)
    return Rounds(gather(run).stored, run.config.seed, Plan(3, 2))


def test_the_first_round_is_that_of_suggest(named_run, rounds):
    rows = suggest(opened(named_run), groups=3)
    cards = next_round(rounds, gather(opened(named_run)), 0)
    assert [(each.image, each.proposal, each.share) for each in cards] == [
        (row.image, row.proposal, row.group_share) for row in rows
    ]
    assert [(each.why, each.said) for each in cards] == [("group", None)] * 3
    assert all(each.opinion in range(4) for each in cards)
    assert set(cards[0].record()) == {"image", "proposal", "share", "why", "class", "said"}


def test_further_rounds_learn_from_what_was_said(named_run, rounds):
    first = next_round(rounds, gather(opened(named_run)), 0)
    correct(named_run, [(each.image, each.proposal, n) for n, each in enumerate(first)])
    evidence = gather(opened(named_run))
    second = next_round(rounds, evidence, 1)
    assert [each.why for each in second] == ["uncertain"] * 2
    known = {(each.image, each.proposal) for each in first}
    assert not known & {(each.image, each.proposal) for each in second}
    assert all(each.opinion in range(3) for each in second)  # classes that were said
    assert [each.said for each in next_round(rounds, evidence, 0)] == [0, 1, 2]
    passed = [(each.image, each.proposal) for each in second]
    third = next_round(rounds, evidence, 2, passed)
    assert not set(passed) & {(each.image, each.proposal) for each in third}


def test_an_ignored_class_is_no_opinion(named_run, rounds):
    pm.classes(named_run, ignore=[0])
    evidence = gather(opened(named_run))
    owner = evidence.clusters
    for card in next_round(rounds, evidence, 0):
        row = evidence.stored.rows()[card.image, card.proposal]
        assert (card.opinion is None) == (int(owner[row]) == 0)


def test_once_all_are_known_nothing_is_asked(named_run, rounds):
    evidence = gather(opened(named_run))
    everything = list(evidence.stored.rows())
    assert next_round(rounds, evidence, 5, everything) == []


@pytest.mark.parametrize("number", [-1, True])
def test_rounds_are_counted_from_0(named_run, rounds, number):
    with pytest.raises(ConfigError, match="a round from 0 on"):
        next_round(rounds, gather(opened(named_run)), number)


def test_a_plan_out_of_range_is_refused(rounds):
    with pytest.raises(ConfigError, match="groups and proposals a round"):
        Rounds(rounds.stored, 0, Plan(0, 10))
    assert (PLAN.groups, PLAN.round) == (15, 10)
