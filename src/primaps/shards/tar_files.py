"""Tar files: written so that equal content gives equal bytes, and read with no trust in what they
say.

Only headers are read here, by rules of our own: a header may not make the reader take memory, leave
the file, or go round in circles. Nothing is ever unpacked under a name that a tar file gives.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from primaps.errors import ImageError

BLOCK: Final = 512
LARGEST_HEADER: Final = 1_000_000
"""Bytes of a header that extends the next one (a long name, PAX records)."""

MOST_MEMBERS: Final = 1_000_000
"""Members of a tar file that are read; more is refused."""

_PART: Final = 8 * 1024 * 1024
_REGULAR: Final = {b"0", b"\0", b"7"}
_KINDS: Final = {
    b"1": "a link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a pipe",
}
_EXTENDING: Final = {b"x", b"g", b"L", b"K"}
_SPARSE: Final = "a sparse file, which is not read; pack it again"
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar file.

    Attributes:
        name: As the tar file gives it.
        offset: Of its first byte in the tar file.
        size: In bytes.
        sha256: Of its content; "" where it was not read.
    """

    name: str
    offset: int
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Refused:
    """An entry of a tar file that is no file to be read.

    Attributes:
        name: As the tar file gives it, printable.
        kind: What it is: "a folder", "a symbolic link", ...
    """

    name: str
    kind: str


def write_tar(path: Path, members: Iterable[tuple[str, Path | bytes]]) -> list[Member]:
    """Write a tar file of which every byte follows from names and contents: no times, no owners.

    Args:
        path: Target; replaced. Not written atomically: `primaps.shards.places.Place.publish` is.
        members: Name, and the file or the content, in the order in which they are written.

    Raises:
        OSError: If a file cannot be read or written.
        ValueError: If a name comes twice.
    """
    written: list[Member] = []
    seen: set[str] = set()
    with path.open("wb") as stream:
        for name, content in members:
            if name in seen:
                raise ValueError(f"{name} comes twice")
            seen.add(name)
            written.append(_append(stream, name, content))
        stream.write(bytes(2 * BLOCK))
    return written


