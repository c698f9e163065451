"""A process that has imported everything: what asks it is carried out by a child forked from it.

    python server.py SOCKET RECORD

It says ``ready``, and ends when its standard input is closed. Every command that a child carried
out is a line of RECORD.
"""

from __future__ import annotations

import array
import contextlib
import io
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from snippets import jobs, python_blocks, quick


def main() -> None:
    """Serve until nobody needs it any more."""
    address, record = sys.argv[1:]
    quick.warm_up()
    quick.make_quick()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(16)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener.fileno(), 0], [], [])
            if 0 in ready:
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _child(connection, Path(record))
            connection.close()


def _child(connection: socket.socket, record: Path) -> None:
    """Carry a job out and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code = 70
    try:
        job = _received(connection)
        os.chdir(job["folder"])
        os.environ.clear()
        os.environ.update(job["environment"])
        if job["kind"] == "page":
            python_blocks.answer(connection)
            code = 0
        else:
            code = _recorded(job, record)
    except BaseException:  # noqa: BLE001 - the reader sees it
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    with contextlib.suppress(OSError):
        connection.sendall(bytes([code & 255]))
    os._exit(code & 255)


def _received(connection: socket.socket) -> dict[str, Any]:
    """A job; the streams that came with it are this process's now."""
    streams = array.array("i")
    head, extra, _, _ = connection.recvmsg(8, socket.CMSG_SPACE(3 * streams.itemsize))
    for _, _, data in extra:
        streams.frombytes(data[: len(data) - len(data) % streams.itemsize])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - this process's
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(open(number, "wb", closefd=False), line_buffering=True)  # noqa: SIM115
        for number in (1, 2)
    )
    length, data = int.from_bytes(head, "big"), b""
    while len(data) < length:
        data += connection.recv(length - len(data))
    job: dict[str, Any] = json.loads(data)
    return job


def _recorded(job: dict[str, Any], record: Path) -> int:
    """Carry a command out, and note how it went."""
    start = time.process_time()
    done = jobs.carry_out(job["kind"], job["words"])
    line = {
        "words": job["words"],
        "how": done.how,
        "code": done.code,
        "seconds": round(time.process_time() - start, 3),
    }
    with record.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return done.code


if __name__ == "__main__":
    main()
