"""The tutorial: what its notebook shows, and that its cells still give that."""

import base64
import importlib.util
import json
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("skimage")

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location(
    "execute_tutorial", ROOT / "tools" / "execute_tutorial.py"
)
tool = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tool)

SCRIPT = tool.TUTORIALS / "first_data_set.py"


def texts(book):
    """What the cells printed or gave, as one text."""
    outputs = [each for cell in book.cells for each in cell.get("outputs", ())]
    return "\n".join(
        each["text"] if each.output_type == "stream" else each.data.get("text/plain", "")
        for each in outputs
    )


def pictures(book):
    outputs = [each for cell in book.cells for each in cell.get("outputs", ())]
    return [
        base64.b64decode(each.data["image/jpeg"])
        for each in outputs
        if "image/jpeg" in each.get("data", {})
    ]


def check_counts(text):
    """What holds on any machine: other processors may suggest a few other proposals."""
    assert "4 photographs, each cut into 3 overlapping views" in text
    named = re.search(r"^(\d+) proposals named, (\d+) left out$", text, re.MULTILINE)
    assert named
    assert int(named[1]) + int(named[2]) == 20
    assert int(named[1]) >= 14
    assert "2 corrections" in text
    assert "12 photographs, 0 failures" in text
    kinds = re.search(r"^12 photographs, (\d+) categories$", text, re.MULTILINE)
    assert kinds
    assert 9 <= int(kinds[1]) <= 12
    assert len(re.findall(r"^[a-z ]+: \d+ regions$", text, re.MULTILINE)) == int(kinds[1])


def test_the_notebook_holds_what_its_words_say():
    path = tool.notebook_of(SCRIPT)
    assert path.stat().st_size < 1_500_000
    book = nbformat.read(path, as_version=4)
    check_counts(texts(book))
    assert "18 proposals named, 2 left out" in texts(book)
    assert "12 photographs, 12 categories" in texts(book)
    assert len(pictures(book)) == 10
    assert sum(map(len, pictures(book))) < 1_000_000
    assert all(cell.get("execution_count") for cell in book.cells if cell.cell_type == "code")


def test_the_notebook_tells_nothing_of_the_machine_it_was_made_on():
    whole = json.loads(tool.notebook_of(SCRIPT).read_text(encoding="utf-8"))
    assert set(whole["metadata"]) == {"kernelspec"}
    book = nbformat.read(tool.notebook_of(SCRIPT), as_version=4)
    said = texts(book)
    assert not re.search(r"(?<![\w.])/(home|root|tmp|usr|work|Users)/|[A-Z]:\\\\", said)
    assert not re.search(r"\d s\b|it/s|Warning", said)
    assert all(not cell.metadata for cell in book.cells)


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path):
    book = tool.notebook(SCRIPT.read_text(encoding="utf-8"))
    tool.execute(book, tmp_path)
    tool.slim(book)
    check_counts(texts(book))
    assert len(pictures(book)) == 10
    kept = json.loads((tmp_path / "dataset/annotations/instances.json").read_text())
    assert len(kept["images"]) == 12
    assert f"12 photographs, {len(kept['categories'])} categories" in texts(book)
    assert "stderr" not in {
        each.get("name") for cell in book.cells for each in cell.get("outputs", ())
    }