def _append(stream: BinaryIO, name: str, content: Path | bytes) -> Member:
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
        size = source.seek(0, os.SEEK_END)
        source.seek(0)
        header = tarfile.TarInfo(name)
        header.size, header.mode = size, 0o644
        stream.write(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        offset, left = stream.tell(), size
        digest = hashlib.sha256()
        while left and (part := source.read(min(_PART, left))):
            digest.update(part)
            stream.write(part)
            left -= len(part)
        if left:
            raise OSError(f"{name} became shorter while it was read")
    stream.write(bytes(-size % BLOCK))
    return Member(name, offset, size, digest.hexdigest())


def read_members(read: Callable[[int, int], bytes], size: int) -> Iterator[Member | Refused]:
    """The entries of a tar file that nobody vouches for, in its order; contents are not read.

    Args:
        read: Gives ``(start, count)`` bytes of the tar file, fewer where it ends.
        size: Of the tar file in bytes.

    Raises:
        ImageError: If it is no tar file, is compressed, ends before its time, or a header claims
            what cannot be; entries before that were given.
    """
    position, longer = 0, _Longer()
    for _ in range(MOST_MEMBERS):
        block = read(position, BLOCK)
        if _is_end(block, position, size):
            return
        header = _header(block, position)
        start = position + BLOCK
        extends = header.kind in _EXTENDING
        length = header.size if extends or longer.size is None else longer.size
        if start + length > size:
            raise _damaged(position, f"an entry of {length} bytes goes beyond its end")
        if extends and length > LARGEST_HEADER:
            raise _damaged(position, f"a header of {length} bytes")
        position = start + length + (-length % BLOCK)
        if extends:
            longer = longer.with_(header.kind, read(start, length), start)
        else:
            yield _entry(longer.name or header.name, header.kind, start, length)
            longer = _Longer()
    raise _damaged(position, f"it has more than {MOST_MEMBERS} entries")


def _is_end(block: bytes, position: int, size: int) -> bool:
    """Whether an empty block, or the end without one as some writers leave it, ends the entries."""
    if len(block) == BLOCK:
        return not block.strip(b"\0")
    if position == size and size:
        return True
    raise _damaged(position, "the file ends in the middle of a header")


def _entry(name: str, kind: bytes, start: int, length: int) -> Member | Refused:
    if name.endswith("/"):
        return Refused(_printable(name), "a folder")
    if kind in _REGULAR:
        return Member(name, start, length)
    return Refused(_printable(name), _KINDS.get(kind, "an entry of an unknown kind"))


def safe_name(name: str) -> str | None:
    """The name of a member as a relative path that outputs can be named after; None if it is none:
    absolute, leading out of the folder, with control characters or bytes that are no UTF-8.
    """
    while name.startswith("./"):
        name = name[2:]
    parts = name.split("/")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return None
    if not name or "\\" in name or _DRIVE.match(name) or _CONTROL.search(name):
        return None
    return None if any(part in {"", ".", ".."} for part in parts) else name


@dataclass(frozen=True)
class _Header:
    name: str
    size: int
    kind: bytes


@dataclass(frozen=True)
class _Longer:
    """What headers before an entry say of it."""

    name: str | None = None
    size: int | None = None

    def with_(self, kind: bytes, content: bytes, position: int) -> _Longer:
        if kind in {b"g", b"K"}:
            return self
        if kind == b"L":
            return _Longer(_text(content.split(b"\0")[0]), self.size)
        name, size = self.name, self.size
        for key, value in _pax_records(content, position):
            if key == b"path":
                name = _text(value)
            elif key == b"size":
                if not value.isdigit() or len(value) > 19:
                    raise _damaged(position, "a size that is no number")
                size = int(value)
            elif key.startswith(b"GNU.sparse"):
                raise _damaged(position, _SPARSE)
        return _Longer(name, size)


def _pax_records(content: bytes, position: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of records, ``LENGTH KEY=VALUE`` and a line feed."""
    rest = content.rstrip(b"\0")
    while rest:
        digits, _, _ = rest[:20].partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 10 else 0
        record, rest = rest[:length], rest[length:] if length else b""
        key, found, value = record[len(digits) + 1 :].partition(b"=")
        if not found or len(record) != length or not record.endswith(b"\n"):
            raise _damaged(position, "a header that follows no rule")
        yield key, value[:-1]


def _header(block: bytes, position: int) -> _Header:
    if position == 0 and block[:2] == b"\x1f\x8b":
        raise ImageError(
            "Expected a tar file that is not compressed, but this one is. Unpack it with gzip -d:"
            " images in it are read one by one, and images do not become smaller anyway."
        )
    told = _number(block[148:156])
    unsigned = sum(block[:148]) + 8 * 32 + sum(block[156:])
    signed = unsigned - 256 * sum(byte > 127 for byte in (*block[:148], *block[156:]))
    if told not in {unsigned, signed}:
        what = "it is no tar file" if position == 0 else "a header whose checksum is wrong"
        raise _damaged(position, what)
    size = _number(block[124:136])
    if size is None or size < 0:
        raise _damaged(position, "a size that is no number")
    name = block[:100].split(b"\0")[0]
    if block[257:263] == b"ustar\0":
        prefix = block[345:500].split(b"\0")[0]
        name = prefix + b"/" + name if prefix else name
    kind = block[156:157]
    if kind == b"S":
        raise _damaged(position, _SPARSE)
    return _Header(_text(name), 0 if kind in _KINDS else size, kind)


def _number(field: bytes) -> int | None:
    """An octal number, or one of base 256 as GNU tar writes large ones."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0")[0].strip()
    if not re.fullmatch(rb"[0-7]*", digits):
        return None
    return int(digits or b"0", 8)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _damaged(position: int, what: str) -> ImageError:
    return ImageError(
        f"Expected a tar file, but at byte {position} it is not as one should be: {what}. Make or"
        " download it again."
    )
