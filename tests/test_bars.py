import io
import sys
import types

import pytest

from primaps.bars import LineProgress, told_to
from primaps.errors import ConfigError
from primaps.progress import Silent


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_who_is_told(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(told_to(None), Silent)
    assert isinstance(told_to(True), LineProgress)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(told_to(None), LineProgress)
    assert isinstance(told_to(False), Silent)
    own = Silent()
    assert told_to(own) is own
    with pytest.raises(ConfigError, match=r"True, False, None or an object .* got 'yes'"):
        told_to("yes")


@pytest.mark.parametrize("shell", [None, object(), types.SimpleNamespace(kernel=1)])
def test_a_notebook_has_somebody_who_looks(monkeypatch, shell, capsys):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert isinstance(told_to(None), LineProgress) == hasattr(shell, "kernel")
    told_to(True).note("Where?")
    out, err = capsys.readouterr()
    assert ("Where?" in out) == hasattr(shell, "kernel")
    assert not err


def test_a_line_per_stage():
    seconds = iter([0.0, 0.0, 1.0, 1.0, 3.0, 3.0, 3.0, 4.0] + [5.0] * 9)
    stream = io.StringIO()
    line = LineProgress(stream, lambda: next(seconds))
    line.plan(("proposals", "fit"))
    line.start("proposals", 4, done=0)
    line.advance()
    line.advance()
    line.note("A note.")
    line.finish()
    drawn = stream.getvalue()
    assert "proposals    [############            ] 2/4, 3 s left" in drawn
    assert "\rA note.\n" in drawn
    assert drawn.endswith("proposals    2 in 4.0 s\n")


def test_a_stage_that_had_nothing_to_do_is_passed_over():
    stream = io.StringIO()
    line = LineProgress(stream)
    line.start("fit", 0)
    line.finish()
    assert stream.getvalue() == ""
