"""Who may ask the studio anything: whoever has its token, from a page of its own.

Every request passes here before anything else looks at it: the host by which the server was called
(against names that others let point to this machine), the page it comes from, the token. Answers
get the headers that keep pages of others away from them.
"""

from __future__ import annotations

import functools
import ipaddress
import secrets
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from primaps.studio.answering import problem

MARK: Final = "x-primaps"
"""Header that every request which changes something carries: pages of others cannot send it."""

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({"same-origin", "none"})
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_CLOSED: Final = (
    "<!doctype html><meta charset=utf-8>{refresh}<title>primaps studio</title><h1>This studio is"
    " closed to this browser</h1><p>Open the address that <code>primaps studio</code> printed, with"
    " everything behind the question mark.</p>"
)


@dataclass(frozen=True)
class Door:
    """What opens the studio.

    Attributes:
        token: Only who knows it is let in.
        port: Where the server listens.
        host: What it is bound to, a name or an address.
    """

    token: str
    port: int
    host: str = "127.0.0.1"

    @property
    def cookie(self) -> str:
        """Name of the cookie; cookies do not tell ports apart, so two studios need two names."""
        return f"primaps-{self.port}"

    def fits(self, token: str) -> bool:
        """Whether this is the token; takes equally long wherever they differ."""
        return secrets.compare_digest(token.encode("utf-8", "replace"), self.token.encode())

    def knows(self, host: str) -> bool:
        """Whether the server goes by this name.

        Args:
            host: Header ``Host`` of a request, or what follows ``http://`` in an origin.
        """
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname, 80 if parts.port is None else parts.port
        except ValueError:
            return False
        if name is None or port != self.port or parts.netloc != host or "@" in host:
            return False
        if name in {"127.0.0.1", "localhost", "::1", self.host.lower()}:
            return True
        # nobody else can give this machine an address, or its own name
        return self.host in _EVERYWHERE and (_is_address(name) or name in _own_names())


class Guard:
    """Lets requests through that come with the token, by the right name and from the own page.

    Args:
        app: What they are let through to.
        door: What opens it.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door
        self._tickets = set[str]()

    def ticket(self) -> str:
        """What opens the studio in the token's place, once. It is for command lines, which all
        users of a machine can read.
        """
        made = secrets.token_urlsafe(32)
        self._tickets.add(made)
        return made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = self._refusal(Request(scope))
        app = self._app if answer is None else answer
        keeping = "no-cache" if scope["path"].startswith("/web/") else "no-store"
        await app(
            scope,
            receive,
            _with_headers(send, keeping),
        )

    def _refusal(self, request: Request) -> Response | None:
        """What is answered in the app's place; None = the request passes."""
        headers = request.headers
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._door.knows(hosts[0]):
            return problem(
                403,
                f"Expected a request to 127.0.0.1:{self._door.port} or localhost:{self._door.port},"
                " but it was sent to another host. Open the address that primaps studio printed.",
            )
        given = request.query_params.get("token")
        if request.scope["path"] == "/" and request.method == "GET" and given is not None:
            return self._welcome(given)
        if not self._is_let_in(request):
            return self._closed(request)
        return self._foreign(request, headers)

    def _welcome(self, token: str) -> Response:
        if not self._door.fits(token) and token not in self._tickets:
            return HTMLResponse(_CLOSED.format(refresh=""), 401)
        self._tickets.discard(token)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._door.cookie, self._door.token, httponly=True, samesite="strict")
        return answer

    def _is_let_in(self, request: Request) -> bool:
        given = request.cookies.get(self._door.cookie)
        if given is not None and self._door.fits(given):
            return True
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._door.fits(token.strip())

    def _closed(self, request: Request) -> Response:
        """Without the token. A page of others that leads here does not bring the cookie along, but
        asking once more does.
        """
        if request.scope["path"] != "/":
            return problem(
                401, "Expected the token of this studio. Open the address that it printed."
            )
        led = request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}
        refresh = '<meta http-equiv="refresh" content="0; url=/">' if led else ""
        return HTMLResponse(_CLOSED.format(refresh=refresh), 401)

    def _foreign(self, request: Request, headers: Headers) -> Response | None:
        """What a page of others is answered, or one that does not say that it is the own one."""
        changing = request.method not in _READING
        site = headers.get("sec-fetch-site", "none")
        if site not in _OWN and (changing or request.scope["path"] != "/"):
            return problem(403, "Expected a request of the studio's own page, but got another's.")
        if not changing:
            return None
        origin = headers.get("origin")
        if origin is not None:
            scheme, _, host = origin.partition("://")
            if scheme != "http" or not self._door.knows(host):
                return problem(
                    403, "Expected a request of the studio's own page, but got another's."
                )
        if MARK not in headers:
            return problem(
                403,
                "Expected the header X-Primaps, which the studio's own page sends, but it is"
                " missing.",
            )
        return None


def _with_headers(send: Send, keeping: str) -> Send:
    """Adds what every answer carries; what may be kept of it, unless it says so itself."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("content-security-policy", _NOTHING)
            headers.setdefault("cache-control", keeping)
        await send(message)

    return sending


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@functools.cache
def _own_names() -> frozenset[str]:
    """Asked for once: that may take seconds, in which nobody else is answered."""
    return frozenset({socket.gethostname().lower(), socket.getfqdn().lower()})
