"""What was found in a folder, and how it is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

Remade = Literal[
    "proposals", "fit", "label maps", "overlays", "report", "lists", "shards", "nothing", ""
]
"""The stage that makes a file again; ``nothing`` = none, it is not needed; empty = none can."""

_SHOWN: Final = 20
"""Faults of one kind that are named one by one."""

_MADE: Final[dict[Remade, str]] = {
    "proposals": "features and proposals",
    "fit": "the fit",
    "label maps": "label maps and certainties",
    "overlays": "overlays",
    "report": "the report",
    "lists": "lists",
    "shards": "shards",
}


@dataclass(frozen=True)
class Fault:
    """One file that is not as it should be.

    Attributes:
        path: Relative to the folder, with forward slashes.
        problem: What is wrong.
        remade: The stage that makes it again.
        there: The file exists.
        removed: It was removed.
    """

    path: str
    problem: str
    remade: Remade = ""
    there: bool = True
    removed: bool = False

    @property
    def removable(self) -> bool:
        """Whether removing the file mends the folder."""
        return self.there and self.remade != ""

    def gone(self) -> Fault:
        """The same, removed."""
        return replace(self, removed=True)


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        folder: Which was looked at; a URL as text.
        kind: ``run``, ``prediction``, ``model`` or ``run in shards``.
        files: So many were opened.
        faults: In the order of their paths.
        notes: What is no fault but good to know.
        again: The command that makes things again.
    """

    folder: Path | str
    kind: str
    files: int
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    again: str

    @property
    def sound(self) -> bool:
        """Whether nothing is left to do."""
        return all(fault.removed and fault.remade == "nothing" for fault in self.faults)

    def text(self) -> str:
        """All of it in words."""
        lines = [f"{self.folder}: a {self.kind}, {self.files} files looked into."]
        lines += [f"Note: {note}" for note in self.notes]
        for title, faults in (
            ("Faults", [each for each in self.faults if not each.removed]),
            ("Removed", [each for each in self.faults if each.removed]),
        ):
            if faults:
                lines.append(f"{title}: {len(faults)}")
                lines += [f"  {each.path}: {each.problem}" for each in faults[:_SHOWN]]
                lines += [f"  ... and {len(faults) - _SHOWN} more"] * (len(faults) > _SHOWN)
        lines += self._advice()
        return "\n".join(lines)

    def _advice(self) -> list[str]:
        if not self.faults or self.sound:
            return ["All is sound."]
        lines = []
        counts = Counter(each.remade for each in self.faults)
        made = [f"{words} ({counts[kind]})" for kind, words in _MADE.items() if counts[kind]]
        if made:
            lines.append(f"To be made again: {', '.join(made)}, by {self.again}")
        if any(each.removable and not each.removed for each in self.faults):
            lines.append("primaps doctor --fix removes what is torn and can be made again.")
        if counts[""]:
            lines.append(
                f"No command makes {counts['']} of these again; nothing of them is removed. What to"
                " do stands beside each."
            )
        return lines
