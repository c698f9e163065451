"""What `primaps check` found, as a JSON record and as text."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from primaps.data.checking import DatasetCheck, SplitCheck
from primaps.data.paths import printable

SHOWN_FAILURES: Final = 10
_BAR = 30


def as_record(check: DatasetCheck) -> dict[str, Any]:
    """JSON-ready: counts, pixels per class and every problem."""
    return {
        "dataset": check.name,
        "root": printable(check.root),
        "complete": check.complete,
        "usable": check.usable,
        "error": check.error or None,
        "splits": [_split_record(split) for split in check.splits],
    }


def _split_record(found: SplitCheck) -> dict[str, Any]:
    return {
        "split": found.split.name,
        "needed": found.split.needed,
        "complete": found.complete,
        "images": found.images,
        "published_images": found.split.images,
        "pixels": dict(zip(found.class_names, found.pixels.tolist(), strict=True)),
        "ignored_pixels": found.ignored,
        "ignored_share": found.ignored_share,
        "error": found.error or None,
        "failures": [dataclasses.asdict(failure) for failure in found.failures],
    }


def as_text(check: DatasetCheck) -> str:
    """Per split a histogram of classes and what is wrong; then what to do next."""
    lines = [f"{check.about.title}, in {printable(check.root)}"]
    for split in check.splits:
        lines += ["", *_split_lines(split)]
    if check.error:
        lines += ["", check.error]
    lines += ["", *(_next_steps(check) if check.complete else _how_to_complete(check))]
    return "\n".join(lines)


def _split_lines(found: SplitCheck) -> list[str]:
    split = found.split
    if found.left_out:
        return [f"{split.title}: not there (optional). {found.error}"]
    if found.error:
        return [f"{split.title}: not usable. {found.error}"]
    published = "" if split.images is None else f" of {split.images} published"
    usable = f"{found.images}{published} images are usable"
    lines = [f"{split.title}: {usable}, {found.ignored_share:.1%} of the pixels are unlabelled"]
    lines += _histogram(found)
    lines += [f"  {failure.path}: {failure.reason}" for failure in found.failures[:SHOWN_FAILURES]]
    if len(found.failures) > SHOWN_FAILURES:
        lines.append(
            f"  ... and {len(found.failures) - SHOWN_FAILURES} more; --json FILE lists all"
        )
    return lines


def _histogram(found: SplitCheck) -> list[str]:
    """One line per class: share of the labelled pixels, number of pixels, a bar."""
    labelled = int(found.pixels.sum())
    if not labelled:
        return ["  no labelled pixel"]
    width = max(len(name) for name in found.class_names)
    digits, largest = len(f"{labelled}"), int(found.pixels.max())
    return [
        f"  {name:<{width}} {count / labelled:7.2%} {count:>{digits}}"
        f" {'#' * round(_BAR * count / largest)}".rstrip()
        for name, count in zip(found.class_names, found.pixels.tolist(), strict=True)
    ]


def _next_steps(check: DatasetCheck) -> list[str]:
    names = [found.split.name for found in check.splits if found.images]
    split = "val" if "val" in names else names[-1]
    option = "" if split is None else f" --split {split}"
    return [
        "Complete. Next:",
        (
            f"  primaps evaluate --model RUN --dataset {check.name} --root"
            f" {printable(check.root)}{option}"
        ),
    ]


def _how_to_complete(check: DatasetCheck) -> list[str]:
    layout = [f"  {line}" for line in check.about.layout.splitlines()]
    verdict = "Incomplete." if check.usable else "Nothing usable."
    again = f"Then run again: primaps check {check.name} --root {printable(check.root)}"
    return [
        f"{verdict} Expected below the root:",
        *layout,
        f"Get it: {check.about.source}",
        f"Licence: {check.about.licence}",
        again,
    ]
