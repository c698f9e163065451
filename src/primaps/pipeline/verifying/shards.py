"""Outputs in shards: is every file the one that its record was written for?"""

from __future__ import annotations

from collections.abc import Iterator

from primaps.errors import CheckpointError, PlaceError
from primaps.pipeline.verifying.verdict import Fault
from primaps.shards.places import Place
from primaps.shards.plan import IN_SHARDS, PLAN_FILE, references_file, references_of
from primaps.shards.reading import ShardedOutputs
from primaps.shards.records import record_file


def look_at_shards(place: Place) -> tuple[int, list[Fault]]:
    """Read the file of every shard.

    A shard is mended without its record: the command that made it finds it undone. A list of its
    images is mended without it, and the plan as a whole likewise.

    Args:
        place: With the outputs of a command that wrote shards.

    Returns:
        Number of shards, and what is wrong.
    """
    outputs = ShardedOutputs(place)
    try:
        shards = outputs.plan.shards
    except (CheckpointError, PlaceError) as error:
        there = place.exists(PLAN_FILE)
        return 0, [Fault(PLAN_FILE, str(error), "shards" if _begun(outputs) else "", there=there)]
    return shards, list(_faults(outputs))


def _begun(outputs: ShardedOutputs) -> bool:
    """Whether the record of the run tells size and format of its shards without the plan."""
    return IN_SHARDS in outputs.run_record


def _faults(outputs: ShardedOutputs) -> Iterator[Fault]:
    for number in range(outputs.plan.shards):
        path = references_file(number)
        try:
            references_of(outputs.place, number)
        except (CheckpointError, PlaceError) as error:
            yield Fault(path, str(error), "shards", there=outputs.place.exists(path))
    for number, problem in outputs.verify():
        path = record_file(number, outputs.plan.shard_format)
        yield Fault(path, problem, "shards", there=outputs.place.exists(path))
