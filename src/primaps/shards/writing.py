"""The file of a shard, in either format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from primaps.shards.parquet_files import parquet_writer, write_parquet
from primaps.shards.records import member_name
from primaps.shards.tar_files import Member, write_tar


def write_shard(
    path: Path, form: str, images: Mapping[str, Mapping[str, Path | bytes]], kinds: Sequence[str]
) -> list[Member]:
    """Write what was made of the images of a shard.

    Args:
        path: Target; replaced. Not written atomically: `primaps.shards.places.Place.publish` is.
        form: One of `primaps.shards.records.SHARD_FORMATS`.
        images: Files or contents by name of the image and kind, in the order of the names.
        kinds: All that there may be, see `primaps.shards.records.SUFFIXES`.

    Raises:
        OSError: If a file cannot be read or written.
        OutputError: If the installed pyarrow writes tables in a way that is not read.
    """
    if form == "parquet":
        return write_parquet(path, images, kinds)
    named = ((member_name(name, kind), name, kind) for name in images for kind in kinds)
    return write_tar(
        path, ((member, images[name][kind]) for member, name, kind in named if kind in images[name])
    )


def writer_of(form: str) -> str:
    """Package and version that the bytes of such a file depend on; "" = none but this one."""
    return parquet_writer() if form == "parquet" else ""
