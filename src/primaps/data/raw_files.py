"""Files that are images and that this package does not decode: raw files of cameras and others."""

from __future__ import annotations

from typing import Final

RAW_EXTENSIONS: Final = (
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf"),
    *(".rw2", ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".erf", ".mrw", ".kdc", ".dcr", ".rwl"),
)
"""Extensions of raw files, lower case. Some hold a picture besides, which is read."""

HEIC_EXTENSIONS: Final = (".heic", ".heif", ".hif", ".heics", ".heifs")
"""Extensions of HEIF files, lower case; read with the extra ``formats``."""

OTHER_EXTENSIONS: Final = (
    *(".jxl", ".jxr", ".psd", ".psb", ".exr", ".hdr", ".xcf"),
    *(".pam", ".qoi", ".tga", ".pcx", ".dcm", ".fits"),
)
"""Extensions of further files that are images, lower case; none is read."""

_STARTS: Final = (
    b"FUJIFILMCCD-RAW",
    b"IIU\0",
    b"IIRO",
    b"IIRS",
    b"MMOR",
    b"FOVb",
    b"\0MRM",
    b"II\x1a\0\0\0HEAPCCDR",
)
"""Of raw files that are no TIFF files."""
_CANON: Final = b"CR\2\0"
"""Behind the first 8 bytes of a TIFF file: a CR2 file, whose pictures are previews."""


def is_raw(start: bytes) -> bool:
    """Whether a file that starts like this is the raw file of a camera; of a TIFF file its
    directories tell in general.
    """
    return start.startswith(_STARTS) or start[4:11] == b"ftypcrx" or start[8:12] == _CANON


def raw_message(name: str) -> str:
    """What there is to say of raw data of a camera."""
    return (
        f"Expected a picture, but {name} holds the raw data of a camera's sensor, which have to be"
        " developed first. Export it as JPEG or TIFF and use that."
    )
