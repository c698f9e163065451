"""Backbones, data sets and exports that other installed packages bring along.

Such a package names a module in its ``pyproject.toml``::

    [project.entry-points."primaps.extensions"]
    stripes = "stripes_for_primaps"

The module is imported when a name is looked up that this package does not know, or when names are
listed, and registers what it has: `primaps.features.registry.register_backbone`,
`primaps.data.dataset.register_dataset`, `primaps.outputs.export.registry.register_export`. Nothing
that a run folder or a model says can cause an import: only what is installed is.
"""

from __future__ import annotations

import functools
import re
from importlib import metadata
from typing import Any, Final

from primaps.errors import ConfigError

GROUP: Final = "primaps.extensions"
"""Of the entry points that name modules to import."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")


@functools.cache
def load_extensions() -> None:
    """Import the modules that installed packages name, once per process.

    Raises:
        ConfigError: If one cannot be imported; the message names its package.
    """
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda each: each.name):
        try:
            entry.load()
        except Exception as error:
            package = entry.dist.name if entry.dist is not None else "an installed package"
            raise ConfigError(
                f"Expected the extension {entry.name!r} of {package} ({entry.value}) to be"
                f" importable, but got {type(error).__name__}: {error}. Mend the package or"
                " uninstall it."
            ) from error


def check_registration(
    kind: str, name: str, maker: Any, *, own: tuple[str, ...], former: Any | None
) -> None:
    """Check that something may be registered under a name.

    The same module may register a name again, as a cell of a notebook does that is run twice.

    Args:
        kind: What it is, in words.
        name: The name.
        maker: What makes it: a function or a class.
        own: Names of this package.
        former: What made it before; None = the name is new.

    Raises:
        ConfigError: If the name has another form, belongs to this package, or was registered by
            another module.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"Expected the name of {kind} to be small letters, digits, _ and -, but got {name!r}."
        )
    if name in own:
        raise ConfigError(
            f"Expected a new name for {kind}, but {name!r} comes with primaps. Choose another one."
        )
    if not callable(maker):
        raise ConfigError(f"Expected a function or class that makes {kind}, but got {maker!r}.")
    homes = [getattr(each, "__module__", "") for each in (former, maker)]
    if former is not None and homes[0] != homes[1]:
        raise ConfigError(
            f"Expected a new name for {kind}, but {name!r} was registered by the module"
            f" {homes[0]} already. Choose another one."
        )
