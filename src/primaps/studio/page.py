"""The page, and the modules and styles that it loads."""

from __future__ import annotations

import mimetypes
import secrets
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

import primaps.outputs.viewer
from primaps.outputs.viewer.page import studio_page

WEB: Final = Path(str(primaps.outputs.viewer.__file__)).parent / "web"
"""The viewer's modules and styles."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self';"
    " img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)


class Page:
    """The page of a studio.

    Args:
        title: Of the page.
    """

    def __init__(self, title: str) -> None:
        self._title = title

    async def show(self, request: Request) -> HTMLResponse:  # noqa: ARG002 - the same for all
        """GET /."""
        nonce = secrets.token_hex(16)
        headers = {
            "content-security-policy": _POLICY.format(nonce=nonce),
            "cache-control": "no-store",
        }
        return HTMLResponse(studio_page(self._title, nonce), headers=headers)


def static_files() -> StaticFiles:
    """GET /web/...: what the page loads; nothing outside this folder, no links out of it."""
    # registries of Windows may call scripts plain text, which browsers then refuse
    mimetypes.add_type("text/javascript", ".js")
    mimetypes.add_type("text/css", ".css")
    return StaticFiles(directory=WEB)
