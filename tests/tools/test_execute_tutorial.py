"""Notebooks out of scripts."""

import base64
import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

_SPEC = importlib.util.spec_from_file_location(
    "execute_tutorial", Path(__file__).parents[2] / "tools" / "execute_tutorial.py"
)
tool = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tool)

SCRIPT = """# %% [markdown]
# # Title
#
# Text.

# %%
a = 1


# %%
def f():
    return a
"""


def test_a_script_is_parted_into_cells():
    assert list(tool.cells(SCRIPT)) == [
        ("markdown", "# Title\n\nText."),
        ("code", "a = 1"),
        ("code", "def f():\n    return a"),
    ]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("a = 1\n# %%\nb = 2\n", "begin with a cell, but got 'a = 1"),
        ("# %% [markdown]\na = 1\n", "text in comments, but got 'a = 1'"),
        ("# %% [raw]\n# x\n", r"got '# %% \[raw\]'"),
    ],
)
def test_a_script_that_is_none_is_refused(script, message):
    with pytest.raises(ValueError, match=message):
        list(tool.cells(script))


def test_a_notebook_is_valid_and_the_same_each_time():
    book = tool.notebook(SCRIPT)
    nbformat.validate(book)
    assert nbformat.writes(book) == nbformat.writes(tool.notebook(SCRIPT))
    assert tool.notebook_of(Path("docs/a_b.py")) == Path("docs/a-b.ipynb")


def test_pictures_become_small_and_pages_are_left_out():
    stream = io.BytesIO()
    Image.fromarray(np.zeros((40, 50, 4), np.uint8)).save(stream, "PNG")
    book = tool.notebook(SCRIPT)
    code = book.cells[1]
    code.outputs = [
        nbformat.v4.new_output(
            "display_data",
            {"image/png": base64.b64encode(stream.getvalue()).decode(), "text/plain": "<Figure>"},
        ),
        nbformat.v4.new_output(
            "execute_result", {"text/html": "<b>", "text/plain": "Report"}, execution_count=1
        ),
        nbformat.v4.new_output("stream", text="said"),
    ]
    tool.slim(book)
    nbformat.validate(book)
    picture, page, said = code.outputs
    assert set(picture.data) == {"image/jpeg"}
    with Image.open(io.BytesIO(base64.b64decode(picture.data["image/jpeg"]))) as opened:
        assert opened.size == (50, 40)
    assert dict(page.data) == {"text/plain": "Report"}
    assert said.text == "said"


def test_the_notebooks_cells_are_those_of_their_scripts():
    scripts = sorted(tool.TUTORIALS.glob("*.py"))
    assert scripts
    for script in scripts:
        book = nbformat.read(tool.notebook_of(script), as_version=4)
        nbformat.validate(book)
        kept = [(cell.cell_type, cell.source) for cell in book.cells]
        assert kept == list(tool.cells(script.read_text(encoding="utf-8"))), (
            f"run: python tools/execute_tutorial.py {script.stem}"
        )
