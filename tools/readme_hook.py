"""Build hook: the README as the package index shows it, where relative links lead nowhere.

Links and pictures become addresses of the files at the tag of the version, below the project's
address in ``[project.urls]`` of ``pyproject.toml``. Links within the page stay, and so does code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PICTURES: Final = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp")
_CODE: Final = re.compile(
    r"^(```|~~~).*?^\1[^\n]*$|(`+)(?!`).+?(?<!`)\2(?!`)", re.MULTILINE | re.DOTALL
)
_TARGET: Final = re.compile(
    r"(\]\(|\b(?:href|src)=\"|^ {0,3}\[[^\]]+\]:[ ]+)(?![a-z][a-z0-9+.-]*:|//|#)([^)\s\"]+)",
    re.IGNORECASE | re.MULTILINE,
)


def absolute(text: str, source: str, version: str) -> str:
    """Give relative links the address of their file at the tag of a version.

    Args:
        text: Markdown, of a page at the root of the repository.
        source: address of the repository, without a slash at its end.
        version: of the package; its tag is this with a ``v`` before it.

    Returns:
        The text; what is code is as it was.
    """

    def address(match: re.Match[str]) -> str:
        path = match[2].removeprefix("./")
        picture = path.partition("#")[0].lower().endswith(_PICTURES)
        return f"{match[1]}{source}/{'raw' if picture else 'blob'}/v{version}/{path}"

    parts: list[str] = []
    end = 0
    for code in _CODE.finditer(text):
        # a link's text may be code: what follows it is looked at together with its closing bracket
        parts += [_TARGET.sub(address, text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _TARGET.sub(address, text[end:])])


class CustomMetadataHook(MetadataHookInterface):
    """Sets the readme; found by hatchling by its base class."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Put the text into the metadata.

        Args:
            metadata: the table ``project``, with the version.
        """
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute(text, metadata["urls"]["Source"], metadata["version"]),
        }
