"""Twins: two modules with the same functions, ``plain.py`` in torch and ``compiled.py`` as loops
for the CPU, and the choice between them.

The plain one is the reference, and the path on devices other than the CPU. To force it on the CPU,
call its functions, or wrap the work in `Twins.plain_only`; with ``NUMBA_DISABLE_JIT=1`` in the
environment a whole process takes the plain path everywhere, and warns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

from primaps.compute.compiling.loading import loaded

Functions = TypeVar("Functions")


class Twins(Generic[Functions]):
    """A plain module and its compiled twin, which is imported when it is first needed.

    ``Functions`` is the protocol that both follow, so that mypy compares their signatures.

    Args:
        plain: The functions in torch.
        load: Imports the compiled loops and returns them.
        task: What torch does without them, as the beginning of a sentence.
    """

    def __init__(self, plain: Functions, load: Callable[[], Functions], task: str) -> None:
        self.plain = plain
        self._load = load
        self._task = task
        self._loaded: tuple[Functions | None, str] | None = None
        self._plain_only = False

    @property
    def compiled(self) -> Functions | None:
        """The compiled loops; None, with a warning the first time, where numba does not work."""
        return self._once()[0]

    def on(self, device: torch.device) -> Functions:
        """The compiled loops on the CPU if they can be had, plain torch otherwise."""
        if device.type != "cpu" or self._plain_only:
            return self.plain
        compiled = self.compiled
        return self.plain if compiled is None else compiled

    def describe(self) -> str:
        """What does the work on CPUs, in words."""
        return self._once()[1]

    @contextmanager
    def plain_only(self) -> Iterator[None]:
        """While this lasts, every thread takes the plain path: for tests and measurements."""
        before, self._plain_only = self._plain_only, True
        try:
            yield
        finally:
            self._plain_only = before

    def _once(self) -> tuple[Functions | None, str]:
        if self._loaded is None:
            self._loaded = loaded(self._load, self._task)
        return self._loaded
