"""Where outputs for an object store are put together: a folder on the disk at hand, of this user
alone. Its name can be foreseen, so that an interrupted command finds it again; hence nobody else
may own it.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from primaps.errors import OutputError
from primaps.runs.store import fingerprint


def far_scratch(url: str) -> Path:
    """The folder for outputs of a URL, not made yet."""
    return _private() / fingerprint(url)


def check_scratch(scratch: Path) -> None:
    """Make the folder that holds those of `far_scratch`, for its owner alone; others pass.

    Args:
        scratch: A folder for what is not finished, from `far_scratch` or elsewhere.

    Raises:
        OutputError: If somebody else owns it, others may write in it, or it cannot be made.
    """
    private = _private()
    if scratch.parent != private:
        return
    try:
        private.mkdir(mode=0o700, exist_ok=True)
        found = private.lstat()
    except OSError as error:
        raise OutputError(f"{private} cannot be made ({error}). {_ELSEWHERE}") from None
    if os.name != "posix":  # elsewhere the system's folder for temporary files is the user's own
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise OutputError(
            f"Expected {private} to be a folder that this user alone may write, but it is not."
            f" {_ELSEWHERE}"
        )


_ELSEWHERE = "Remove it, or name another folder for temporary files with TMPDIR."


def _private() -> Path:
    user = str(os.getuid()) if os.name == "posix" else "scratch"
    return Path(tempfile.gettempdir()) / f"primaps-{user}"
