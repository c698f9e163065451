"""The program as a user starts it: another process, with one thread so that runs can be
compared.
"""

import os
import signal
import subprocess
import sys

import pytest

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def obey_interrupts():
    """Shells let the commands that they run in the background ignore Ctrl-C, and children inherit
    that.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def command(*arguments):
    """The command line; bytes stand for file names that are no text."""
    return [
        sys.executable,
        "-m",
        "primaps",
        *(item if isinstance(item, bytes) else str(item) for item in arguments),
    ]


@pytest.fixture(scope="session")
def primaps():
    """Runs a command to its end."""

    def run(*arguments, cwd=None):
        return subprocess.run(
            command(*arguments),
            env=ENVIRONMENT,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def start_primaps():
    """Starts a command and leaves it at work; it is ended with the test if need be."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            command(*arguments),
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=obey_interrupts,  # noqa: PLW1509 - the tests start no threads
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
