"""Real photographs to try the package on: those that scikit-image and scikit-learn carry."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from primaps.errors import MissingExtraError

_PHOTOGRAPHS = {
    "skimage": (
        "data/astronaut.png",
        "data/chelsea.png",
        "data/coffee.png",
        "data/rocket.jpg",
        "data/motorcycle_left.png",
        "data/motorcycle_right.png",
        "data/camera.png",
        "data/coins.png",
        "data/hubble_deep_field.jpg",
        "data/ihc.png",
        "data/retina.jpg",
        "data/moon.png",
    ),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
}


def photographs() -> list[Path]:
    """Paths of the photographs inside the installed packages.

    Raises:
        MissingExtraError: If there are none: neither package is installed, or without its data.
    """
    found: list[Path] = []
    for package, names in _PHOTOGRAPHS.items():
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        found += [path for name in names if (path := Path(spec.origin).parent / name).exists()]
    if not found:
        raise MissingExtraError(
            "Expected the photographs that come with scikit-image or scikit-learn, but found none. "
            "Install them with: pip install 'primaps[demo]'"
        )
    return found
