"""The plan of a sharded command: its images in slices (shards) of fixed size, kept beside the
outputs, so that every worker and every resumed run means the same by a shard's number.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from primaps.errors import CheckpointError, ConfigError, PlaceError
from primaps.shards.places import Place
from primaps.shards.records import SHARD_FORMATS
from primaps.shards.references import Listing, Reference, from_record
from primaps.types import Failure

PLAN_FORMAT: Final = "primaps-plan-1"
PLAN_FILE: Final = "plan.json"
IN_SHARDS: Final = "in_shards"
"""In ``run.json``, which is there before the plan: size and format of the shards."""

SHARD_SIZE: Final = 256
"""Images of a shard unless told otherwise."""

_REQUESTS: Final = 16
_AGAIN: Final = "Run the command that made it again."


@dataclass(frozen=True)
class Plan:
    """What the shards are.

    Attributes:
        shard_size: Most images of a shard.
        sizes: Images of each shard, by its number.
        sha256: Of the references of all shards.
        failures: Inputs that cannot be used (stage "scan").
        passed_over: Number of other files by extension.
        runs: Run folders in the inputs, which were not entered.
        shard_format: What the file of a shard is, one of `primaps.shards.records.SHARD_FORMATS`.
    """

    shard_size: int
    sizes: tuple[int, ...]
    sha256: str
    failures: tuple[Failure, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    shard_format: str = "tar"

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(self.sizes)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.sizes)


def make_plan(
    place: Place, listing: Listing, shard_size: int = SHARD_SIZE, shard_format: str = "tar"
) -> Plan:
    """Write the plan of a listing, or find the one that is there.

    Images that came since are further shards; those that are there stay in theirs. A list of a
    shard's images that was lost or damaged is filled again: if with others than before, the record
    of that shard does not fit, and it is made again.

    Args:
        place: Of the outputs.
        listing: What the inputs contain now.
        shard_size: Most images of a shard.
        shard_format: What the file of a shard is to be.

    Raises:
        ConfigError: If there is a plan with another size or format of shards, or of images that are
            gone or changed since.
        CheckpointError: If the plan there is damaged.
        OutputError: If it cannot be written.
    """
    if shard_size < 1:
        raise ConfigError(f"Expected shards of at least 1 image, but got {shard_size}.")
    old = load_plan(place) if place.exists(PLAN_FILE) else None
    if old is None:
        plan = Plan(shard_size, (), "", shard_format=shard_format)
        return _extended(place, listing, plan, [], listing.references)
    check_plan(place, old, shard_size, shard_format)
    parts, lost = _parts(place, old, listing)
    new = _new(place, parts, listing)
    for number in lost:
        _write_list(place, number, parts[number])
    return _extended(place, listing, old, parts, new)


def check_plan(place: Place, old: Plan, shard_size: int, shard_format: str) -> None:
    """Refuse another size or format than the shards at a place have.

    Raises:
        ConfigError: If one is asked for.
    """
    if old.shard_size != shard_size:
        raise ConfigError(
            f"Expected shards of {old.shard_size} images, as {place.url} has them, but got"
            f" {shard_size}. Give --shards {old.shard_size}, or choose another --out."
        )
    if old.shard_format != shard_format:
        raise ConfigError(
            f"Expected {old.shard_format} files, as {place.url} has them, but got"
            f" {shard_format}. Give --shard-format {old.shard_format}, or choose another --out."
        )


def new_images(place: Place, old: Plan, listing: Listing) -> list[Reference]:
    """The images of a listing that are not in the plan at a place.

    Raises:
        ConfigError: If images of the plan are gone or changed since.
        PlaceError: If the place cannot be reached.
    """
    return _new(place, _parts(place, old, listing)[0], listing)


def _new(place: Place, parts: Sequence[Sequence[Reference]], listing: Listing) -> list[Reference]:
    known = {each.name: each for part in parts for each in part}
    now = {each.name: each for each in listing.references}
    changed = [
        f"{name} (gone)" if name not in now else f"{name} (changed)"
        for name, reference in known.items()
        if now.get(name) != reference
    ]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise ConfigError(
            f"Expected the images that {place.url} was begun with, but these are not as they were:"
            f" {', '.join(changed[:3])}{more}. Put them back, or choose another --out."
        )
    return [each for each in listing.references if each.name not in known]


def _parts(
    place: Place, plan: Plan, listing: Listing
) -> tuple[list[Sequence[Reference]], list[int]]:
    """The images of each shard of a plan, and the shards whose lists were lost or damaged, and are
    filled here.

    Raises:
        ConfigError: If there are too few images for that.
    """

    def read(number: int) -> list[Reference] | None:
        try:
            return references_of(place, number)
        except CheckpointError:
            return None

    with ThreadPoolExecutor(_REQUESTS, "lists") as pool:
        found = list(pool.map(read, range(plan.shards)))
    lost = [number for number, part in enumerate(found) if part is None]
    parts: list[Sequence[Reference]] = [part or [] for part in found]
    known = {each.name for part in parts for each in part} if lost else set()
    free = iter([each for each in listing.references if each.name not in known])
    for number in lost:
        parts[number] = list(itertools.islice(free, plan.sizes[number]))
        if len(parts[number]) < plan.sizes[number]:
            raise ConfigError(
                f"Expected the images that {place.url} was begun with, but its list of them"
                f" {references_file(number)} is lost, and some are gone. Put them back, or choose"
                " another --out."
            )
    return parts, lost


def load_plan(place: Place) -> Plan:
    """The plan at a place.

    Raises:
        CheckpointError: If there is none, or it is damaged.
        PlaceError: If the place cannot be reached.
    """
    try:
        return _plan(json.loads(place.read(PLAN_FILE)))
    except PlaceError as error:
        if not error.missing:
            raise
        raise CheckpointError(
            f"Expected {place.url} to hold the outputs of a command with shards ({PLAN_FILE}), but"
            " it does not."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"Expected {place.at(PLAN_FILE)} to be a plan ({PLAN_FORMAT}), but got: {error}. Delete"
            " it and run the command that made it again."
        ) from error


def references_file(number: int) -> str:
    """Where the references of a shard are."""
    return f"plan/{number:06d}.jsonl"


def references_of(place: Place, number: int) -> list[Reference]:
    """The images of a shard, sorted by name.

    Raises:
        CheckpointError: If the list is missing or damaged.
        PlaceError: If the place cannot be reached.
    """
    path = references_file(number)
    try:
        head, _, body = place.read(path).partition(b"\n")
        return _references(number, json.loads(head), body)
    except PlaceError as error:
        if not error.missing:
            raise
        raise CheckpointError(
            f"Expected a list of images {place.at(path)}, but there is none. {_AGAIN}"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"Expected {place.at(path)} to list the images of a shard, but got: {error}. {_AGAIN}"
        ) from error


def references_sha256(references: Sequence[Reference]) -> str:
    """Checksum of a shard's references: a record says which ones it was made of."""
    return hashlib.sha256(_body(references)).hexdigest()


