"""A reader's shell and interpreter: programs that lead to the warm process, a folder, variables."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from snippets import known_forms, sandbox

PATIENCE: Final = 300
"""Seconds that a block may take."""

PLAIN: Final = (
    *("awk", "bash", "basename", "cat", "cp", "cut", "date", "diff", "dirname", "du", "env"),
    *("find", "grep", "head", "id", "ln", "ls", "mkdir", "mv", "nproc", "rm", "sed", "seq", "sh"),
    *("sha256sum", "sleep", "sort", "tail", "tar", "tee", "touch", "tr", "true", "uniq", "unzip"),
    *("wc", "xargs"),
)
"""Programs of the machine that blocks may use; none of them reaches a network."""

_HERE: Final = Path(__file__).parent


@dataclass(frozen=True)
class Ran:
    """A shell block that was carried out.

    Attributes:
        code: Exit code of the whole.
        output: Both streams.
        commands: Of every command: words, how ("run", "parsed"), code, processor seconds.
    """

    code: int
    output: str
    commands: list[dict[str, Any]]


class Reader:
    """Works in a folder that `restore` brings back to how a page finds it.

    Args:
        work: Folder of everything; its path must be short, for the socket's sake.
    """

    def __init__(self, work: Path) -> None:
        self.home = work / "home"
        self._pristine, self._record = work / "pristine", work / "commands.jsonl"
        self._address, self._state = work / "s", work / "state"
        self._programs, self._plain = work / "programs", work / "plain"
        self._silent = work / "silent"
        self._environment: dict[str, str] = {}
        self._write_programs()

    @contextmanager
    def at_work(self) -> Iterator[Reader]:
        """While the warm process lives; the folder is prepared first."""
        command = [sys.executable, str(_HERE / "server.py"), str(self._address), str(self._record)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._usual()
        ) as server:
            assert server.stdout is not None
            assert server.stdin is not None
            if server.stdout.readline() != b"ready\n":
                raise RuntimeError("the warm process did not start")
            try:
                self._prepare()
                yield self
            finally:
                server.stdin.close()

    def restore(self) -> None:
        """The folder, its paths and the variables as at the top of a page."""
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self._pristine, self.home, symlinks=True)
        self._environment = self._usual()

    def given_again(self, folder: str) -> None:
        """A folder as at the top of a page; it is absent if it was then."""
        shutil.rmtree(self.home / folder, ignore_errors=True)
        if (self._pristine / folder).is_dir():
            shutil.copytree(self._pristine / folder, self.home / folder)

    def shell(self, text: str) -> Ran:
        """Carry a block out; folder and variables are as the last one left them."""
        self._record.write_text("", encoding="utf-8")
        left = f"{self._plain}/env -0 > {self._state}"
        script = f"set -aeE -o pipefail\ntrap '{left}' EXIT\n{text}\n"
        done = subprocess.run(
            [str(self._plain / "bash"), "-c", script],
            cwd=self._environment["PWD"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
        )
        entries = self._state.read_bytes().decode().split("\0")
        self._environment = dict(entry.split("=", 1) for entry in entries if "=" in entry)
        commands = [json.loads(line) for line in self._record.read_text("utf-8").splitlines()]
        return Ran(done.returncode, done.stdout.decode(errors="replace"), commands)

    @contextmanager
    def python(self) -> Iterator[PythonPage]:
        """The interpreter of a page."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._address))
            job = {"kind": "page", "folder": str(self.home), "environment": self._environment}
            data = json.dumps(job).encode()
            with Path(os.devnull).open("r+b") as nowhere:
                streams = [nowhere.fileno()] * 2 + [2]
                socket.send_fds(connection, [len(data).to_bytes(8, "big")], streams)
            connection.sendall(data)
            yield PythonPage(connection)

    def _usual(self) -> dict[str, str]:
        """Environment: a home of its own, the programs in front, no traces of the machine's."""
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        source = str(_HERE.parents[1] / "src")
        return {
            **kept,
            "PATH": f"{self._programs}{os.pathsep}{self._plain}",
            "SNIPPET_RUN_PATH": f"{self._programs}{os.pathsep}{self._plain}",
            "SNIPPET_SILENT_PATH": f"{self._programs}{os.pathsep}{self._silent}",
            "PYTHONPATH": source,
            "HOME": str(self.home),
            "PWD": str(self.home),
            "XDG_CACHE_HOME": str(self._pristine.parent / "cache"),
            "MPLCONFIGDIR": str(self._pristine.parent / "matplotlib"),
            "MPLBACKEND": "agg",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "100",
            "HF_HUB_OFFLINE": "1",
            **{name: name for name in sandbox.VARIABLES},
        }

    def _prepare(self) -> None:
        sandbox.prepare(self.home)
        for name in (".venv", ".venv-release"):
            (self.home / name).mkdir()
            (self.home / name / "bin").symlink_to(self._programs)
        self._environment = self._usual()
        made = self.shell("\n".join(sandbox.MAKING))
        if made.code:
            raise RuntimeError(f"The folder could not be made:\n{made.output}")
        sandbox.copy_run(self.home)
        shutil.copytree(self.home, self._pristine, symlinks=True)

    def _write_programs(self) -> None:
        """All that the reader's shell finds."""
        self._programs.mkdir(parents=True)
        self._plain.mkdir()
        self._silent.mkdir()
        for name in PLAIN:
            (self._silent / name).symlink_to("/bin/true")
            found = shutil.which(name)
            if found is not None:
                (self._plain / name).symlink_to(found)
        client = shlex.join([sys.executable, "-I", "-S", str(_HERE / "client.py")])
        to_server = f'{client} {shlex.quote(str(self._address))} "${{SNIPPET_KIND:-run}}"'
        names = {"primaps": "primaps", "python": "python", "python3": "python"}
        for name in known_forms.programs():
            names.setdefault(name, name)
        for name, told in names.items():
            path = self._programs / name
            path.write_text(f'#!/bin/sh\nexec {to_server} {told} "$@"\n', encoding="utf-8")
            path.chmod(0o755)


class PythonPage:
    """An interpreter that keeps its names from block to block."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rw", encoding="utf-8")

    def run(self, code: str, place: str) -> str | None:
        """Execute a block; returns what went wrong, None if nothing did."""
        self._file.write(json.dumps({"code": code, "place": place}) + "\n")
        self._file.flush()
        answer = self._file.readline()
        if not answer:
            return "the interpreter ended"
        found: str | None = json.loads(answer)
        return found
