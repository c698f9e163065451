"""Two processes that live as long as the tests, so that each test need not start its own."""

import importlib
import threading
from multiprocessing import Pipe
from pathlib import Path

import pytest
import torch

from primaps.compute.processes import in_processes
from primaps.progress import Silent


@pytest.fixture(scope="session")
def jobs():
    """The module `ddp_jobs`, by a name under which started processes find it, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        yield importlib.import_module("ddp_jobs")


class Pool:
    """Calls functions of `ddp_jobs` in both processes."""

    def __init__(self, connections):
        self.connections = connections

    def __call__(self, name, *args):
        """What both processes returned, in the order of ranks; the first exception is raised."""
        for connection in self.connections:
            connection.send((name, args))
        found = []
        for connection in self.connections:
            assert connection.poll(60), "a process does not answer"
            found.append(connection.recv())
        for each in found:
            if isinstance(each, Exception):
                raise each
        return found


@pytest.fixture(scope="session")
def pool(jobs):
    """A pool of two processes joined by gloo."""
    pipes, ends = [Pipe(), Pipe()], []

    def work():
        theirs = [end for _, end in pipes]
        ends.append(in_processes(2, torch.device("cpu"), Silent(), jobs.serve, theirs))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield Pool([own for own, _ in pipes])
    for own, _ in pipes:
        own.send(None)
    thread.join(60)
    assert ends == ["served"]
