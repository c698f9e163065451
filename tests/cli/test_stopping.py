import signal
import subprocess
import sys
import threading

import pytest
from rich.console import Console

from primaps.cli.stopping import Stopping, present_stopping, stopping_on_signals
from primaps.cli.terminal import TerminalProgress
from primaps.progress import Stopped


@pytest.fixture(autouse=True)
def heeded():
    """Shells start what runs in the background with this signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def console(tmp_path):
    with (tmp_path / "said").open("w+") as stream:
        yield Console(file=stream, width=200)


def said(console):
    console.file.seek(0)
    return console.file.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stage_at_work_ends_with_its_step(console, number):
    with stopping_on_signals(console):
        progress = TerminalProgress(console)
        progress.start("proposals", 5)
        progress.advance()
        signal.raise_signal(number)
        assert "finished first. Once more ends at once." in said(console)
        with pytest.raises(Stopped):
            progress.advance()
        progress.finish()
    assert "proposals        2 in" in said(console)


def test_with_nothing_in_work_it_ends_at_once(console):
    with stopping_on_signals(console):
        TerminalProgress(console)
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)


def test_the_next_stage_does_not_begin(console):
    with stopping_on_signals(console):
        progress = TerminalProgress(console)
        progress.start("proposals", 1)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Stopped):
            progress.start("fit", 1)


def test_handlers_are_put_back_and_ignored_signals_stay_ignored(console):
    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with stopping_on_signals(console):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_have_no_handlers(console):
    asked = []

    def work():
        with stopping_on_signals(console):
            asked.append(present_stopping().asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert asked == [False]


def test_a_second_signal_ends_at_once():
    code = (
        "import signal, time\n"
        "from rich.console import Console\n"
        "from primaps.cli.stopping import stopping_on_signals, present_stopping\n"
        "with stopping_on_signals(Console(), lambda code: print('ended', code, flush=True)):\n"
        "    present_stopping().in_work = True\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "    finally:\n"
        "        print('still here', flush=True)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 130
    assert "ended 130" in result.stdout
    assert "still here" not in result.stdout


def test_without_a_command_nothing_stops():
    assert isinstance(present_stopping(), Stopping)
    present_stopping().step()
