"""Outputs of an ordinary run as a sharded command writes them."""

import hashlib

from primaps.shards.plan import make_plan, references_of, references_sha256
from primaps.shards.records import (
    ShardRecord,
    entries_of,
    member_name,
    shard_file,
    write_record,
)
from primaps.shards.references import list_references
from primaps.shards.tar_files import write_tar


def pack(run, place, inputs, size):
    """Write shards of so many images of a run of `primaps proposals` to a place."""
    plan = make_plan(place, list_references([inputs]), size)
    place.publish("run.json", run.folder.run_json)
    for shard in range(plan.shards):
        references, members, sums = references_of(place, shard), [], {}
        for name in [each.name for each in references]:
            info = run.store.info(name)
            if info is not None:
                sums[name] = info.sha256
                members += [
                    (member_name(name, "store"), run.store.path(name)),
                    (member_name(name, "proposals"), run.folder.proposals(name)),
                ]
        scratch = run.folder.root / "scratch.tar"
        packed = write_tar(scratch, members)
        content = scratch.read_bytes()
        place.publish(shard_file(shard), scratch)
        write_record(
            place,
            ShardRecord(
                shard,
                hashlib.sha256(content).hexdigest(),
                len(content),
                entries_of(packed, sums),
                references=references_sha256(references),
            ),
        )
    return place
