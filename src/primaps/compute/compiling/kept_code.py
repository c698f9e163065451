"""Machine code kept on disk by numba, with a checksum: what is damaged, unreadable or another
user's is a miss, and compiled anew.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any, Final

_FAILURES: Final = (Exception,)
"""Pickles that are cut or changed raise anything."""


class KeptCode:
    """The cache of one function, in the place of numba's own.

    Args:
        cache: Of numba, for the function.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    @property
    def cache_path(self) -> str:
        """Its folder."""
        return str(self._cache.cache_path)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Machine code for a signature; None if there is none that is whole."""
        if not self.is_there():
            return None
        try:
            return self._cache.load_overload(signature, target)
        except _FAILURES:
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep machine code; where that cannot be, it is compiled anew the next time."""
        with contextlib.suppress(*_FAILURES):
            if not self.is_there():
                self._cache.flush()  # a damaged index would be read before it is written
            self._cache.save_overload(signature, data)
            self._checksum_file().write_text(self._checksum(), encoding="ascii")

    def is_there(self) -> bool:
        """Whether whole machine code lies there."""
        try:
            kept = self._checksum_file().read_text(encoding="ascii")
            return kept == self._checksum()
        except (OSError, ValueError):
            return False

    def _index(self) -> Path:
        return Path(self._cache._cache_file._index_path)

    def _checksum_file(self) -> Path:
        return self._index().with_suffix(".sha256")

    def _checksum(self) -> str:
        """Of the index and the code."""
        index = self._index()
        digest = hashlib.sha256(index.read_bytes())
        for path in sorted(index.parent.glob(f"{index.stem}.*.nbc")):
            digest.update(path.read_bytes())
        return digest.hexdigest()
