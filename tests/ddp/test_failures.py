"""One process that fails ends all, at once and with its own error."""

import os
import time

import pytest
import torch

from primaps.compute.processes import in_processes
from primaps.errors import DatasetError, ProcessError
from primaps.progress import Silent, Stopped


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def assert_gone(pid):
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("raises", DatasetError, "Expected process 1 to work"),
        # the other process may notice before the first is known to be gone
        ("killed", ProcessError, "terminated with signal SIGKILL|other processes to answer"),
    ],
)
def test_an_error_in_one_process_ends_both(jobs, how, error, message, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "7")  # of a cluster: no concern of ours
    told, port, started = Notes(), os.environ.get("MASTER_PORT"), time.monotonic()
    with pytest.raises(error, match=message):
        in_processes(2, torch.device("cpu"), told, jobs.fails, how)
    assert time.monotonic() - started < 300  # process 0 waits for 600 seconds at least
    assert_gone(int(told.notes[0].split()[1]))
    assert (os.environ["LOCAL_RANK"], os.environ.get("MASTER_PORT")) == ("7", port)


class Stopping(Notes):
    def advance(self, steps=1):
        raise Stopped


@pytest.mark.slow
def test_who_is_told_can_stop_all(jobs):
    told, started = Stopping(), time.monotonic()
    with pytest.raises(Stopped):
        in_processes(2, torch.device("cpu"), told, jobs.goes_on)
    assert time.monotonic() - started < 300
    for note in told.notes:
        assert_gone(int(note.split()[1]))
