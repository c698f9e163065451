"""Check the links of the documentation, without a network.

    python tools/check_docs.py [ROOT]

Pages are README.md, CONTRIBUTING.md, CHANGELOG.md, and every Markdown file in ``examples/``, below
``docs/`` and below ``src/``. Of every link the file must exist, written as on disk (upper and lower
case count), and its anchor must be a heading of that page; the same for images. Code, in blocks and
in the text, must not name a file of ``tools/``, ``benchmarks/``, ``tests/`` or ``docs/`` that is
not there. Links to other places are looked at for their form alone. One line per problem; exit code
1 if there is any. Headings are those that begin with ``#``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/**/*.md",
    "examples/*.md",
    "src/**/*.md",
)
HISTORY = frozenset({"CHANGELOG.md", "docs/log.md"})

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_LIST_ITEM = re.compile(r" {0,3}([-*+]|\d+[.)])\s")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\n[ \t]*\n).)+?)(?<!`)\1(?!`)", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HEADING = re.compile(r" {0,3}#{1,6}\s+(.*?)(?:\s+#+)?\s*$")
_INLINE = re.compile(r"\]\(\s*(<[^>\n]*>|[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)[^()]*\)")
_DEFINITION = re.compile(r"^ {0,3}\[([^\]^][^\]]*)\]:\s*(\S+)", re.MULTILINE)
_REFERENCE = re.compile(r"\[([^\[\]]+)\]\[([^\[\]]*)\]")
_HTML = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)\s*=\s*[\"']([^\"']*)[\"']")
_AUTOLINK = re.compile(r"<([a-z][a-z0-9+.-]*:[^>\s]*)>", re.IGNORECASE)
_ID = re.compile(r"<[a-z][^>]*?\b(?:id|name)\s*=\s*[\"']([^\"']+)[\"']")
_FILE = re.compile(
    r"(?<![\w./$*-])(?:tools|benchmarks|tests|docs)/[\w./-]*\.(?:py|md|png)\b(?![*/])"
)
_HOST = re.compile(r"[\w-]+(\.[\w-]+)+(:\d+)?", re.ASCII)


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where; ``line`` counts from 1."""

    page: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Page:
    """A page in two layers of equal length, so that a position in one is that in the other.

    Attributes:
        prose: the text with all code and comments blanked out.
        code: the code, in blocks and in the text, with all else blanked out.
        anchors: what may follow ``#`` in a link to the page.
    """

    prose: str
    code: str
    anchors: frozenset[str]


def pages(root: Path) -> list[Path]:
    """The pages that are checked, in order."""
    return sorted({path for pattern in PAGES for path in root.glob(pattern)})


def _code_lines(lines: list[str]) -> list[bool]:
    """Of every line whether it belongs to a fenced or an indented block of code."""
    marks, fence = [], ""
    blank, in_list, before = True, False, False
    for line in lines:
        opened = _FENCE.match(line)
        if fence:
            closes = opened and opened[1].startswith(fence) and not line.strip().strip(fence[0])
            marks.append(True)
            fence = "" if closes else fence
        elif opened:
            fence = opened[1]
            marks.append(True)
        else:
            indented = line.startswith(("    ", "\t")) and not in_list and (blank or before)
            marks.append(indented and bool(line.strip()))
        if line.strip() and not line.startswith((" ", "\t")):
            in_list = False
        in_list = in_list or (not marks[-1] and _LIST_ITEM.match(line) is not None)
        blank, before = not line.strip(), marks[-1]
    return marks


def _blank(text: str) -> str:
    """Spaces instead of everything but the ends of lines."""
    return re.sub(r"[^\n]", " ", text)


def parse(text: str) -> Page:
    """Part a page into prose and code, and find its anchors.

    Args:
        text: Markdown.

    Returns:
        The page.
    """
    lines = text.split("\n")
    marks = _code_lines(lines)
    prose = "\n".join(_blank(x) if mark else x for x, mark in zip(lines, marks, strict=True))
    code = [x if mark else _blank(x) for x, mark in zip(lines, marks, strict=True)]
    anchors = _anchors(prose)
    prose = _COMMENT.sub(lambda match: _blank(match[0]), prose)
    layer = list("\n".join(code))
    for span in _SPAN.finditer(prose):
        layer[slice(*span.span(2))] = span[2]
    return Page(_SPAN.sub(lambda match: _blank(match[0]), prose), "".join(layer), anchors)


