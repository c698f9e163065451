"""The tools' folder is where the site's hooks find their modules."""

import importlib
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[3] / "tools"


@pytest.fixture(scope="session")
def site_pages():
    """``site_pages(name)``: a module of `tools/site_pages`."""
    sys.path.insert(0, str(TOOLS))
    yield lambda name: importlib.import_module(f"site_pages.{name}")
    sys.path.remove(str(TOOLS))
