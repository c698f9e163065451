"""A studio listens: its port, what is printed, and how it ends."""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn

from primaps.errors import ConfigError
from primaps.studio.app import Studio
from primaps.studio.guarding import Door

PORT: Final = 8765
"""Taken when it is free, so that an address stays the same from day to day."""

LOCAL: Final = frozenset({"127.0.0.1", "localhost", "::1"})
PATIENCE: Final = 5.0
"""Seconds that a job has to stop at its next step, once the studio ends."""

LIMIT: Final = 12.0
"""Seconds after which the studio has ended, whatever is still at work in it: nothing that is on
disk is half done.
"""

Say = Callable[[str], None]
"""Prints a line at once, as it is."""


@dataclass(frozen=True)
class Told:
    """Where the studio tells what.

    Attributes:
        result: The address, and how to reach it.
        warning: What the user should know.
    """

    result: Say
    warning: Say


def serve(
    folder: Path, *, host: str = "127.0.0.1", port: int | None, browser: bool, told: Told
) -> None:
    """Serve a folder until Ctrl+C.

    Args:
        folder: Run folder, or a folder of `predict`.
        host: Name or address to listen at.
        port: Likewise; None = one that is free.
        browser: Open one.
        told: Where to print.

    Raises:
        ConfigError: If the host or the port cannot be had, or names or corrections have a mistake.
        CheckpointError: If the folder holds no label maps.
        DatasetError: If no photograph is left.
    """
    with listening(host, port) as listener:
        door = Door(secrets.token_urlsafe(32), listener.getsockname()[1], host)
        studio = Studio(folder, door)
        ticket = studio.app.ticket if browser else None
        server = _Server(studio, lambda: _welcome(door, ticket, told))
        server.run(sockets=[listener])
        if not studio.jobs.close(PATIENCE):
            _end()


@contextlib.contextmanager
def listening(host: str, port: int | None) -> Iterator[socket.socket]:
    """A socket that is bound.

    Args:
        host: Name or address.
        port: None or 0 = the usual one if it is free, else any.

    Raises:
        ConfigError: If it cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"Expected --host to be a name or an address of this machine, but got {host!r}"
            f" ({error})."
        ) from error
    with _listener(family, str(address[0]), (port,) if port else (PORT, 0)) as found:
        yield found


def _listener(family: socket.AddressFamily, address: str, ports: tuple[int, ...]) -> socket.socket:
    """A socket that listens at the first of some ports that is free."""
    for port in ports:
        found = socket.socket(family, socket.SOCK_STREAM)
        try:
            if sys.platform != "win32":  # there it would share the port with whoever has it
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((address, port))
            found.listen()  # two that start at once may both bind
        except OSError as error:
            found.close()
            if port == ports[-1]:
                raise ConfigError(
                    f"Expected to listen at {address}, port {port}, but got: {error.strerror}."
                    " Another program may use it; choose another --port, or leave it out."
                ) from error
        else:
            return found
    raise AssertionError("no port was given")


def address(door: Door, token: str) -> str:
    """The address to open, with a token."""
    return f"http://{_reached(door)}:{door.port}/?token={token}"


def tunnel(door: Door) -> str:
    """What to type on another machine to reach a studio that listens on this one only."""
    inner = f"{_reached(door)}:{door.port}"
    return f"ssh -L {door.port}:{inner} {_user()}{socket.gethostname()}"


def _reached(door: Door) -> str:
    """How this machine reaches it, as it stands in addresses."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(door.host, door.host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


def _user() -> str:
    try:
        return f"{getpass.getuser()}@"
    except (OSError, KeyError):  # an account without a name
        return ""


def _welcome(door: Door, ticket: Callable[[], str] | None, told: Told) -> None:
    """Tell where the studio is, once it can be reached, and open a browser if there is a ticket."""
    if door.host not in LOCAL:
        told.warning(
            f"The studio listens at {door.host}: whoever reaches this machine and has the address"
            " with its token can see and change the run. Nothing is encrypted."
        )
    told.result(address(door, door.token))
    opened = ticket is not None and not _is_remote() and _open(address(door, ticket()))
    other = f"{'From' if opened else 'Open this address. From'} another machine first type:"
    with contextlib.suppress(BrokenPipeError):  # a program that only wanted the address
        told.result(f"{other}\n{tunnel(door)}")
        told.result("Ctrl+C ends the studio; everything is saved as you go.")


def _is_remote() -> bool:
    """Whether a person sits at another machine: a browser that opened here would not be seen."""
    return bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))


def _open(address: str) -> bool:
    """Open a browser with a window; one in the terminal would take it."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return False
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    return True


class _Server(uvicorn.Server):
    """Tells when it can be reached, and ends without a word.

    Args:
        studio: What is served.
        ready: Called once it can be reached.
    """

    def __init__(self, studio: Studio, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                studio.app,
                http="h11",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        self._studio, self._ready = studio, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listeners are told, so that nobody waits for them."""
        self._studio.events.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ctrl+C is the usual end, no interruption to be reported."""
        wanted = (signal.SIGINT, signal.SIGTERM)
        former = {each: signal.signal(each, self._end) for each in wanted}
        try:
            yield
        finally:
            for each, handler in former.items():
                signal.signal(each, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        # what is cut off now is no news to whoever ends it
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self.handle_exit(number, frame)
        limit = threading.Timer(LIMIT, _end)
        limit.daemon = True
        limit.start()


def _end() -> None:
    """End this process though a thread is at work: what it writes is written whole or not at all,
    and resumed.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)
