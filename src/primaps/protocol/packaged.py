"""The rows that come with the package, as files. Imports nothing heavy, because `primaps list`
names them.
"""

from __future__ import annotations

from importlib import resources

from primaps.config import did_you_mean
from primaps.errors import ConfigError


def row_names() -> list[str]:
    """Names of the rows that come with the package."""
    files = resources.files("primaps.protocol").joinpath("published_rows").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def row_text(name: str) -> str:
    """A row as TOML.

    Raises:
        ConfigError: If there is none of this name.
    """
    known = row_names()
    if name not in known:
        raise ConfigError(
            f"Unknown row {name!r}.{did_you_mean(name, known)} `primaps list` shows all rows."
        )
    return (
        resources.files("primaps.protocol")
        .joinpath("published_rows", f"{name}.toml")
        .read_text(encoding="utf-8")
    )
