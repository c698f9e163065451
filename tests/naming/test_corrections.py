import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from primaps.errors import ConfigError
from primaps.naming.corrections import (
    UNLABELLED,
    Correction,
    Journal,
    Undo,
    correction_lines,
    make_corrections,
    moved_corrections,
    parse_corrections,
    resolve,
)
from primaps.naming.table import fresh_table, merge_classes, name_class

COLOURS = [(number, 0, 0) for number in range(255)]
MAP = np.array([[0, 0, 7], [0, 7, 7]])


def test_a_line_is_read_back():
    (made,) = make_corrections(1, "a.jpg", [(7, 3)], "abc", MAP, "suggested")
    journal = parse_corrections(correction_lines([made, Undo(2, 1)]), "F")
    assert journal.entries == (made, Undo(2, 1))
    assert json.loads(correction_lines([made]))["class"] == 3
    assert MAP[made.point[1], made.point[0]] == 7


def test_names_that_are_no_text_survive():
    made = Correction(1, "a\udcff/é.jpg", 1, 0)
    assert parse_corrections(correction_lines([made]), "F").entries == (made,)


def test_a_proposal_has_to_exist():
    with pytest.raises(ConfigError, match=r"^a\.jpg: Expected a proposal that exists"):
        make_corrections(1, "a.jpg", [(8, 3)], "abc", MAP)


def test_the_last_word_counts_and_can_be_taken_back():
    first, second = Correction(1, "a", 1, 3), Correction(2, "a", 1, 4)
    other = Correction(3, "a", 2, 3)
    assert Journal((first, other, second)).active() == (other, second)
    assert Journal((first, second, Undo(4, 2))).active() == (first,)
    assert Journal((first, second, Undo(4, 2), Undo(5, 4))).active() == (second,)
    assert Journal((first, second, Undo(4, 2))).last_undoable() == 1
    assert Journal((first, Undo(2, 1))).active() == ()
    with pytest.raises(ConfigError, match="to take back"):
        Journal((first, Undo(2, 1))).last_undoable()


@given(st.lists(st.integers(0, 20), max_size=12))
def test_undoing_is_as_if_it_had_never_been(numbers):
    """Undo the last active correction again and again: the state before comes back each time."""
    entries, states = [], []
    for proposal in numbers:
        states.append(Journal(tuple(entries)).active())
        entries.append(Correction(len(entries) + 1, "a", 1 + proposal % 3, proposal))
    for state in reversed(states):
        journal = Journal(tuple(entries))
        last = max(
            entry.id
            for entry in entries
            if isinstance(entry, Correction)
            and entry.id not in {each.undoes for each in entries if isinstance(each, Undo)}
        )
        entries.append(Undo(journal.next_id, last))
        assert set(Journal(tuple(entries)).active()) == set(state)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Expected JSON"),
        ("[]", "JSON object"),
        ('{"id": 2, "image": "a", "proposal": 0, "class": 1}', "proposal to be a number from 1"),
        ('{"id": 2, "image": "a", "proposal": 1}', "class"),
        ('{"id": 2, "image": "a", "proposl": 1, "class": 1}', "Did you mean 'proposal'"),
        ('{"id": 1, "image": "a", "proposal": 1, "class": 1}', r"got 1 again\. Take 2"),
        ('{"id": 2, "image": 5, "proposal": 1, "class": 1}', "name of an image"),
        ('{"id": 2, "image": "a", "proposal": 1, "class": 1, "point": [1]}', "point"),
        ('{"id": 2, "image": "a", "proposal": 1, "class": 1, "region": {}}', "region"),
        ('{"id": 2, "undo": 7}', "earlier line"),
        ('{"image": "a", "proposal": 1, "class": 1}', "id to be a number"),
    ],
)
def test_mistakes_are_named_with_their_line(line, message):
    text = f'{{"id": 1, "image": "a", "proposal": 1, "class": "road"}}\n\n{line}\n'
    with pytest.raises(ConfigError, match=rf"^F, line 3: .*{message}"):
        parse_corrections(text, "F")


def test_classes_that_are_not_there_are_named_with_their_line():
    table, _ = name_class(fresh_table(3, COLOURS), 2, "road")
    text = (
        '{"id": 1, "image": "a", "proposal": 1, "class": "road"}\n'
        '{"id": 2, "image": "a", "proposal": 2, "class": 255}\n'
    )
    journal = parse_corrections(text, "F")
    assert [each.class_id for each in resolve(journal, table)] == [2, UNLABELLED]
    with pytest.raises(ConfigError, match=r'^F, line 1: .*"id": 3, "undo": 1'):
        resolve(journal, fresh_table(3, COLOURS))


def test_corrections_follow_merged_and_renamed_classes():
    former, _ = name_class(fresh_table(4, COLOURS), 2, "road")
    entries = (
        Correction(1, "a", 1, 1),
        Correction(2, "a", 2, "road"),
        Correction(3, "a", 3, 0),
        Correction(4, "b", 1, UNLABELLED),
    )
    merged, gone = merge_classes(former, [3, 1], "wall")
    assert moved_corrections(Journal(entries), former, merged, gone) == [
        Correction(5, "a", 1, 3),
    ]
    renamed, gone = name_class(former, 2, "street")
    assert moved_corrections(Journal(entries), former, renamed, gone) == [
        Correction(5, "a", 2, 2),
    ]


@st.composite
def journals(draw):
    """Lines about three proposals; some take back an earlier one."""
    entries = []
    for number in range(1, draw(st.integers(0, 12)) + 1):
        if entries and draw(st.booleans()):
            entries.append(Undo(number, draw(st.integers(1, number - 1))))
        else:
            proposal = draw(st.integers(1, 3))
            entries.append(Correction(number, "a.jpg", proposal, draw(st.integers(0, 4))))
    return entries


@given(entries=journals(), start=st.integers(0, 12))
def test_every_former_state_can_be_had_again_by_lines_that_take_back(entries, start):
    wanted = Journal(tuple(entries[:start])).active()
    journal = Journal(tuple(entries))
    lines = journal.lines_towards({each.id for each in wanted})
    assert [each.id for each in lines] == [journal.next_id + n for n in range(len(lines))]
    after = Journal((*entries, *lines))
    assert after.active() == wanted
    assert after.lines_towards({each.id for each in wanted}) == []
    nothing = Journal((*entries, *journal.lines_towards(())))
    assert nothing.active() == ()
