"""The record of a shard: what its file holds, and what came of its images. It is written after the
file, so that its presence says that the shard is done.

A file is a tar file, or a table in Parquet. In both a member lies in one piece, as it is, so that
place and size of each are all that reading needs.

File and record follow from images and settings alone. Where two commands write the same shard,
which no lock of an object store prevents, they write the same bytes, and whichever comes last
changes nothing. The bytes of a table also follow from the package that writes it, which the record
names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from primaps.errors import CheckpointError, PlaceError
from primaps.shards.places import Place
from primaps.shards.tar_files import Member
from primaps.types import Failure

RECORD_FORMAT: Final = "primaps-shards-1"
SHARD_FORMATS: Final = ("tar", "parquet")
"""What the file of a shard may be, which is its extension too."""

SUFFIXES: Final = {
    "store": "safetensors",
    "proposals": "proposals.png",
    "certainty": "certainty.png",
    "tokens": "certainty.json",
    "overlay": "overlay.jpg",
    "labels": "png",
}
"""What members there are of an image, and what follows its name: its shard of the store, proposals,
certainty of pixels and of tokens, overlay, label map.
"""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """What a shard holds of one image.

    Attributes:
        name: Of the image.
        sha256: Of the image file's bytes.
        members: Of the shard's file by kind, see `SUFFIXES`.
    """

    name: str
    sha256: str
    members: Mapping[str, Member]


@dataclass(frozen=True)
class ShardRecord:
    """What came of a shard; nothing in it depends on when, where or by whom it was made.

    Attributes:
        number: Of the shard.
        sha256: Of its file.
        size: Of its file in bytes.
        entries: Of the images that could be used, in the order of their names.
        failures: Images that could not be used.
        warnings: Lines of ``warnings.jsonl``, of images used in another way than plain 8-bit RGB.
        counts: Figures, as in ``run.json``.
        settings: Fingerprint of the settings that it was made with.
        references: Checksum of the references that it was made of
            (`primaps.shards.plan.references_sha256`).
        format: Of its file, one of `SHARD_FORMATS`.
        writer: Package and version that its bytes depend on; "" = none but this one.
    """

    number: int
    sha256: str
    size: int
    entries: tuple[Entry, ...]
    failures: tuple[Failure, ...] = ()
    warnings: tuple[Mapping[str, Any], ...] = ()
    counts: Mapping[str, Any] = field(default_factory=dict)
    settings: str = ""
    references: str = ""
    format: str = "tar"
    writer: str = ""

    @property
    def file(self) -> str:
        """Where its file is."""
        return shard_file(self.number, self.format)


def shard_file(number: int, form: str = "tar") -> str:
    """Where the file of a shard is.

    Args:
        number: Of the shard.
        form: One of `SHARD_FORMATS`.
    """
    return f"shards/{number:06d}.{form}"


def record_file(number: int, form: str = "tar") -> str:
    """Where the record of a shard is. Beside tables its name begins with an underscore, as readers
    of whole folders of tables pass over.
    """
    return f"shards/{'_' if form == 'parquet' else ''}{number:06d}.json"


def member_name(name: str, kind: str) -> str:
    """Name of an image's member of a kind, see `SUFFIXES`."""
    return f"{name}.{SUFFIXES[kind]}"


def entries_of(members: list[Member], sha256: Mapping[str, str]) -> tuple[Entry, ...]:
    """The members of a shard's file by image.

    Args:
        members: Named by `member_name`.
        sha256: Checksums of the image files by name.

    Raises:
        ValueError: If a member belongs to no image.
    """
    found: dict[str, dict[str, Member]] = {name: {} for name in sorted(sha256)}
    for member in members:
        owner, kind = _owner(member.name, found)
        found[owner][kind] = member
    return tuple(Entry(name, sha256[name], kinds) for name, kinds in found.items())


