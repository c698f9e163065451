"""Whether compiled loops work on this machine, and what to do where they do not."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType


def compiled_module(name: str, task: str) -> tuple[ModuleType | None, str]:
    """A module of compiled loops, or None, with a warning, where numba does not work.

    Args:
        name: Absolute name of the module.
        task: What torch does without it, as the beginning of a sentence.

    Returns:
        The module or None, and in words what does the work.
    """
    try:
        import numba

        module = importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: the compiler's library cannot be loaded
        reason = f"numba does not work here ({error})"
        warnings.warn(
            f"{task} in torch, which is several times slower on CPUs: {reason}.", stacklevel=2
        )
        return None, f"torch, several times slower than compiled loops: {reason}"
    return module, f"compiled by numba {numba.__version__}"
