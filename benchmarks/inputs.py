"""What the benchmarks run on where nothing is named: photographs and features beside the
repository, or what packages carry.
"""

from __future__ import annotations

from pathlib import Path

from primaps.data import demo_views as demo

SHARED = Path(__file__).resolve().parents[2] / "shared"
FEATURES = SHARED / "golden"


def photograph() -> tuple[Path, str]:
    """One photograph, and where it is from."""
    own = SHARED / "data" / "bsds500" / "train" / "100075.jpg"
    if own.is_file():
        return own, "a photograph of BSDS500"
    return photographs()[0], "a photograph of scikit-image"


def folder_of_photographs(limit: int) -> tuple[list[Path], str]:
    """Several photographs, evenly spread, and where they are from."""
    own = SHARED / "data" / "bsds500" / "val"
    found = sorted(own.glob("*.jpg")) if own.is_dir() else []
    paths, origin = (
        (found, "photographs of BSDS500 val")
        if found
        else (photographs(), "photographs of scikit-image")
    )
    count = min(limit, len(paths))
    return [paths[index * len(paths) // count] for index in range(count)], origin


def photographs() -> list[Path]:
    """The colour photographs of scikit-image and scikit-learn.

    Raises:
        MissingExtraError: If there are none.
    """
    return list(demo.photographs().values())
