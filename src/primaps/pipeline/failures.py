"""What happens to inputs that cannot be used: reported and skipped, unless all of them fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import torch

from primaps.errors import ImageError
from primaps.types import Failure, ImageFile

_LESS_MEMORY: Final[Mapping[str, str]] = {
    "proposals": "Reduce --size, or --max-pixels of `primaps segment`.",
    "predict": "Reduce --max-pixels.",
}
"""What to do where memory is short, by stage."""


@contextlib.contextmanager
def reported(failures: list[Failure], image: ImageFile, stage: str) -> Iterator[None]:
    """One bad image among many is reported and skipped. What concerns the whole run (a full disk, a
    bug) still ends it.
    """
    try:
        yield
    except ImageError as error:
        failures.append(Failure(image.place, "read", str(error)))
    except OSError as error:  # gone since it was found
        reason = (
            f"Expected a file that can be read, but got: {error}. Copy it again or leave it out."
        )
        failures.append(Failure(image.place, "read", reason))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        remedy = _LESS_MEMORY.get(stage, "Make the image smaller, or close other programs.")
        reason = f"Not enough memory for this image ({error}). {remedy}"
        failures.append(Failure(image.place, stage, reason))


def is_out_of_memory(error: Exception) -> bool:
    """Whether there was not enough memory, of the host or of a device."""
    # torch reports a failed allocation on the CPU as a plain RuntimeError.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(
        error
    )


def all_failed(failures: Sequence[Failure]) -> str:
    """The message when nothing is left: the first reasons, and how many more there are."""
    shown = "\n  ".join(f"{failure.path}: {failure.reason}" for failure in failures[:5])
    more = f"\n  ... and {len(failures) - 5} more" if len(failures) > 5 else ""
    return (
        f"Expected at least one usable image, but all {len(failures)} inputs failed:\n "
        f" {shown}{more}"
    )
