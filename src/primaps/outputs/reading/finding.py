"""Which form mended masks have, and their photographs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from primaps.errors import ConfigError
from primaps.outputs.reading.coco import is_coco, read_coco
from primaps.outputs.reading.cvat import is_cvat, read_cvat
from primaps.outputs.reading.label_studio import is_label_studio, read_label_studio
from primaps.outputs.reading.masks import find_masks, read_masks
from primaps.outputs.reading.mended import MendedImage

FORMS: Final = {
    "coco": "coco",
    "coco-stuff": "coco",
    "cvat": "cvat",
    "label-studio": "label-studio",
    "voc": "png",
    "fiftyone": "png",
}
"""The form of each format of exports that can be read back."""


@dataclass(frozen=True)
class MendedMasks:
    """Mended masks.

    Attributes:
        form: ``coco``, ``cvat``, ``label-studio`` or ``png``.
        files: The files; for ``png`` the folder.
    """

    form: str
    files: tuple[Path, ...]

    def images(self) -> Iterator[MendedImage]:
        """The photographs that they speak of, one after the other.

        Raises:
            ConfigError: If a file is damaged.
        """
        for path in self.files:
            if self.form == "cvat":
                yield from read_cvat(path)
            elif self.form == "png":
                yield from read_masks(path)
            elif self.form == "coco":
                yield from read_coco(path, _json(path))
            else:
                yield from read_label_studio(path, _json(path))


def find_mended(given: Path, export: str | None) -> MendedMasks:
    """Find mended masks.

    Args:
        given: A file, or a folder: of an export, or with a file of another program.
        export: The format, if the folder is an export of ours.

    Raises:
        ConfigError: If there are none, or they are of several forms.
    """
    if export is not None and export not in FORMS:
        raise ConfigError(
            f"Expected an export in a format that can be read back ({', '.join(FORMS)}), but"
            f" {given} is one in the format {export}. Export in another one for mending."
        )
    wanted = None if export is None else FORMS[export]
    found: dict[str, list[Path]] = {}
    for path in _documents(given):
        form = _form(path)
        if form is not None and wanted in {None, form}:
            found.setdefault(form, []).append(path)
    if wanted in {None, "png"} and not found and given.is_dir() and find_masks(given):
        found["png"] = [given]
    if len(found) != 1:
        what = f"those of {' and '.join(found)}" if found else "none"
        raise ConfigError(
            f"Expected {given} to hold mended masks (annotations of CVAT for images, tasks of Label"
            f" Studio as JSON, COCO, or label images as PNG), but got {what}. Unpack what the other"
            " program gave into a folder of its own, or into the export that it came from."
        )
    (form, files), *_ = found.items()
    return MendedMasks(form, tuple(files))


def _documents(given: Path) -> list[Path]:
    """Files that may be lists of masks, in the folder itself and in ``annotations/``."""
    if not given.exists():
        raise ConfigError(f"Expected a folder or file of mended masks, but there is no {given}.")
    if given.is_file():
        return [given]
    folders = [given, given / "annotations"]
    return [
        path
        for folder in folders
        for path in sorted(folder.glob("*"))
        if path.suffix.lower() in {".xml", ".json"} and path.is_file()
    ]


def _form(path: Path) -> str | None:
    if path.suffix.lower() == ".xml":
        return "cvat" if is_cvat(path) else None
    try:
        document = _json(path)
    except ConfigError:
        return None
    if is_coco(document):
        return "coco"
    return "label-studio" if is_label_studio(document) else None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"Expected {path} to be JSON, but got: {error}.") from error
