"""A program of the readers: hands its words, folder, environment and streams to the warm process.

python -I -S client.py SOCKET KIND WORDS...
"""

import array
import json
import os
import socket
import sys


def main() -> int:
    """Exit code of what the warm process did."""
    address, kind, *words = sys.argv[1:]
    folder = os.getcwd()  # noqa: PTH109 - quicker than pathlib
    job = {"kind": kind, "words": words, "folder": folder, "environment": dict(os.environ)}
    data = json.dumps(job).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        streams = array.array("i", [0, 1, 2])
        head = len(data).to_bytes(8, "big")
        connection.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        connection.sendall(data)
        answer = connection.recv(1)
    return answer[0] if answer else 70  # it was killed


if __name__ == "__main__":
    sys.exit(main())
