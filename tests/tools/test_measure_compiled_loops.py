import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

from primaps.prototypes.steps.compiled import CompiledSums
from primaps.prototypes.steps.plain import PlainSums

SUMS = (PlainSums, CompiledSums)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    path = ROOT / "tools" / "measure_compiled_loops.py"
    spec = importlib.util.spec_from_file_location("measure_compiled_loops", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def twins(package):
    return [importlib.import_module(f"primaps.{package}.{name}") for name in ("plain", "compiled")]


def test_jobs_name_loops_and_loops_name_functions_of_both_twins(tool):
    for names in tool.JOBS.values():
        assert set(names) <= set(tool.LOOPS)
    for loops in tool.LOOPS.values():
        for twin in SUMS if isinstance(loops, tool.Sums) else twins(loops.package):
            assert all(callable(getattr(twin, name)) for name in loops.functions)


def test_sums_that_were_taken_away_are_the_plain_ones(tool, monkeypatch):
    plain, compiled = SUMS
    for name in ("ballots", "token_logits"):
        monkeypatch.setattr(compiled, name, getattr(compiled, name))  # put back afterwards
    tool.Sums(functions=("ballots",)).take_away()
    assert compiled.ballots is plain.ballots
    assert compiled.token_logits is not plain.token_logits


def test_a_module_that_was_taken_away_cannot_be_imported(tool, monkeypatch):
    name = "primaps.features.mini.compiled"
    monkeypatch.setitem(sys.modules, name, importlib.import_module(name))  # put back afterwards
    tool.Loops(tool.MINI).take_away()
    with pytest.raises(ImportError):
        importlib.import_module(name)


def test_functions_that_were_taken_away_are_the_plain_ones(tool, monkeypatch):
    plain, compiled = twins(tool.MINI)
    for name in ("triangle", "mean_shift"):
        monkeypatch.setattr(compiled, name, getattr(compiled, name))  # put back afterwards
    tool.Loops(tool.MINI, ("triangle",)).take_away()
    assert compiled.triangle is plain.triangle
    assert compiled.mean_shift is not plain.mean_shift
    with pytest.raises(AttributeError, match="to have nothing, but it has not"):
        tool.Loops(tool.MINI, ("nothing",)).take_away()


def test_images_have_no_stencil_once_it_was_taken_away(tool, monkeypatch):
    compiled = twins(tool.CRF)[1]
    monkeypatch.setattr(compiled, "has_stencil", compiled.has_stencil)  # put back afterwards
    assert compiled.has_stencil(100, 1.0)
    tool.Stencil(tool.CRF).take_away()
    assert not compiled.has_stencil(100, 1.0)
