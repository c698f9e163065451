"""Overlays of a folder: every photograph with its named classes painted over it."""

from __future__ import annotations

import dataclasses
from typing import Final

from primaps.outputs.label_files import read_png_info
from primaps.outputs.overlays import overlay_stamp, write_overlay
from primaps.outputs.visualize import paint
from primaps.pipeline.framed import photo_of
from primaps.pipeline.named_labels import NamedLabels
from primaps.pipeline.parallel import for_each_image
from primaps.runs.run import Run
from primaps.runs.store import fingerprint
from primaps.types import ImageFile

PIXELS: Final = 1_000_000
"""An overlay has at most so many."""
GENERATION: Final = 2
"""Raised when a change of the code changes overlays."""


def write_overlays(run: Run, model: str) -> None:
    """Paint what has changed, names included.

    Args:
        run: Its label maps are there; photographs that cannot be read are among its failures then.
        model: Fingerprint of the model that made them.

    Raises:
        ConfigError: If the names or corrections have a mistake.
        OutputError: If something cannot be written.
    """
    labels = NamedLabels(run.folder.root)
    classes = fingerprint([GENERATION, dataclasses.asdict(labels.table)])
    failed = {failure.path for failure in run.failures}
    stamps: dict[str, str] = {}
    for image in run.images:
        header = read_png_info(run.folder.labels(image.name))
        if header.get("model") == model and image.place not in failed:
            said = sorted(labels.binding(image.name).classes.items())
            stamps[image.name] = fingerprint([classes, header, said])
    missing = [
        image
        for image in run.images
        if image.name in stamps
        and overlay_stamp(run.folder.overlay(image.name)) != stamps[image.name]
    ]
    colours = labels.colours()

    def draw(image: ImageFile) -> None:
        photo = photo_of(image, run.config, PIXELS).image
        named = labels.read(image.name, photo.shape[:2])
        write_overlay(
            run.folder.overlay(image.name), paint(photo, named, colours), stamps[image.name]
        )

    with run.stage("overlays", len(missing)):
        for_each_image(run, missing, "overlays", draw)
