"""Tables in Parquet: a row per image with its name, and a column of bytes per kind of output.

Values are stored as they are (encoding PLAIN, no compression: label maps, proposals and features
are compressed already or hardly become smaller), so that each lies in the file in one piece, behind
its length. Where, is noted: reading a value back takes one request and no package. pyarrow, pandas,
Ray Data and `datasets` read the whole.
(parquet.apache.org/docs/file-format/data-pages/encodings, "Plain")
"""

from __future__ import annotations

import hashlib
import importlib.util
import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from primaps.errors import MissingExtraError, OutputError
from primaps.shards.records import member_name
from primaps.shards.tar_files import Member

GROUP_BYTES: Final = 32 * 1024 * 1024
"""Bytes after which a group of rows ends: a reader holds one in memory."""

_HEAD: Final = 64


@dataclass(frozen=True)
class _Value:
    """A value that was written: kind and name, how it begins, its size and checksum."""

    name: str
    kind: str
    head: bytes
    size: int
    sha256: str


def require_parquet() -> None:
    """Refuse to begin what cannot be written.

    Raises:
        MissingExtraError: If pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError(
            "Expected the package pyarrow, which writes parquet files, but it is not installed."
            " Install it with: pip install 'primaps[hf]', or leave --shard-format parquet away."
        )


def parquet_writer() -> str:
    """Package and version that the bytes of a table depend on."""
    import pyarrow as pa

    return f"pyarrow {pa.__version__}"


def write_parquet(
    path: Path, images: Mapping[str, Mapping[str, Path | bytes]], kinds: Sequence[str]
) -> list[Member]:
    """Write a table of which every byte follows from names and contents, and from the version of
    pyarrow: no times, fixed settings.

    Args:
        path: Target; replaced. Not written atomically: `primaps.shards.places.Place.publish` is.
        images: Files or contents by name of the image and kind, in the order in which they are
            written. What an image does not have is null.
        kinds: The columns, equal for all shards of a command.

    Returns:
        Where the values lie, named as the members of a tar file.

    Raises:
        OSError: If a file cannot be read or written.
        ValueError: If there is something of another kind.
        OutputError: If this version of pyarrow writes values in another way.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [pa.field("name", pa.string(), nullable=False)]
    schema = pa.schema([*columns, *(pa.field(kind, pa.binary()) for kind in kinds)])
    groups: list[list[_Value]] = []
    settings: dict[str, Any] = {
        "version": "2.6",
        "data_page_version": "1.0",
        "compression": "NONE",
        "use_dictionary": False,
        "column_encoding": "PLAIN",
        "write_statistics": ["name"],
        "store_schema": False,
    }
    with pq.ParquetWriter(path, schema, **settings) as writer:
        for names, rows in _groups(images, kinds):
            values = [[row.get(kind) for row in rows] for kind in kinds]
            writer.write_table(pa.table([names, *values], schema=schema), row_group_size=len(names))
            groups.append(
                [
                    _value(name, kind, content)
                    for kind, column in zip(kinds, values, strict=True)
                    for name, content in zip(names, column, strict=True)
                    if content is not None
                ]
            )
    return _members(path, groups, kinds)


def _groups(
    images: Mapping[str, Mapping[str, Path | bytes]], kinds: Sequence[str]
) -> Iterator[tuple[list[str], list[dict[str, bytes]]]]:
    """Names and contents of the rows of each group."""
    names, rows, size = list[str](), list[dict[str, bytes]](), 0
    for name, files in images.items():
        other = sorted(set(files) - set(kinds))
        if other:
            raise ValueError(f"{name} has {', '.join(other)}, which have no column")
        row = {
            kind: content if isinstance(content, bytes) else content.read_bytes()
            for kind, content in files.items()
        }
        names.append(name)
        rows.append(row)
        size += sum(map(len, row.values()))
        if size >= GROUP_BYTES:
            yield names, rows
            names, rows, size = [], [], 0
    if names:
        yield names, rows


def _value(name: str, kind: str, content: bytes) -> _Value:
    digest = hashlib.sha256(content).hexdigest()
    return _Value(name, kind, content[:_HEAD], len(content), digest)


def _members(path: Path, groups: Sequence[Sequence[_Value]], kinds: Sequence[str]) -> list[Member]:
    """Find the values in the file."""
    import pyarrow.parquet as pq

    found: list[Member] = []
    metadata = pq.read_metadata(path)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as file:
        for number, values in enumerate(groups):
            group = metadata.row_group(number)
            for index, kind in enumerate(kinds, start=1):
                column = group.column(index)
                at = int(column.data_page_offset)
                end = at + int(column.total_compressed_size)
                for value in (each for each in values if each.kind == kind):
                    start = _position(file, at, end, value)
                    at = start + value.size
                    name = member_name(value.name, kind)
                    found.append(Member(name, start, value.size, value.sha256))
    return found


def _position(file: mmap.mmap, at: int, end: int, value: _Value) -> int:
    """Where a value lies, at or after a position: behind its length (4 bytes, little endian)."""
    wanted = value.size.to_bytes(4, "little") + value.head
    while (at := file.find(wanted, at, end)) >= 0:
        start = at + 4
        with memoryview(file) as view, view[start : start + value.size] as content:
            if hashlib.sha256(content).hexdigest() == value.sha256:
                return start
        at += 1
    raise OutputError(
        f"Expected {parquet_writer()} to store the {value.kind} of {value.name} as they are, but it"
        " stores them in another way. Install another version, or choose --shard-format tar."
    )
