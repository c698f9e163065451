import csv
import io

import pytest

import primaps as pm
from primaps import pipeline
from primaps.errors import ConfigError
from primaps.pipeline.filled_suggestions import read_suggestions
from primaps.pipeline.named_labels import read_corrections
from primaps.pipeline.suggesting import suggest


def filled(folder, *names):
    """Suggestions of a run, with these names."""
    rows = suggest(pipeline.reopen(folder, {}), groups=len(names), overwrite=True)
    table = folder / "suggestions.csv"
    lines = list(csv.reader(io.StringIO(table.read_text("utf-8-sig"))))
    for line, name in zip(lines[1:], names, strict=True):
        line[0] = name
    with table.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(lines)
    return rows


def test_names_become_classes_and_corrections(named_run):
    rows = filled(named_run, "road", "Sky", "ROAD", "")
    found = read_suggestions(named_run)
    assert (found.said, found.known, found.empty) == (3, 0, 1)
    assert found.new_classes == ("road", "Sky")
    ids = {each.name: each.id for each in pm.classes(named_run).classes if each.name}
    said = [(each.image, each.proposal, each.class_id, each.source) for each in active(named_run)]
    assert said == [
        (row.image, row.proposal, ids[name], "suggest")
        for row, name in zip(rows, ("road", "Sky", "road"), strict=False)
    ]


def active(folder):
    return read_corrections(folder).active()


def test_reading_again_says_nothing_twice(named_run):
    filled(named_run, "road", "sky")
    read_suggestions(named_run)
    before = (named_run / "corrections.jsonl").read_bytes()
    found = read_suggestions(named_run)
    assert (found.said, found.known, found.new_classes) == (0, 2, ())
    assert (named_run / "corrections.jsonl").read_bytes() == before


def test_known_classes_by_name_id_and_none(named_run):
    pm.classes(named_run, name={0: "road"})
    filled(named_run, "Road", "2", "none", "class 3")
    assert read_suggestions(named_run).new_classes == ()
    assert [each.class_id for each in active(named_run)] == [0, 2, 255, 3]


@pytest.mark.parametrize(
    ("name", "message"), [("17", "line 3: Expected a name"), ("x" * 101, "line 3: Expected a name")]
)
def test_what_is_no_name_is_refused_as_a_whole(named_run, name, message):
    filled(named_run, "road", name)
    before = (named_run / "classes.yaml").read_bytes()
    with pytest.raises(ConfigError, match=message):
        read_suggestions(named_run)
    assert (named_run / "classes.yaml").read_bytes() == before
    assert not (named_run / "corrections.jsonl").exists()


@pytest.mark.parametrize("line", ["road,0.png,999", "road,7.png,1", "road,0.png,0"])
def test_proposals_that_do_not_exist_are_refused(named_run, line):
    (named_run / "suggestions.csv").write_text(f"class,image,proposal\n{line}\n", "utf-8")
    with pytest.raises(ConfigError, match="line 2: Expected a proposal of the run"):
        read_suggestions(named_run)


def test_without_a_table_the_error_says_how_to_make_one(named_run):
    with pytest.raises(ConfigError, match="primaps suggest"):
        read_suggestions(named_run)
