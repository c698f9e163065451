import csv
import io

import pytest
import torch
from PIL import Image

from primaps import pipeline
from primaps.errors import ConfigError
from primaps.pipeline.evidence import gather
from primaps.pipeline.named_labels import correct
from primaps.pipeline.stored_proposals import read_proposals
from primaps.pipeline.suggesting import group_proposals, suggest


def opened(folder):
    return pipeline.reopen(folder, {})


def test_cards_and_a_table_to_fill_in(named_run):
    rows = suggest(opened(named_run), groups=3)
    assert [row.why for row in rows] == ["group"] * 3
    shares = [row.group_share for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1.0)
    text = (named_run / "suggestions.csv").read_text("utf-8-sig")
    table = list(csv.DictReader(io.StringIO(text)))
    assert [(line["image"], int(line["proposal"])) for line in table] == [
        (row.image, row.proposal) for row in rows
    ]
    assert [line["class"] for line in table] == [""] * 3
    for row in rows:
        with Image.open(named_run / "suggestions" / row.card) as picture:
            assert max(picture.size) <= 400


def test_the_same_run_gives_the_same_suggestions(named_run):
    rows = suggest(opened(named_run), groups=3, uncertain=2)
    before = {path: path.read_bytes() for path in (named_run / "suggestions").iterdir()}
    assert suggest(opened(named_run), groups=3, uncertain=2) == rows
    assert {path: path.read_bytes() for path in before} == before


def test_uncertain_ones_come_after_and_are_others(named_run):
    rows = suggest(opened(named_run), groups=2, uncertain=3)
    assert [row.why for row in rows] == ["group"] * 2 + ["uncertain"] * 3
    assert len({(row.image, row.proposal) for row in rows}) == 5


def test_what_was_said_is_filled_in_and_not_asked_again(named_run):
    first = suggest(opened(named_run), groups=2)
    said = [(row.image, row.proposal, number) for number, row in enumerate(first)]
    correct(named_run, said)
    again = suggest(opened(named_run), groups=2, uncertain=2)
    assert [row.name for row in again] == ["class 0", "class 1", "", ""]
    assert not {(row.image, row.proposal) for row in again[2:]} & {each[:2] for each in said}


def test_a_smaller_table_leaves_no_old_cards(named_run):
    suggest(opened(named_run), groups=4)
    suggest(opened(named_run), groups=2)
    assert len(list((named_run / "suggestions").glob("*.jpg"))) == 2


def test_names_that_were_not_read_are_not_lost(named_run):
    suggest(opened(named_run), groups=2)
    table = named_run / "suggestions.csv"
    lines = table.read_text("utf-8-sig").splitlines()
    filled = "\n".join([lines[0], "road" + lines[1], lines[2], ""])
    table.write_text(filled, encoding="utf-8")
    with pytest.raises(ConfigError, match="1 names that were not read"):
        suggest(opened(named_run), groups=2)
    assert table.read_text("utf-8") == filled
    suggest(opened(named_run), groups=2, overwrite=True)
    assert table.read_text("utf-8-sig") != filled


@pytest.mark.parametrize(("groups", "uncertain"), [(0, 0), (10_001, 0), (1, -1)])
def test_numbers_out_of_range_are_refused(named_run, groups, uncertain):
    with pytest.raises(ConfigError, match=r"1\.\.10000 groups"):
        suggest(opened(named_run), groups=groups, uncertain=uncertain)


def test_groups_depend_on_the_seed_alone(finished_run):
    stored = read_proposals(opened(finished_run))
    centres, members = group_proposals(stored, 3, seed=1, restarts=2)
    again, _ = group_proposals(stored, 3, seed=1, restarts=2)
    assert torch.equal(centres, again)
    assert torch.equal(members, (stored.unit @ centres.T).argmax(1))
    many, _ = group_proposals(stored, 10_000, seed=1, restarts=1)
    assert len(many) == len(stored.unit)


def test_before_there_are_names_the_model_says_what_is_uncertain(named_run):
    evidence = gather(opened(named_run))
    assert evidence.classes() == []
    assert suggest(opened(named_run), groups=1, uncertain=1)[1].why == "uncertain"
