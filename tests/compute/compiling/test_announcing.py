import pytest

from primaps.compute.compiling import announcing
from primaps.compute.compiling.announcing import (
    MESSAGE,
    compilation_begins,
    compilation_told_to,
    compilation_was_told,
)


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    monkeypatch.setattr(announcing, "_told", False)
    monkeypatch.setattr(announcing, "_tell", None)


def test_it_is_told_once_to_whoever_is_at_work():
    outer, inner = [], []
    with compilation_told_to(outer.append):
        with compilation_told_to(inner.append):
            compilation_begins()
        compilation_begins()
    assert (outer, inner) == ([], [MESSAGE])
    assert compilation_was_told()


def test_the_outer_work_is_told_again_when_the_inner_one_is_over():
    outer, inner = [], []
    with compilation_told_to(outer.append):
        with compilation_told_to(inner.append):
            pass
        compilation_begins()
    assert (outer, inner) == ([MESSAGE], [])


def test_where_nobody_listens_the_next_listener_is_told_all_the_same():
    told = []
    compilation_begins()
    assert not compilation_was_told()
    with compilation_told_to(told.append):
        compilation_begins()
    assert told == [MESSAGE]
