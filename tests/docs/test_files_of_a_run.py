"""docs/reference/files-of-a-run.md against what real runs leave behind."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from primaps.cli import app
from primaps.naming.table_text import parse_classes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "files-of-a-run.md"
SECTIONS = {
    title: text
    for title, _, text in (
        part.partition("\n") for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    )
}
FILES = {
    title: re.findall(r"^\| `([^`]+)` \| .*? \| \[`([\w.]+)`\]\(([^)]+)\) \|$", text, re.MULTILINE)
    for title, text in SECTIONS.items()
}
FIELDS = {
    part.partition("`")[0]: re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
    for text in SECTIONS.values()
    for part in text.split("\n### `")[1:]
}


def primaps(*arguments):
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code in {0, 3}, done.output


@pytest.fixture(scope="module")
def made(tmp_path_factory, draw):
    """A folder with photographs and what commands made of them."""
    root = tmp_path_factory.mktemp("files")
    photos = root / "photos"
    (photos / "more").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "more/c.png")):
        Image.fromarray(draw(number, 48, 64)).save(photos / name)
    deep = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
    Image.fromarray(deep).save(photos / "deep.png")
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    quick = ("--backbone", "texture", "--size", 48)
    pictures = ("--certainty", "--overlays")
    run, none = root / "run", root / "none"
    primaps(
        "segment", photos, "--out", run, "--classes", 2, "--init", "proposals", *quick, *pictures
    )
    primaps("segment", photos, "--out", none, "--classes", "auto", "--store", "none", *quick)
    primaps("classes", run, "--name", "0=sky", "--name", "1=land")
    primaps("corrections", run, "--add", "a.png:1=sky")
    primaps("suggest", run)
    primaps("predict", photos, "--model", run, "--out", root / "predicted", *pictures)
    primaps("predict", photos, "--model", run, "--out", root / "shards", "--shards", 3)
    tables = ("--shards", 4, "--shard-format", "parquet")
    primaps("proposals", photos, "--out", root / "tables", *tables, *quick)
    primaps("fit", run, "--with", "names")
    return root


PLACES = {
    "A run": ("run", "none"),
    "A prediction": ("predicted", "run/candidates/1"),
    "A model": ("run/model", "none/model"),
    "A sharded output": ("shards", "tables"),
}


def matcher(pattern):
    """What files a name of the page means; a folder means all in it."""
    text = re.escape(pattern).replace(re.escape("<path>"), ".+")
    text = re.sub(r"NNNN|(?<=/)N(?=/)", r"\\d+", text)
    return re.compile(text + (".*" if pattern.endswith("/") else ""))


def files_of(folder):
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", PLACES)
def test_every_file_is_on_the_page_and_every_file_of_the_page_is_written(made, kind):
    patterns = [pattern for pattern, _, _ in FILES[kind]]
    if kind == "A prediction":
        patterns += ["model/", "classes-history/NNNN.yaml"]  # of a candidate, which the page says
    seen = set()
    for place in PLACES[kind]:
        for name in files_of(made / place):
            fitting = {each for each in patterns if matcher(each).fullmatch(name)}
            assert fitting, f"{place}/{name} is not on the page"
            seen |= fitting
    assert seen == set(patterns)


def test_modules_that_write_exist():
    named = [each for found in FILES.values() for each in found]
    assert len(named) > 40
    for _, module, link in named:
        path = (PAGE.parent / link).resolve()
        assert path.exists()
        assert link == f"../../src/{module.replace('.', '/')}" + ("" if path.is_dir() else ".py")


def records(path):
    """What a file of JSON or of lines of JSON holds."""
    text = path.read_text(encoding="utf-8")
    return (
        [json.loads(text)] if path.suffix == ".json" else list(map(json.loads, text.splitlines()))
    )


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_on_the_page_and_every_field_of_the_page_is_written(made, name):
    pattern = re.compile("(.*/)?" + matcher(name).pattern)
    found = set()
    paths = [made / each for each in files_of(made) if pattern.fullmatch(each)]
    assert paths
    for path in paths:
        for record in records(path):
            found |= record.keys()
    assert found <= set(FIELDS[name])
    unseen = set(FIELDS[name]) - found
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "src" / "primaps").rglob("*.py")
    )
    for field in unseen:  # what these runs gave no cause for
        assert f'"{field}"' in source, field


def test_classes_yaml(made):
    text = (made / "run" / "classes.yaml").read_text(encoding="utf-8")
    top = re.findall(r"^(\w+):", text, re.MULTILINE)
    section = SECTIONS["`classes.yaml`"]
    assert top == re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert parse_classes(text, "classes.yaml", [(0, 0, 0)] * 2).table.num_clusters == 2
    entries = set(re.findall(r"^    (\w+):", text, re.MULTILINE))
    assert entries <= set(re.findall(r"`(\w+)`", section.split("by class id")[1]))


def test_suggestions_are_a_table(made):
    with (made / "run" / "suggestions.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert {"class", "image", "proposal"} <= set(next(csv.reader(stream)))
