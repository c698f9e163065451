"""Single lines that are not run: each with its reason, one of `pages.REASONS` or a test.

They are parsed all the same. A line that no page has any more is an error.
"""

from __future__ import annotations

from typing import Final

NOT_RUN_LINES: Final[dict[str, str]] = {}
"""By the line without its comment."""
