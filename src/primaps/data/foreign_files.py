"""What a file is that holds no image of a kind that is read, by its first bytes, so that the
message about it says so.
"""

from __future__ import annotations

from typing import Final

NEEDED: Final = 512
"""Bytes of a file's start that are looked at."""

_EXPORT: Final = "Export it as PNG, TIFF or JPEG."
_STARTS: Final = (
    (b"version https://git-lfs", "a pointer of Git LFS", "Fetch the file: git lfs pull."),
    (b"\0\5\x16\7", "what macOS keeps beside a file", "Leave it out."),
    (b"%PDF", "a PDF document", "Export its pages as PNG or JPEG."),
    (b"8BPS", "a Photoshop file", _EXPORT),
    (b"gimp xcf", "a GIMP file", _EXPORT),
    (b"\xff\n", "a JPEG XL file", _EXPORT),
    (b"\0\0\0\x0cJXL ", "a JPEG XL file", _EXPORT),
    (b"II\xbc", "a JPEG XR file", _EXPORT),
    (b"v/1\x01", "an OpenEXR file", _EXPORT),
    (b"#?RADIANCE", "a Radiance HDR file", _EXPORT),
    (b"#?RGBE", "a Radiance HDR file", _EXPORT),
    (b"qoif", "a QOI file", _EXPORT),
    (b"P7\n", "a PAM file", _EXPORT),
    (b"PF", "a PFM file of colours", _EXPORT),
    (b"\0\0\1\0", "an icon", "Leave it out."),
    (b"SIMPLE  =", "a FITS file", _EXPORT),
    (b"\x5c\1\0\0", "a NIfTI volume", "Export its planes as PNG or TIFF."),
    (b"\x93NUMPY", "a NumPy array", "Save it as PNG or TIFF."),
    (b"\x89HDF", "an HDF5 file", _EXPORT),
    (b"PK\3\4", "a ZIP archive", "Unpack it."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it."),
    (b"7z\xbc\xaf", "a 7z archive", "Unpack it."),
    (b"Rar!", "a RAR archive", "Unpack it."),
    (b"\x1aE\xdf\xa3", "a video", "Export its frames as images."),
)
_TEXTS: Final = (
    (b"<!doctype html", "a web page", "Download the image again."),
    (b"<html", "a web page", "Download the image again."),
    (b"<svg", "an SVG drawing", "Export it as PNG."),
    (b"<?xml", "an XML text", "Export the image that it describes."),
    (b"{", "a text", "Download the image again."),
)


def foreign_kind(start: bytes) -> tuple[str, str] | None:
    """What a file is, and what to do; None = not known.

    Args:
        start: Its first `NEEDED` bytes.
    """
    if not start.strip(b"\0"):
        return "nothing but zeros at its start", "Copy it again from its source."
    if start[128:132] == b"DICM":
        return "a DICOM file", _EXPORT
    if start[4:8] == b"ftyp" or (start[:4] == b"RIFF" and start[8:12] == b"AVI "):
        return "a video, or a picture in a container of videos", "Export it as PNG or JPEG."
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for known, given in ((_STARTS, start), (_TEXTS, text)):
        for signature, kind, advice in known:
            if given.startswith(signature):
                return kind, advice
    return None
