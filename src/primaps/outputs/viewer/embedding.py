"""The viewer's modules and styles, as they lie in ``web/``, and how a page holds them."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

PREFIX: Final = "viewer/"
"""Of the names by which modules import each other."""

_STUDIO: Final = "studio"
_FIRST_STYLE: Final = "style.css"


def web_files() -> dict[str, bytes]:
    """Content of every module and style by its path below ``web/``, in the order of their names."""
    found = dict[str, bytes]()
    _gather(files("primaps.outputs.viewer") / "web", "", found)
    return dict(sorted(found.items()))


def _gather(folder: Traversable, above: str, found: dict[str, bytes]) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            _gather(entry, f"{above}{entry.name}/", found)
        elif entry.name.endswith((".js", ".css")):
            found[above + entry.name] = entry.read_bytes()


def of_studio(path: str) -> bool:
    """Whether a file in ``web/`` is of the studio alone."""
    return path == f"{_STUDIO}.js" or path.startswith(f"{_STUDIO}/")


def report_import_map() -> str:
    """JSON of an import map that holds the modules themselves, as data: addresses; none of the
    studio's.
    """
    modules = {
        PREFIX + path: "data:text/javascript;base64," + base64.b64encode(content).decode("ascii")
        for path, content in web_files().items()
        if path.endswith(".js") and not of_studio(path)
    }
    return json.dumps({"imports": modules})


def served_import_map(root: str = "/web/") -> str:
    """JSON of an import map for modules that a server gives.

    Args:
        root: Where it gives the files of ``web/``, with a slash at the end.
    """
    return json.dumps({"imports": {PREFIX: root}})


def report_styles() -> str:
    """All styles but the studio's, as one text."""
    return "\n".join(
        content.decode("utf-8")
        for path, content in sorted(web_files().items(), key=lambda each: _style_order(each[0]))
        if path.endswith(".css") and not of_studio(path)
    )


def style_paths() -> list[str]:
    """All styles, also the studio's, in the order in which a page links them."""
    return sorted((path for path in web_files() if path.endswith(".css")), key=_style_order)


def _style_order(path: str) -> tuple[bool, bool, str]:
    return of_studio(path), path != _FIRST_STYLE, path


def policy_hash(text: str) -> str:
    """What a Content-Security-Policy says of an inline script or style."""
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"
