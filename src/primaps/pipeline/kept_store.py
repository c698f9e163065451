"""How much of a store stays when a command is done: all of it, the plain views, or a digest; and
what is told of that.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Final

from primaps.config import Config, KeptStore
from primaps.errors import CheckpointError, OutputError
from primaps.pipeline.stored_proposals import STAGE, proposals_of_image
from primaps.runs.digest import write_digest
from primaps.runs.run import MANIFEST, Run, RunFolder, cached_views
from primaps.runs.store import read_json, remove_file, write_json, write_problem

LARGE: Final = 5e9
"""Bytes of a store above which the options that shrink it are named."""
_BESIDE: Final = 150_000
"""Bytes that an image takes without its features: maps of proposals and labels, and their share of
the report.
"""
_NAMED_INPUTS: Final = 3
"""Inputs that a command line is told with."""


def kept_views(config: Config, kept: KeptStore | None = None) -> int:
    """How many of the views, the plain one first, stay in the store.

    Args:
        config: All settings.
        kept: How much is kept; None = as the settings say.
    """
    kept = kept or config.store or "full"
    return {"full": len(cached_views(config)), "light": 1, "none": 0}[kept]


def fitted_views(config: Config) -> int:
    """How many of them the fit looks at: EM on pixels all, everything else the plain one."""
    fit = config.fit
    return 1 if fit.on_proposals or fit.method != "em" else len(cached_views(config))


def feature_bytes(run: Run, images: int, views: int) -> float:
    """What so many views of so many photographs of 4:3 take in the store."""
    side = run.config.features.size / run.backbone.patch_size
    return images * views * side * side * 4 / 3 * run.backbone.dim * 2


def bytes_on_disk(run: Run, missing: int, *, fit: bool = True) -> float:
    """What so many photographs of 4:3 take in the store and beside it, while a command is at work.

    Args:
        run: The run.
        missing: How many photographs.
        fit: Whether the command fits something to them.
    """
    views = max(1, kept_views(run.config), fitted_views(run.config) if fit else 1)
    return feature_bytes(run, missing, views) + missing * _BESIDE


def note_of_size(run: Run) -> str | None:
    """Which options shrink the store, where it becomes large; None where it does not."""
    images, kept = len(run.images), run.config.store or "full"
    bytes_of = {
        each: feature_bytes(run, images, kept_views(run.config, each))
        for each in ("full", "light", "none")
    }
    if bytes_of[kept] <= LARGE:
        return None
    told = f"Features will take about {size_text(bytes_of[kept])} in {run.folder.store}."
    if kept == "full" and bytes_of["light"] < bytes_of["full"]:
        told += f" --store light leaves {size_text(bytes_of['light'])} of them, the plain views;"
    else:
        told += " They are plain views alone, which --store light keeps too;"
    return f"{told} --store none leaves nothing when all is done, so that other fits begin anew."


def size_text(number: float) -> str:
    """Bytes for people."""
    return f"{number / 1e9:.2g} GB" if number >= 1e8 else f"{number / 1e6:.2g} MB"


def shrink(run: Run) -> None:
    """Leave of the store what the settings say; the last thing that a command does, so that a
    killed one finds what it had made.

    Raises:
        OutputError: If something cannot be written or removed.
    """
    kept, folder = run.config.store or "full", run.folder
    if kept == "none":
        _keep_digest(run)
        _remove_store(folder)
        return
    if kept == "light" and len(cached_views(run.config)) > 1:
        _thin(run)
        manifest = folder.store / MANIFEST
        record = read_json(manifest)
        write_json(manifest, {**record, "views": record["views"][:1]})
    for path in (folder.root / MANIFEST, folder.digest):  # the store has all that they tell
        remove_file(path)


def _thin(run: Run) -> None:
    store = run.store
    several = [image.name for image in run.usable_images() if store.held(image.name) > 1]
    with run.stage("plain views", len(several)):
        for name in several:
            store.thin(name)
            run.progress.advance()


def _keep_digest(run: Run) -> None:
    images, store = run.usable_images(), run.store
    if any(store.held(image.name) for image in images) or not run.folder.digest.exists():
        infos = {image.name: info for image in images if (info := store.info(image.name))}
        proposals = []
        with run.stage(STAGE, len(infos)):
            for name in infos:
                proposals.append(proposals_of_image(store, name))
                run.progress.advance()
        write_digest(run.folder.digest, infos, proposals)
    record = read_json(run.folder.manifest)
    write_json(run.folder.root / MANIFEST, {**record, "views": record["views"][:1]})


def _remove_store(folder: RunFolder) -> None:
    """The list of images first, so that the one beside the digest holds from then on."""
    remove_file(folder.store / MANIFEST)
    try:
        for below, folders, files in os.walk(folder.store, topdown=False):
            for name in files:
                (Path(below) / name).unlink()
            for name in folders:
                (Path(below) / name).rmdir()
        if folder.store.is_symlink():
            folder.store.unlink()
        elif folder.store.exists():
            folder.store.rmdir()
    except OSError as error:
        raise OutputError(write_problem(folder.store, error)) from error


def require_views(run: Run, views: int) -> None:
    """Refuse work on features that were not kept.

    Args:
        run: From `reopen`.
        views: How many of the views, the plain one first, must be there.

    Raises:
        CheckpointError: If an image lacks one; the message has the command that makes them again.
    """
    store = run.store
    lacking = [image.name for image in run.usable_images() if store.held(image.name) < views]
    if not lacking:
        return
    plain_left = all(store.held(name) for name in lacking)
    lost = (
        "mirrored and photometric views, which EM on pixels learns from"
        if plain_left
        else ("features")
    )
    raise CheckpointError(
        f"Expected stored {lost}, but {run.folder.root} does not have them of {len(lacking)} of"
        f" {len(run.images)} images (--store {run.config.store or 'full'}). Make them again:"
        f" {rebuilding(run.folder)}"
    )


def rebuilding(folder: RunFolder) -> str:
    """The command line that makes the whole store of a run again."""
    inputs = [str(each) for each in folder.record.get("inputs", ())]
    if not inputs or len(inputs) > _NAMED_INPUTS:
        inputs = ["IMAGES"]
    out = str(folder.root)
    words = ["primaps", "proposals", *inputs, "--out", out, "--config", str(folder.run_json)]
    return shlex.join([*words, "--store", "full"])
