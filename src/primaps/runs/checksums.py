"""Checksums of safetensors files, kept in their own metadata: a bit that a disk or a transfer
turned is noticed, which the format itself does not.

CRC-32, of the header without the checksum and of the data: it finds accidents, at more than a
gigabyte per second, and is no seal. Files without one are taken as they are.
"""

from __future__ import annotations

import json
import zlib
from typing import Any, BinaryIO, Final

SUM: Final = "crc32"
"""Key in the metadata."""

_LONGEST_HEADER: Final = 100_000_000
"""Bytes; safetensors itself refuses longer ones."""
_PIECE: Final = 1 << 20
_ALIGNMENT: Final = 8
"""Of the data, in bytes, as safetensors has it."""


def with_checksum(content: bytes) -> tuple[bytes, bytes]:
    """Put the checksum of a file into its metadata, whose keys are sorted: equal tensors and
    metadata give equal files, which is not so as safetensors writes them.

    Args:
        content: A safetensors file.

    Returns:
        The new file, in two parts.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    metadata = dict(sorted(header.get("__metadata__", {}).items()))
    header = {**header, "__metadata__": metadata}
    found = zlib.crc32(memoryview(content)[end:], _of_header(header))
    metadata[SUM] = f"{found:08x}"
    first = {"__metadata__": metadata}
    text = json.dumps({**first, **header}, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text, content[end:]


def refuse_damaged(stream: BinaryIO) -> None:
    """Compare a file with the checksum in its metadata, if it has one.

    Args:
        stream: At the beginning of a safetensors file.

    Raises:
        ValueError: If it is another one, or the file has no header.
        OSError: If it cannot be read.
    """
    length = int.from_bytes(stream.read(8), "little")
    if length > _LONGEST_HEADER:
        raise ValueError("a header of impossible length")
    try:
        header: Any = json.loads(stream.read(length))
    except RecursionError as error:
        raise ValueError("a header that is nested too deep") from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    wanted = metadata.get(SUM) if isinstance(metadata, dict) else None
    if wanted is None:
        return
    found = _of_header(header)
    while piece := stream.read(_PIECE):
        found = zlib.crc32(piece, found)
    if f"{found:08x}" != wanted:
        raise ValueError(f"content that does not fit its checksum ({found:08x}, not {wanted})")


def _of_header(header: dict[str, Any]) -> int:
    """CRC-32 of everything in a header but the checksum itself."""
    metadata = {key: value for key, value in header["__metadata__"].items() if key != SUM}
    whole = {**header, "__metadata__": metadata}
    return zlib.crc32(json.dumps(whole, sort_keys=True, ensure_ascii=True).encode("ascii"))
