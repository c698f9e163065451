"""`primaps studio` as a process of its own, for as long as it is needed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).resolve().parents[2] / "src"
ADDRESS: Final = re.compile(r"^(http://127\.0\.0\.1:(\d+))/\?token=(\S+)$", re.MULTILINE)
PATIENCE: Final = 60.0
"""Seconds until it accepts connections, and until it has ended."""


@dataclass(frozen=True)
class Studio:
    """A running studio.

    Attributes:
        url: What it printed; opens the studio in a browser.
        address: Without the token, nor a slash at its end.
        port: In it.
        process: Its process.
    """

    url: str
    address: str
    port: int
    process: subprocess.Popen[bytes]

    def memory_mib(self) -> float:
        """Resident memory now, in MiB. Linux only."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1024

    def kill(self) -> None:
        """End it at once, without any chance to tidy up."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def running_studio(folder: Path, *options: str, port: int = 0) -> Iterator[Studio]:
    """The studio of a folder, ready; ended afterwards, by Ctrl-C as a person does.

    Args:
        folder: The run.
        options: Further ones of the command.
        port: 0 = any free one.

    Raises:
        RuntimeError: If it ends, or does not print its address.
    """
    command = [sys.executable, "-m", "primaps", "studio", str(folder), "--no-browser"]
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH", "")]))
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*command, "--port", str(port), *options],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path},
            preexec_fn=_obey_interrupts if os.name == "posix" else None,  # noqa: PLW1509
        )
        try:
            yield _ready(process, output.fileno())
        finally:
            _end(process)


def _obey_interrupts() -> None:
    """Shells let the commands that they run in the background ignore Ctrl-C, and children inherit
    that.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _ready(process: subprocess.Popen[bytes], output: int) -> Studio:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        ended = process.poll() is not None
        text = os.pread(output, 1 << 16, 0).decode(errors="replace")
        if found := ADDRESS.search(text):
            return Studio(found[0], found[1], int(found[2]), process)
        if ended:
            raise RuntimeError(f"The studio ended with {process.returncode}:\n{text}")
        threading.Event().wait(0.05)
    raise RuntimeError(f"The studio printed no address within {PATIENCE:g} s:\n{text}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
