"""The page, and the modules and styles that it loads."""

from __future__ import annotations

import mimetypes
import secrets
from pathlib import Path
from typing import Final

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

import primaps.outputs.viewer

WEB: Final = Path(str(primaps.outputs.viewer.__file__)).parent / "web"
"""The viewer's modules and styles."""

_STYLES: Final = ("style.css", "photo.css", "studio/studio.css")
_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self';"
    " img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_PAGE: Final = Environment(autoescape=True).from_string(
    """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }} - primaps studio</title>
<link rel="icon" href="data:,">
{% for style in styles -%}
<link rel="stylesheet" href="/web/{{ style }}">
{% endfor -%}
<script type="importmap" nonce="{{ nonce }}">{"imports": {"viewer/": "/web/"}}</script>
<script type="module" src="/web/studio.js"></script>
</head>
<body>
<div id="app"></div>
<noscript>The studio needs JavaScript.</noscript>
</body>
</html>
"""
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
        nonce = secrets.token_urlsafe(16)
        text = _PAGE.render(title=self._title, styles=_STYLES, nonce=nonce)
        headers = {
            "content-security-policy": _POLICY.format(nonce=nonce),
            "cache-control": "no-store",
        }
        return HTMLResponse(text, headers=headers)


def static_files() -> StaticFiles:
    """GET /web/...: what the page loads; nothing outside this folder, no links out of it."""
    # registries of Windows may call scripts plain text, which browsers then refuse
    mimetypes.add_type("text/javascript", ".js")
    mimetypes.add_type("text/css", ".css")
    return StaticFiles(directory=WEB)
