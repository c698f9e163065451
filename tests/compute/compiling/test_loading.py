import sys

import pytest

from primaps.compute.compiling.loading import loaded


def test_the_module_and_what_compiles_it():
    loops, words = loaded(lambda: "loops", "Something runs")
    assert loops == "loops"
    assert words.startswith("compiled by numba ")


def test_without_numba_torch_takes_over_aloud(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.warns(
        UserWarning,
        match="Something runs in torch, which is several times slower on CPUs: numba does not work",
    ):
        loops, words = loaded(lambda: "loops", "Something runs")
    assert loops is None
    assert words.startswith("torch, several times slower")
