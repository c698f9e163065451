import sys
import threading
import warnings
from types import SimpleNamespace

import pytest
import torch

from primaps.compute.compiling.twins import Twins

CPU = torch.device("cpu")
PLAIN, COMPILED = SimpleNamespace(name="plain"), SimpleNamespace(name="compiled")


def test_the_cpu_takes_the_compiled_loops_and_other_devices_the_plain_ones():
    twins = Twins(PLAIN, lambda: COMPILED, "Something runs")
    assert twins.on(CPU) is twins.compiled is COMPILED
    assert twins.on(torch.device("cuda")) is twins.plain is PLAIN
    assert twins.describe().startswith("compiled by numba ")


def test_other_devices_need_no_compiled_loops():
    calls = []
    twins = Twins(PLAIN, lambda: calls.append(1) or COMPILED, "Something runs")
    assert twins.on(torch.device("cuda")) is PLAIN
    assert not calls
    assert [twins.on(CPU), twins.on(CPU)] == [COMPILED, COMPILED]
    assert calls == [1]


def test_the_plain_path_can_be_forced_in_all_threads():
    twins, found = Twins(PLAIN, lambda: COMPILED, "Something runs"), []
    with twins.plain_only():
        thread = threading.Thread(target=lambda: found.append(twins.on(CPU)))
        thread.start()
        thread.join()
        with twins.plain_only():
            assert twins.on(CPU) is PLAIN
        assert twins.on(CPU) is PLAIN
    assert found == [PLAIN]
    assert twins.on(CPU) is COMPILED


def test_without_numba_torch_takes_over_and_says_so_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    twins = Twins(PLAIN, lambda: COMPILED, "Something runs")
    with pytest.warns(UserWarning, match="Something runs in torch, which is several times slower"):
        assert twins.on(CPU) is PLAIN
    with warnings.catch_warnings(action="error"):
        assert twins.on(CPU) is PLAIN
        assert twins.compiled is None
    assert twins.describe().startswith("torch, several times slower")
