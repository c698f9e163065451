"""What the site adds to pages."""

import importlib
import sys
import types
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module")
def hooks():
    sys.path.insert(0, str(TOOLS))
    yield importlib.import_module("site_hooks")
    sys.path.remove(str(TOOLS))


@pytest.fixture
def drawn(hooks):
    """``drawn(text, place)``: a page as it is drawn, and what else is said of it."""

    def draw(text, place):
        page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri=place), meta={})
        return hooks.on_page_markdown(text, page=page, config={}, files=[]), page.meta

    return draw


def test_parts_and_addresses(drawn):
    text, meta = drawn("[m](../../Makefile)\n\n<!-- made from the code: exit codes -->\n", "a/b.md")
    assert "/blob/main/Makefile)" in text
    assert "| `130` |" in text
    assert not meta


@pytest.mark.parametrize("place", ["log.md", "decisions/0001-one-shard-per-image.md"])
def test_the_search_finds_pages_for_the_record_last(drawn, place):
    assert drawn("# Log\n", place)[1]["search"]["boost"] < 1


@pytest.mark.parametrize("place", ["start/install.md", "how-to/export.md"])
def test_the_search_finds_pages_that_tell_how_first(drawn, place):
    assert drawn("# Export\n", place)[1]["search"]["boost"] > 1


def test_options_are_marked(hooks):
    html = hooks.on_page_content("<p><code>--min-area</code> <code>primaps fit --seed</code></p>")
    assert html == ('<p><code class="option">--min-area</code> <code>primaps fit --seed</code></p>')
