"""Image files of rare kinds, drawn by code.

Other tests get this module through the fixture ``odd_files``.
"""

import base64
import io
import struct
import zlib

import numpy as np
from PIL import Image

ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""XYZ of red, green and blue, adapted to D50, as the profile of that name has them."""
DISPLAY_P3 = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))

HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAaFtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAA"
    "AAAAAAAAADRpbG9jAAAAAERAAAIAAQAAAAABxQABAAAAAAAAAH8AAgAAAAACRAABAAAAAAAAACQAAAA4aWluZgAAAAAA"
    "AgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA4GlwcnAAAADA"
    "aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAr"
    "QgEBA3AAAAMAkAAAAwAAAwAeoDCBBZbqSSmubgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNjb2xybmNseAAB"
    "AA0ABoAAAAAUaXNwZQAAAAAAAABgAAAAQAAAABBwaXhpAAAAAAMICAgAAAAJaXJvdAMAAAAYaXBtYQAAAAAAAAABAAEF"
    "gQIDBIUAAAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAKttZGF0AAAAeygBrwngx485dV///Rjf//wjTyH7XF1JBKf/"
    "1UKDv4VQ//7MxXUy4gheWAWAIbeQvbxhflEjorHp3SKppJI+FBVRF7778J8B8lFrFgSj8oHoVyzf/7po7/0v9L/kkMh/"
    "+6dYHerq4OIOZ4844HOvwdn+V/kE5AQ1qYTqzAAAAAZFeGlmAABNTQAqAAAACAABARIAAwAAAAEABgAAAAAAAA=="
)
"""96 x 64 pixels, left half red (200, 30, 30), right half blue over green, to be turned."""


def png16(values, profile=None):
    """Bytes of a 16-bit PNG of (H, W, C) uint16 values."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    colours = b"" if profile is None else _chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + colours
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


def _chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def damaged_jpeg(image, *, progressive=False, quality=90):
    """Bytes of a JPEG of (H, W, 3) uint8 with 40 wrong ones in the middle."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, progressive=progressive)
    content = bytearray(buffer.getvalue())
    content[len(content) // 2 : len(content) // 2 + 40] = b"\x55" * 40
    return bytes(content)


def rgb_profile(primaries, gamma=2.2, name="drawn"):
    """An ICC profile (version 2) of a screen with these primaries and a gamma."""
    tags = {b"desc": _description(name), b"wtpt": _xyz((0.9642, 1.0, 0.8249))}
    for tag, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True):
        tags[tag] = _xyz(colour)
    for tag in (b"rTRC", b"gTRC", b"bTRC"):
        tags[tag] = _gamma(gamma)
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def srgb_curve_profile(primaries):
    """The same with the curve of sRGB as a table of 1024 values."""
    x = np.linspace(0, 1, 1024)
    y = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    table = np.rint(y * 65535).astype(">u2").tobytes()
    curve = b"curv" + bytes(4) + struct.pack(">I", 1024) + table
    tags = {b"desc": _description("drawn"), b"wtpt": _xyz((0.9642, 1.0, 0.8249))}
    for tag, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True):
        tags[tag] = _xyz(colour)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(gamma):
    """An ICC profile of grey values with a gamma."""
    tags = {b"desc": _description("grey"), b"wtpt": _xyz((0.9642, 1.0, 0.8249))}
    return _profile(b"mntr", b"GRAY", b"XYZ ", tags | {b"kTRC": _gamma(gamma)})


def cmyk_profile():
    """An ICC profile of a press whose inks make nothing but grey: L = 100 - 100 * mean of inks."""
    identity = bytes(range(256))
    grid = bytearray()
    for index in range(16):  # the last ink varies fastest
        inks = index.bit_count() / 4
        grid += bytes([round(255 * (1 - inks)), 128, 128])
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + identity * 4 + grid + identity * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"desc": _description("press"), b"A2B0": lut})


def _profile(kind, space, pcs, tags):
    count, offset = len(tags), 128 + 4 + 12 * len(tags)
    table, data = b"", b""
    for tag, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += tag + struct.pack(">II", offset + len(data), len(content))
        data += padded
    header = struct.pack(">I", offset + len(data)) + bytes(4) + b"\x02\x40\0\0" + kind + space + pcs
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return header + struct.pack(">I", count) + table + data


def _xyz(values):
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _gamma(value):
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def _description(name):
    text = name.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)
