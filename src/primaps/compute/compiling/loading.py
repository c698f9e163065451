"""Whether compiled loops work on this machine, and what to do where they do not."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import TypeVar

Module = TypeVar("Module")


def compiled_module(name: str, task: str) -> tuple[ModuleType | None, str]:
    """A module of compiled loops, or None, with a warning, where numba does not work.

    Args:
        name: Absolute name of the module.
        task: What torch does without it, as the beginning of a sentence.

    Returns:
        The module or None, and in words what does the work.
    """
    return loaded(partial(importlib.import_module, name), task)


def loaded(load: Callable[[], Module], task: str) -> tuple[Module | None, str]:
    """As `compiled_module`, with the module imported by ``load``, which knows its type."""
    try:
        import numba

        module = load()
    except (ImportError, OSError) as error:  # OSError: the compiler's library cannot be loaded
        reason = f"numba does not work here ({error})"
        warnings.warn(
            f"{task} in torch, which is several times slower on CPUs: {reason}.", stacklevel=2
        )
        return None, f"torch, several times slower than compiled loops: {reason}"
    return module, f"compiled by numba {numba.__version__}"