def _owner(name: str, images: Container[str]) -> tuple[str, str]:
    """Image and kind of a member. An image may have the name of another one's output."""
    for kind, suffix in SUFFIXES.items():
        owner = name.removesuffix(f".{suffix}")
        if owner != name and owner in images:
            return owner, kind
    raise ValueError(f"{name} belongs to no image")


def write_record(place: Place, record: ShardRecord) -> None:
    """Write the record of a shard whose file is in its place.

    Raises:
        OutputError: If it cannot be written.
    """
    file: dict[str, Any] = {"sha256": record.sha256, "size": record.size}
    if record.writer:
        file["writer"] = record.writer
    value = {
        "format": RECORD_FORMAT,
        "shard": record.number,
        "settings": record.settings,
        "references": record.references,
        record.format: file,
        "images": [
            {
                "name": entry.name,
                "sha256": entry.sha256,
                "members": {
                    kind: [member.offset, member.size, member.sha256]
                    for kind, member in entry.members.items()
                },
            }
            for entry in record.entries
        ],
        "failures": [asdict(failure) for failure in record.failures],
        "warnings": [dict(each) for each in record.warnings],
        "counts": dict(record.counts),
    }
    text = json.dumps(value, ensure_ascii=True, allow_nan=False) + "\n"
    place.write(record_file(record.number, record.format), text.encode("ascii"))


def read_record(place: Place, number: int, form: str = "tar") -> ShardRecord | None:
    """The record of a shard; None if there is none.

    Raises:
        CheckpointError: If it is damaged, or of another format.
        PlaceError: If the place cannot be reached.
    """
    path = record_file(number, form)
    try:
        content = place.read(path)
    except PlaceError as error:
        if error.missing:
            return None
        raise
    try:
        return _record(number, form, json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"Expected {place.at(path)} to be the record of a shard"
            f" ({RECORD_FORMAT}), but got: {error}. Run the command that made it again."
        ) from error


def finished(
    place: Place, number: int, settings: str | None, references: str, form: str = "tar"
) -> ShardRecord | None:
    """The record of a shard that is done: made with these settings of these images, and its file is
    there in full length; None if it is to be made (again).

    Args:
        place: Where it lies.
        number: Of the shard.
        settings: Fingerprint of the settings; None = whichever.
        references: Checksum of the references.
        form: One of `SHARD_FORMATS`.

    Raises:
        PlaceError: If the place cannot be reached.
    """
    try:
        record = read_record(place, number, form)
    except CheckpointError:
        return None
    if record is None or record.references != references:
        return None
    if settings not in {None, record.settings}:
        return None
    return record if place.size(record.file) == record.size else None


def _record(number: int, form: str, value: Mapping[str, Any]) -> ShardRecord:
    """The record of JSON values; whatever error they cause is one of their content."""
    if value["format"] != RECORD_FORMAT:
        raise ValueError(f"its format is {value['format']!r:.60}")
    if value["shard"] != number:
        raise ValueError(f"it is that of shard {value['shard']!r:.60}")
    file = value[form]
    size, sha256 = file["size"], file["sha256"]
    entries: list[Entry] = []
    for each in value["images"]:
        name = str(each["name"])
        members: dict[str, Member] = {}
        for kind, (offset, length, digest) in each["members"].items():
            if not 0 <= offset <= offset + length <= size or not _SHA256.fullmatch(digest):
                raise ValueError(f"{name} has an impossible member {kind!r:.60}")
            members[str(kind)] = Member(
                member_name(name, kind), int(offset), int(length), str(digest)
            )
        entries.append(Entry(name, str(each["sha256"]), members))
    if not _SHA256.fullmatch(sha256):
        raise ValueError("the checksum of its file is none")
    return ShardRecord(
        number,
        str(sha256),
        int(size),
        tuple(entries),
        tuple(Failure(**each) for each in value["failures"]),
        tuple(dict(each) for each in value["warnings"]),
        dict(value["counts"]),
        str(value["settings"]),
        str(value["references"]),
        form,
        str(file.get("writer", "")),
    )
