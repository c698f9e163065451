"""Whether compiled loops work on this machine, and what to do where they do not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

Module = TypeVar("Module")


def loaded(load: Callable[[], Module], task: str) -> tuple[Module | None, str]:
    """Compiled loops, or None, with a warning, where numba does not work.

    Args:
        load: Imports the loops, and knows their type.
        task: What torch does without them, as the beginning of a sentence.

    Returns:
        What ``load`` returns or None, and in words what does the work.
    """
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
