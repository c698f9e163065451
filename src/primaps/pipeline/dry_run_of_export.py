"""What `primaps export` would write. Nothing is written."""

from __future__ import annotations

from pathlib import Path

from primaps.outputs.export.journal import kept_and_gone, refuse_others
from primaps.outputs.export.registry import find_exporter
from primaps.pipeline.estimates import disk_line
from primaps.pipeline.exporting import ExportSettings, Stamps, to_export
from primaps.pipeline.kept_store import size_text
from primaps.shards.places import place_of


def planned_export(folder: Path, out: str, settings: ExportSettings) -> list[str]:
    """Lines that tell it.

    Args:
        folder: Run folder, or a folder of predicted label maps.
        out: Where it would go, on disk or in an object store.
        settings: What is wanted.

    Raises:
        PrimapsError: As `primaps.pipeline.exporting.export`.
    """
    find_exporter(settings.format)
    labels, images = to_export(folder, settings)
    place, stamps = place_of(out), Stamps(labels, settings, images)
    states = {image.name: stamps.of(image) for image in images}
    kept, gone = set[str](), set[str]()
    if place.is_local:
        refuse_others(place.folder, settings.format)
        kept, gone = kept_and_gone(
            place.folder, {name: stamp for name, (stamp, _) in states.items()}
        )
    todo = [image for image in images if image.name not in kept]
    lost = [image.place for image in todo if states[image.name][1] is None]
    photographs = sum(states[image.name][1] or 0 for image in todo)
    maps = sum(_size(labels.files.labels(image.name)) for image in todo)
    lines = [
        f"Images:      {len(images)}, {len(kept)} of them up to date, {len(todo)} to do",
        f"Format:      {settings.format}",
        f"Photographs: {photographs_line(photographs, link=settings.link)}",
        size_line((0 if settings.link else photographs) + maps, out),
    ]
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        lines.append(f"Missing:     {', '.join(lost[:3])}{more}; --images says where they are now")
    if gone:
        lines.append(f"Removed:     {len(gone)} images that are no longer in {folder}")
    return lines


def photographs_line(size: int, *, link: bool) -> str:
    """What becomes of photographs of so many bytes."""
    return "links" if link else f"copies of {size_text(size)}"


def size_line(size: float, out: str) -> str:
    """So many bytes where outputs go."""
    place = place_of(out)
    if place.is_local:
        return disk_line(size, place.folder)
    return f"Sent:        about {size_text(size)} to {place.url}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
