"""The fenced blocks of a page, and the comments that say what is done with them.

``<!-- not run: REASON -->`` before a block: it is only parsed; the reason says one of `REASONS`, or
names the test that carries it out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SHELL: Final = frozenset({"sh", "bash", "console"})
DATA: Final = frozenset({"yaml", "toml", "json"})
EXECUTED: Final = SHELL | DATA | {"python"}
SHOWN: Final = frozenset({"text", "mermaid", "bibtex", "html", "dockerfile", "diff", "markdown"})
"""Languages of blocks that are only looked at."""
REASONS: Final = (
    *("network", "download", "GPU", "cluster", "container", "data set", "file", "hours", "minutes"),
    *("serves", "object store", "other machine", "version", "tag", "changelog"),
)
"""Why a block may not be run."""

_HISTORY: Final = ("docs/log.md", "docs/decisions/")
_FENCE: Final = re.compile(r"( *)(`{3,}|~{3,})\s*([\w+-]*)")
_COMMENT: Final = re.compile(r"<!--\s*not run:\s*(.*?)\s*-->")
_TEST: Final = re.compile(r"tests/\w[\w/]*(?:\.py)?")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Path of the page below the root.
        line: Of the opening fence, counted from 1.
        language: Of the fence.
        text: What stands in it.
        reason: Why it is not run; None = it is.
        output: The text block right below it; None = there is none.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None
    output: str | None = None

    @property
    def place(self) -> str:
        """Page and line."""
        return f"{self.page}:{self.line}"


def page_paths() -> list[str]:
    """README, CONTRIBUTING and all of docs but history, below the root."""
    found = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("docs/**/*.md"))]
    return ["README.md", "CONTRIBUTING.md", *(n for n in found if not n.startswith(_HISTORY))]


def blocks_of(page: str) -> list[Block]:
    """All fenced blocks of a page, also those of languages that are not executed."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    ends: list[int] = []
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        indent, fence, language = opening.groups()
        end = number + 1
        while end < len(lines) and not lines[end].strip().startswith(fence):
            end += 1
        text = "\n".join(line.removeprefix(indent) for line in lines[number + 1 : end])
        reason = next(iter(_reasons_above(lines, number)), None)
        found.append(Block(page, number + 1, language, text, reason))
        ends.append(end)
        number = end + 1
    return _with_outputs(found, ends, lines)


def _reasons_above(lines: list[str], number: int) -> list[str]:
    """Of the comments in the lines right before a fence."""
    found: list[str] = []
    while number > 0 and (not lines[number - 1].strip() or "<!--" in lines[number - 1]):
        number -= 1
        found += _COMMENT.findall(lines[number])
    return found


def _with_outputs(blocks: list[Block], ends: list[int], lines: list[str]) -> list[Block]:
    found = []
    for number, block in enumerate(blocks):
        below = blocks[number + 1] if number + 1 < len(blocks) else None
        output = None
        if block.language in SHELL and below is not None and below.language == "text":
            between = lines[ends[number] + 1 : below.line - 1]
            output = below.text if not "".join(between).strip() else None
        found.append(Block(**{**vars(block), "output": output}))
    return found


def reason_problem(block: Block) -> str | None:
    """What is wrong with the reason why a block is not run; None = nothing."""
    assert block.reason is not None
    tests = _TEST.findall(block.reason)
    missing = [test for test in tests if not (ROOT / test).exists()]
    if missing:
        return f"{block.place}: there is no {missing[0]}"
    if tests or any(re.search(rf"\b{word}", block.reason) for word in REASONS):
        return None
    return f"{block.place}: expected a reason with one of {', '.join(REASONS)}, or a test"


def commands_of_console(text: str) -> str:
    """The commands of a console block: what stands after a prompt."""
    found = [re.match(r"(?:[\w@.-]*[$#]|>>>) (.*)", line) for line in text.splitlines()]
    return "\n".join(each[1] for each in found if each is not None)
