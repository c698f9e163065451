import sys

import pytest

from primaps.compute.compiling.loading import compiled_module
from primaps.prototypes.steps import compiled


def test_the_module_and_what_compiles_it():
    module, words = compiled_module("primaps.prototypes.steps.compiled", "Something runs")
    assert module is compiled
    assert words.startswith("compiled by numba ")


def test_without_numba_torch_takes_over_aloud(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.warns(
        UserWarning,
        match="Something runs in torch, which is several times slower on CPUs: numba does not work",
    ):
        module, words = compiled_module("primaps.prototypes.steps.compiled", "Something runs")
    assert module is None
    assert words.startswith("torch, several times slower")
