"""`CITATION.cff` is what programs that read such files expect."""

import datetime as dt
import re
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def citation():
    return YAML(typ="safe").load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_keys_of_the_format_are_there_and_no_others(citation):
    needed = {"cff-version", "message", "title", "authors"}
    known = needed | {"type", "license", "version", "date-released", "doi", "repository-code"}
    assert needed <= set(citation) <= known | {"preferred-citation", "keywords", "abstract", "url"}
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert isinstance(citation.get("date-released", dt.date.min), dt.date)


def test_it_agrees_with_the_package(citation):
    assert citation["title"] == PROJECT["name"]
    assert citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == PROJECT["urls"]["Source"]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in PROJECT["authors"]
    ]


def test_the_paper_is_what_is_cited(citation):
    paper = citation["preferred-citation"]
    assert {"type", "title", "authors"} <= set(paper)
    assert paper["type"] == "article"
    assert [author["family-names"] for author in paper["authors"]] == [
        "Hahn",
        "Araslanov",
        "Schaub-Meyer",
        "Roth",
    ]
    assert re.fullmatch(r"20\d\d", str(paper["year"]))
