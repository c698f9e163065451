"""Pages out of executed notebooks."""

import base64
import importlib.util
import json
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location(
    "write_tutorial_pages", Path(__file__).parents[2] / "tools" / "write_tutorial_pages.py"
)
tool = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tool)


def test_cells_and_what_they_gave_follow_each_other(tmp_path):
    drawn = base64.b64encode(b"picture").decode()
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "Words."]},
        {"cell_type": "markdown", "source": ["## Part"]},
        {
            "cell_type": "code",
            "source": ["print(1)\n", "draw()"],
            "outputs": [
                {"output_type": "stream", "text": ["1\n"]},
                {"output_type": "display_data", "data": {"image/jpeg": drawn}},
            ],
        },
    ]
    path = tmp_path / "a-b.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    text, pictures = tool.page(path)
    assert pictures == {"a-b/01.jpg": b"picture"}
    lines = [line for line in text.splitlines() if line and not line.startswith("<!--")]
    assert lines == [
        "# Title",
        "*Documents: [`primaps.segmenter`](../../src/primaps/segmenter.py)*",
        "Words.",
        "The same as a notebook, to be run: [a-b.ipynb](a-b.ipynb).",
        "## Part",
        "```python",
        "print(1)",
        "draw()",
        "```",
        "```text",
        "1",
        "```",
        "![Part: what the cell above draws](a-b/01.jpg)",
    ]


def test_the_pages_are_those_of_the_notebooks():
    notebooks = sorted(tool.TUTORIALS.glob("*.ipynb"))
    assert notebooks
    for notebook in notebooks:
        text, pictures = tool.page(notebook)
        again = "run: python tools/write_tutorial_pages.py"
        assert tool.page_of(notebook).read_text(encoding="utf-8") == text, again
        kept = {f"{notebook.stem}/{path.name}" for path in notebook.with_suffix("").glob("*")}
        assert kept == set(pictures), again
        for name, data in pictures.items():
            assert (tool.TUTORIALS / name).read_bytes() == data, again
        assert sum(map(len, pictures.values())) < 1_000_000