def _references(number: int, head: Mapping[str, Any], body: bytes) -> list[Reference]:
    if (head["shard"], head["sha256"]) != (number, hashlib.sha256(body).hexdigest()):
        raise ValueError("its checksum is wrong")
    return [from_record(json.loads(line)) for line in body.splitlines()]


def _plan(record: Mapping[str, Any]) -> Plan:
    """The plan of JSON values; whatever error they cause is one of their content."""
    if record["format"] != PLAN_FORMAT:
        raise ValueError(f"its format is {record['format']!r:.60}")
    plan = Plan(
        int(record["shard_size"]),
        tuple(int(size) for size in record["sizes"]),
        str(record["listing_sha256"]),
        tuple(Failure(**each) for each in record["failures"]),
        {str(key): int(count) for key, count in record["passed_over"].items()},
        tuple(str(each) for each in record["runs"]),
        str(record.get("shard_format", "tar")),
    )
    if plan.shard_format not in SHARD_FORMATS:
        raise ValueError(f"its shards are {plan.shard_format!r:.60}")
    if not all(0 < size <= plan.shard_size for size in plan.sizes):
        raise ValueError("a shard has an impossible size")
    return plan


def _body(references: Sequence[Reference]) -> bytes:
    lines = (json.dumps(each.record(), ensure_ascii=True) for each in references)
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _extended(
    place: Place,
    listing: Listing,
    old: Plan,
    known: Sequence[Sequence[Reference]],
    references: Sequence[Reference],
) -> Plan:
    """Write the references of further shards, then the plan: a killed run leaves none."""
    digest = hashlib.sha256()
    for part in known:
        digest.update(_body(part))
    added: list[int] = []
    for part in _slices(references, old.shard_size):
        digest.update(_write_list(place, len(known) + len(added), part))
        added.append(len(part))
    plan = Plan(
        old.shard_size,
        (*old.sizes, *added),
        digest.hexdigest(),
        listing.failures,
        listing.passed_over,
        listing.runs,
        old.shard_format,
    )
    place.write(PLAN_FILE, (json.dumps(_record(plan), indent=2) + "\n").encode("ascii"))
    return plan


def _write_list(place: Place, number: int, references: Sequence[Reference]) -> bytes:
    """Write the references of a shard; gives their lines."""
    body = _body(references)
    head = {"shard": number, "images": len(references), "sha256": hashlib.sha256(body).hexdigest()}
    place.write(references_file(number), json.dumps(head).encode("ascii") + b"\n" + body)
    return body


def _slices(references: Sequence[Reference], size: int) -> Iterator[Sequence[Reference]]:
    for start in range(0, len(references), size):
        yield references[start : start + size]


def _record(plan: Plan) -> dict[str, Any]:
    return {
        "format": PLAN_FORMAT,
        "images": plan.images,
        "shards": plan.shards,
        "shard_size": plan.shard_size,
        "shard_format": plan.shard_format,
        "listing_sha256": plan.sha256,
        "sizes": list(plan.sizes),
        "failures": [asdict(failure) for failure in plan.failures],
        "passed_over": dict(plan.passed_over),
        "runs": list(plan.runs),
    }
