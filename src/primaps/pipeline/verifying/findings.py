"""What was found of a backbone, and how it is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

Verdict = Literal["ok", "not ok", "not known"]

_TITLES: Final = ("check", "found", "expected", "")


@dataclass(frozen=True)
class Finding:
    """One comparison.

    Attributes:
        check: What was compared.
        found: What there is, in words.
        expected: What there should be, in words.
        verdict: Whether they agree; ``not known`` = there was nothing to compare with.
    """

    check: str
    found: str
    expected: str
    verdict: Verdict


@dataclass(frozen=True)
class Findings:
    """All comparisons of one backbone.

    Attributes:
        backbone: Its name.
        file: Its weights.
        came: Where they came from, in words.
        sha256: Checksum of the file.
        findings: In the order in which they were made.
    """

    backbone: str
    file: Path
    came: str
    sha256: str
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing disagrees."""
        return all(each.verdict != "not ok" for each in self.findings)

    def text(self) -> str:
        """A table, and what it means."""
        rows = [_TITLES, *((each.check, each.found, each.expected, "") for each in self.findings)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        verdicts = ["", *(each.verdict for each in self.findings)]
        lines = [f"{self.backbone}: {self.file}", f"{self.came}; SHA-256 {self.sha256}", ""]
        lines += [
            "  ".join(f"{row[column]:<{widths[column]}}" for column in range(3)) + f"  {verdict}"
            for row, verdict in zip(rows, verdicts, strict=True)
        ]
        return "\n".join([*(line.rstrip() for line in lines), "", self._conclusion()])

    def _conclusion(self) -> str:
        if not self.sound:
            return (
                "Not ok: these are not the weights of this backbone, or they are damaged. Download"
                " them again from their official source."
            )
        unknown = [each.check for each in self.findings if each.verdict == "not known"]
        if not unknown:
            return "All is ok."
        return f"Ok, as far as it is known; not known: {', '.join(unknown)}."

    def record(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "backbone": self.backbone,
            "file": str(self.file),
            "came": self.came,
            "sha256": self.sha256,
            "ok": self.sound,
            "findings": [asdict(each) for each in self.findings],
        }
