"""Links of pages that leave ``docs/``, as addresses of the project."""

from __future__ import annotations

import posixpath
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from check_docs import links, parse


def project_address(root: Path) -> str:
    """Where the project's files are shown, from ``[project.urls]``.

    Args:
        root: Folder of ``pyproject.toml``.

    Raises:
        KeyError: If it names no ``Source``.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Source"]).rstrip("/")


def outside(target: str, page: str) -> str | None:
    """The file or folder that a link means, from the root of the repository; None if it stays
    within the documentation.

    Args:
        target: The link.
        page: Path of the page that holds it, below ``docs/``.
    """
    path = urlsplit(target).path
    if urlsplit(target).scheme or not path:
        return None
    place = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), path))
    return None if place.startswith("docs/") else place


def with_addresses(text: str, page: str, root: Path) -> str:
    """A page of which the links out of ``docs/`` are addresses of the project.

    Args:
        text: Markdown.
        page: Its path below ``docs/``.
        root: Of the repository.
    """
    address = project_address(root)
    for position, target in sorted(links(parse(text)), reverse=True):
        place = outside(target, page)
        if place is None:
            continue
        kind = "tree" if (root / place).is_dir() else "blob"
        anchor = f"#{urlsplit(target).fragment}" if urlsplit(target).fragment else ""
        begin = text.index(target, position)
        text = f"{text[:begin]}{address}/{kind}/main/{place}{anchor}{text[begin + len(target) :]}"
    return text
