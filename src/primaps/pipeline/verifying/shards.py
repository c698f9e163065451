"""Outputs in shards: is every file the one that its record was written for?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from primaps.errors import CheckpointError, PlaceError
from primaps.pipeline.verifying.verdict import Fault
from primaps.shards.places import place_of
from primaps.shards.plan import IN_SHARDS, PLAN_FILE, references_file, references_of
from primaps.shards.reading import ShardedOutputs
from primaps.shards.records import record_file


def look_at_shards(root: Path) -> tuple[int, list[Fault]]:
    """Read the file of every shard.

    A shard is mended without its record: the command that made it finds it undone. A list of its
    images is mended without it, and the plan as a whole likewise.

    Args:
        root: Folder with the outputs of a command that wrote shards.

    Returns:
        Number of shards, and what is wrong.
    """
    try:
        outputs = ShardedOutputs(place_of(root))
        shards = outputs.plan.shards
    except (CheckpointError, PlaceError) as error:
        there = (root / PLAN_FILE).exists()
        return 0, [Fault(PLAN_FILE, str(error), "shards" if _begun(root) else "", there=there)]
    return shards, list(_faults(root, outputs))


def _begun(root: Path) -> bool:
    """Whether the record of the run tells size and format of its shards without the plan."""
    return IN_SHARDS in ShardedOutputs(place_of(root)).run_record


def _faults(root: Path, outputs: ShardedOutputs) -> Iterator[Fault]:
    for number in range(outputs.plan.shards):
        path = references_file(number)
        try:
            references_of(outputs.place, number)
        except (CheckpointError, PlaceError) as error:
            yield Fault(path, str(error), "shards", there=(root / path).exists())
    for number, problem in outputs.verify():
        path = record_file(number, outputs.plan.shard_format)
        yield Fault(path, problem, "shards", there=(root / path).exists())
