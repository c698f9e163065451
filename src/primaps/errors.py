"""The exception tree. Every error the package raises on purpose derives from `PrimapsError`.

A message says what was expected, what came, and what to do about it; the command line prints it as
it is.
"""

from __future__ import annotations


class PrimapsError(Exception):
    """Base class of every error that is meant for the user."""


class ConfigError(PrimapsError):
    """A setting is unknown, out of range, or contradicts another one."""


class DatasetError(PrimapsError):
    """A data set or an input folder is missing, empty or incomplete."""


class ImageError(DatasetError):
    """One image cannot be read. A run over many images reports it and goes on."""


class BackboneError(PrimapsError):
    """A backbone is unknown, its weights are missing, or they belong to another model."""


class CheckpointError(PrimapsError):
    """A saved model or store is missing, damaged, or was written with other settings."""


class OutputError(PrimapsError):
    """An output cannot be written: read-only folder, full disk, foreign content."""


class PlaceError(PrimapsError):
    """A file on disk or in an object store cannot be read.

    Args:
        message: What was expected, what came, what to do.
        missing: Whether it is not there.
    """

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class MissingExtraError(PrimapsError):
    """A feature needs an optional dependency that is not installed."""


class ProcessError(PrimapsError):
    """One of several processes ended before its work was done, or does not answer."""


class UnusedInputWarning(UserWarning):
    """Some of the images that a library call was given could not be used."""
