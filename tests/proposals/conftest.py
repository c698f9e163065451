"""What the tests of proposals share."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference():
    """The module ``reference.py``: the method as a reader of the paper would write it."""
    path = Path(__file__).with_name("reference.py")
    spec = importlib.util.spec_from_file_location("proposals_reference", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    return module