def _anchors(prose: str) -> frozenset[str]:
    """Headings as they are named in links, the second of a name with ``-1``; and explicit ids."""
    names: set[str] = set()
    counts: dict[str, int] = {}
    for line in prose.split("\n"):
        heading = _HEADING.match(line)
        if heading:
            name = slug(heading[1])
            count = counts.get(name, 0)
            counts[name] = count + 1
            names.add(f"{name}-{count}" if count else name)
    return frozenset(names | set(_ID.findall(prose)))


def slug(heading: str) -> str:
    """The anchor of a heading: lower case, hyphens for spaces, without markup and punctuation."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", text)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def links(page: Page) -> Iterator[tuple[int, str]]:
    """All targets of links and images, with their positions in the text."""
    for pattern in (_INLINE, _HTML, _AUTOLINK):
        for match in pattern.finditer(page.prose):
            yield match.start(1), match[1].strip("<>")
    for match in _DEFINITION.finditer(page.prose):
        yield match.start(2), match[2].strip("<>")


def undefined_references(page: Page) -> Iterator[tuple[int, str]]:
    """Labels of ``[text][label]`` that the page does not define, with their positions."""
    defined = {match[1].lower() for match in _DEFINITION.finditer(page.prose)}
    for match in _REFERENCE.finditer(page.prose):
        label = match[2] or match[1]
        if label.lower() not in defined:
            yield match.start(), label


@cache
def _names(folder: Path) -> frozenset[str]:
    return frozenset(entry.name for entry in folder.iterdir())


def _on_disk(root: Path, relative: str) -> bool:
    """Whether a path exists below the root with exactly these letters."""
    folder = root
    for part in Path(relative).parts:
        if not folder.is_dir() or part not in _names(folder):
            return False
        folder /= part
    return True


def _external(target: str) -> str | None:
    """What is wrong with the form of a link to another place."""
    parts = urlsplit(target)
    if parts.scheme == "mailto":
        return None if "@" in parts.path else f"no address: {target}"
    if parts.scheme not in {"http", "https"}:
        return f"expected http, https or mailto, got {target}"
    return None if _HOST.fullmatch(parts.netloc) else f"no host: {target}"


def _normal(folder: Path, path: str) -> str | None:
    """A relative path from the root, without dots; None if it leaves the root."""
    parts: list[str] = list(folder.parts)
    for part in path.split("/"):
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def link_problem(root: Path, page: Path, target: str, read: Callable[[Path], Page]) -> str | None:
    """What is wrong with a link.

    Args:
        root: the repository.
        page: the page that holds the link, relative to the root.
        target: the link.
        read: gives the page of a path.

    Returns:
        The problem; None if there is none.
    """
    if urlsplit(target).scheme:
        return _external(target)
    path, _, anchor = target.partition("#")
    if target.startswith("/") or not target:
        return f"expected a relative path, got '{target}'"
    place = _normal(page.parent, unquote(path)) if path else page.as_posix()
    if place is None:
        return f"{target} leads out of the repository"
    if not _on_disk(root, place):
        return f"no file {place}"
    if not anchor or (place.endswith(".md") and unquote(anchor) in read(root / place).anchors):
        return None
    return f"no heading {target}"


def check(root: Path) -> list[Problem]:
    """Check all pages.

    Args:
        root: the repository.

    Returns:
        All problems, page by page, in the order of the lines.
    """
    _names.cache_clear()
    read = cache(lambda path: parse(path.read_text(encoding="utf-8")))
    problems = []
    for path in pages(root):
        page, name = read(path), path.relative_to(root)
        found = [
            (position, message)
            for position, target in links(page)
            if (message := link_problem(root, name, target, read)) is not None
        ]
        found += [(at, f"no definition of [{label}]") for at, label in undefined_references(page)]
        found += [
            (match.start(), f"the code names {match[0]}, which does not exist")
            for match in _FILE.finditer(page.code)
            if name.as_posix() not in HISTORY and not _on_disk(root, match[0])
        ]
        problems += [
            Problem(name.as_posix(), page.prose.count("\n", 0, position) + 1, message)
            for position, message in sorted(found)
        ]
    return problems


def main(arguments: list[str]) -> int:
    """Print what is wrong.

    Args:
        arguments: the repository, if it is not the one of this file.

    Returns:
        The exit code.
    """
    root = Path(arguments[0]) if arguments else Path(__file__).parents[1]
    checked = pages(root)
    if not checked:
        print(f"No pages in {root}: expected README.md or docs/.", file=sys.stderr)
        return 2
    problems = check(root)
    for problem in problems:
        print(problem)
    print(f"{len(checked)} pages, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
