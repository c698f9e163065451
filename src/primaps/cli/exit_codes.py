"""What a command ends with. The help and the documentation tell it from here."""

from __future__ import annotations

from typing import Final

EXIT_FAILED, EXIT_USAGE, EXIT_SOME_FAILED, EXIT_INTERRUPTED = 1, 2, 3, 130

MEANINGS: Final[dict[int, str]] = {
    0: "all done",
    EXIT_FAILED: "nothing could be done",
    EXIT_USAGE: "usage or configuration error",
    EXIT_SOME_FAILED: "finished, but some inputs failed",
    EXIT_INTERRUPTED: "interrupted, resumable",
}
"""Of each exit code, in a few words."""
