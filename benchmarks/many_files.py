"""What does a file system make of one file per image, and of tar files of 256 images?

    python benchmarks/many_files.py                        10 000 and 100 000 images
    python benchmarks/many_files.py --images 1000000       takes minutes, and 5 GB while it runs

Files are store shards of 1.6 KB, smaller than any real one, so that what is measured is the file
system and not the bytes. They are written as a run writes them for the first 1 000 (each waits for
the disk), and without waiting for the rest, which only makes them. Caches are warm: what was just
written is in memory. Everything is deleted at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from primaps.runs.store import FeatureStore, ShardInfo
from primaps.shards.places import Place, place_of
from primaps.shards.plan import make_plan, references_of, references_sha256
from primaps.shards.reading import ShardedOutputs
from primaps.shards.records import (
    ShardRecord,
    entries_of,
    finished,
    member_name,
    shard_file,
    write_record,
)
from primaps.shards.references import Listing, Reference
from primaps.shards.tar_files import write_tar
from primaps.types import MaskProposals, View

SYNCED = 1000
IN_A_TAR = 256


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: temporary)")
    options = parser.parse_args()
    for images in options.images:
        with tempfile.TemporaryDirectory(dir=options.folder, prefix="primaps-many-files-") as name:
            print(f"\n{images} images, load {os.getloadavg()[0]:.1f}", flush=True)
            one_file_each(Path(name) / "store", images)
            shutil.rmtree(Path(name) / "store")
            tar_files(Path(name), images)


def one_file_each(root: Path, images: int) -> None:
    """Make, list, resume, sample and delete a store."""
    store = FeatureStore(root, "settings", [View()])
    names = [name_of(number) for number in range(images)]
    synced = names[: min(SYNCED, images)]
    timed("file each: write as a run does", len(synced), lambda: write_all(store, synced))
    content = store.path(names[0]).read_bytes()

    def make_rest() -> None:
        for name in names[len(synced) :]:
            path = store.path(name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)

    timed("file each: make without waiting", images - len(synced), make_rest)
    used = sum(path.stat().st_blocks * 512 for path in list(root.rglob("*.safetensors"))[:1000])
    print(f"    {used / 1000:.0f} bytes on disk for {len(content)} of content", flush=True)
    timed("file each: list", images, lambda: sum(len(files) for *_, files in os.walk(root)))
    timed("file each: resume (FeatureStore.info)", images, lambda: [store.info(n) for n in names])
    chosen = names[:: max(1, images // 1000)]
    timed(
        "file each: read a sample", len(chosen), lambda: [read_all(store.path(n)) for n in chosen]
    )
    timed("file each: delete", images, lambda: shutil.rmtree(root))
    root.mkdir()


def tar_files(folder: Path, images: int) -> None:
    """The same with tar files."""
    place = place_of(folder / "sharded")
    info = ShardInfo("settings", "0" * 64, 1, 1, 48, 64, 0, 0.0, (), ())
    one = FeatureStore(folder / "one", "settings", [View()])
    write_one(one, "one", info)
    content = one.path("one").read_bytes()
    references = tuple(
        Reference(name_of(number), f"/photographs/{name_of(number)}", 1, "1")
        for number in range(images)
    )
    listing = Listing(references)
    timed("tar files: plan", images, lambda: make_plan(place, listing, IN_A_TAR))
    shards = -(-images // IN_A_TAR)
    scratch = folder / "scratch.tar"

    def write() -> None:
        for number in range(shards):
            write_shard(place, number, content, scratch)

    timed("tar files: write as a run does", images, write)
    timed("tar files: list", images, lambda: place.names("shards"))

    def resume() -> None:
        for number in range(shards):
            inner = references_of(place, number)
            assert finished(place, number, "settings", references_sha256(inner)) is not None

    timed("tar files: resume", images, resume)
    outputs = ShardedOutputs(place)
    timed(
        "tar files: read a sample",
        min(1000, images),
        lambda: [outputs.read(each, "store") for each in outputs.sample(1000)],
    )
    timed("tar files: delete", images, lambda: shutil.rmtree(place.folder))


def write_shard(place: Place, number: int, content: bytes, scratch: Path) -> None:
    """Tar file and record of a shard."""
    references = references_of(place, number)
    names = [each.name for each in references]
    members = write_tar(scratch, ((member_name(name, "store"), content) for name in names))
    whole = scratch.read_bytes()
    place.publish(shard_file(number), scratch)
    record = ShardRecord(
        number,
        hashlib.sha256(whole).hexdigest(),
        len(whole),
        entries_of(members, dict.fromkeys(names, "0" * 64)),
        settings="settings",
        references=references_sha256(references),
    )
    write_record(place, record)


def write_all(store: FeatureStore, names: list[str]) -> None:
    """Write shards as a run does."""
    info = ShardInfo("settings", "0" * 64, 1, 1, 48, 64, 0, 0.0, (), ())
    for name in names:
        write_one(store, name, info)


def write_one(store: FeatureStore, name: str, info: ShardInfo) -> None:
    """Write the smallest shard."""
    proposals = MaskProposals(np.zeros((24, 32), np.int32), np.zeros(0, np.float32))
    store.write(name, torch.zeros(1, 8, 3, 4), proposals, info)


def name_of(number: int) -> str:
    """A folder holds a thousand images."""
    return f"{number // 1000:05d}/{number:08d}.jpg"


def read_all(path: Path) -> bytes:
    """Content of a file."""
    return path.read_bytes()


def timed(what: str, count: int, work: Callable[[], object]) -> None:
    """Print how long it takes, in all and for one image."""
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    each = seconds / max(1, count) * 1e6
    print(f"  {what:40} {count:>8} {seconds:9.2f} s {each:9.1f} us each", flush=True)


if __name__ == "__main__":
    main()
