"""The outputs of a sharded command, read back: where they lie is no matter."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from primaps.errors import CheckpointError, PlaceError
from primaps.shards.places import Place
from primaps.shards.plan import PLAN_FILE, Plan, load_plan
from primaps.shards.records import Entry, ShardRecord, read_record, shard_file
from primaps.shards.staging import THREADS

_PART = 8 * 1024 * 1024


@dataclass(frozen=True)
class Output:
    """What there is of one image.

    Attributes:
        shard: Number of its shard.
        entry: Its members.
    """

    shard: int
    entry: Entry

    @property
    def name(self) -> str:
        """Of the image."""
        return self.entry.name


class ShardedOutputs:
    """The outputs of a command with shards.

    Args:
        place: Where they lie.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    @cached_property
    def plan(self) -> Plan:
        """The plan; `CheckpointError` if there is none."""
        return load_plan(self.place)

    @cached_property
    def run_record(self) -> dict[str, Any]:
        """The content of ``run.json``; `CheckpointError` if it is missing or damaged."""
        try:
            value = json.loads(self.place.read("run.json"))
        except PlaceError as error:
            if not error.missing:
                raise
            raise CheckpointError(
                f"Expected {self.place.at('run.json')}, but there is none."
            ) from error
        except (ValueError, RecursionError) as error:
            raise CheckpointError(
                f"Expected {self.place.at('run.json')} to be readable JSON, but got: {error}."
            ) from error
        if not isinstance(value, dict):
            raise CheckpointError(f"Expected {self.place.at('run.json')} to hold a JSON object.")
        return value

    def record(self, number: int) -> ShardRecord:
        """The record of a shard.

        Raises:
            CheckpointError: If it is missing or damaged.
        """
        record = read_record(self.place, number, self.plan.shard_format)
        if record is None:
            raise CheckpointError(
                f"Expected shard {number} of {self.place.url} to be done, but it is not. Run the"
                " command that made it again; it resumes."
            )
        return record

    def outputs(self) -> Iterator[Output]:
        """What there is of every image, shard after shard.

        Raises:
            CheckpointError: If a record is missing or damaged.
        """
        for number in range(self.plan.shards):
            for entry in self.record(number).entries:
                yield Output(number, entry)

    def read(self, output: Output, kind: str) -> bytes:
        """A member of an image, its checksum compared.

        Raises:
            CheckpointError: If there is none of this kind, or it is damaged.
            PlaceError: If it cannot be read.
        """
        member = output.entry.members.get(kind)
        if member is None:
            raise CheckpointError(
                f"Expected {kind} of {output.name} in {self.place.url}, but there is none."
            )
        path = shard_file(output.shard, self.plan.shard_format)
        content = self.place.read_range(path, member.offset, member.size)
        if hashlib.sha256(content).hexdigest() != member.sha256:
            raise CheckpointError(
                f"Expected {member.name} in {self.place.at(path)} with its checksum, but it has"
                " another one: the file is damaged. Delete the shard's .json and run the command"
                " that made it again."
            )
        return content

    def sample(self, count: int) -> list[Output]:
        """An even choice of images, the same every time, sorted by name. Only the records of the
        shards that it falls into are read; where an image could not be used, its neighbour is
        taken.

        Args:
            count: How many; all, if there are fewer.

        Raises:
            CheckpointError: If a record is missing or damaged.
        """
        wanted: dict[int, list[int]] = {}
        total, start = self.plan.images, 0
        count = min(count, total)
        positions = [(2 * index + 1) * total // (2 * count) for index in range(count)]
        taken = iter(positions)
        position = next(taken, None)
        for number, size in enumerate(self.plan.sizes):
            while position is not None and position < start + size:
                wanted.setdefault(number, []).append(position - start)
                position = next(taken, None)
            start += size
        with ThreadPoolExecutor(THREADS) as pool:
            parts = pool.map(lambda item: self._chosen(*item), wanted.items())
            return sorted(itertools.chain.from_iterable(parts), key=lambda output: output.name)

    def _chosen(self, number: int, positions: list[int]) -> list[Output]:
        entries = self.record(number).entries
        size = self.plan.sizes[number]
        if len(positions) >= len(entries):
            return [Output(number, entry) for entry in entries]
        # images that could not be used leave fewer: the places are scaled to what there is
        indices = dict.fromkeys(position * len(entries) // size for position in positions)
        free = (index for index in range(len(entries)) if index not in indices)
        while len(indices) < len(positions):
            indices[next(free)] = None
        return [Output(number, entries[index]) for index in sorted(indices)]

    def verify(self) -> Iterator[tuple[int, str]]:
        """Read the file of every shard: number of a shard, and what is wrong with it."""
        for number in range(self.plan.shards):
            try:
                record = read_record(self.place, number, self.plan.shard_format)
                if record is None:
                    yield number, "it is not done"
                    continue
                digest, path = hashlib.sha256(), record.file
                size = self.place.size(path)
                if size is None:
                    yield number, f"its {record.format} file is missing"
                    continue
                if size != record.size:
                    yield (
                        number,
                        f"its {record.format} file has {size} bytes instead of {record.size}",
                    )
                    continue
                for start in range(0, record.size, _PART):
                    length = min(_PART, record.size - start)
                    digest.update(self.place.read_range(path, start, length))
                if digest.hexdigest() != record.sha256:
                    yield number, f"its {record.format} file has another checksum"
            except (CheckpointError, PlaceError) as error:
                yield number, str(error)


def is_sharded(place: Place) -> bool:
    """Whether the outputs of a sharded command are at a place.

    Raises:
        PlaceError: If it cannot be reached.
    """
    return place.exists(PLAN_FILE)
