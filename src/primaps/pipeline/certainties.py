"""How certain the label maps of a folder are: ``certainty.jsonl``, one line per image, and on
request ``certainty/<path>.png``.

A line is put at the end of the file in one write as soon as its image is done; when all are, the
file is replaced by one with a line per image, in the order of their names.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from primaps.errors import OutputError
from primaps.prototypes.certainty import certainty
from primaps.runs.records import is_count, is_number, is_text, tuple_of, values_of, with_keys
from primaps.runs.store import atomic_write
from primaps.types import ClassTable

_DIGITS: Final = 4


@dataclass(frozen=True)
class ImageCertainty:
    """Of one image, over the tokens of its grid.

    Attributes:
        mean: In [0, 1].
        tokens: Number of tokens by cluster, of those that have any.
        sums: Sum of their certainties, likewise.
    """

    mean: float
    tokens: Mapping[int, int]
    sums: Mapping[int, float]


class CertaintyBook:
    """The certainties of a folder's images.

    Args:
        path: The file; need not exist.
        model: Fingerprint of the model they are for; lines of another one do not count.
    """

    def __init__(self, path: Path, model: str) -> None:
        self._path, self._model = path, model
        self._lock = threading.Lock()
        self._records = {
            record["image"]: record for record in _records(path) if record.get("model") == model
        }
        self._cut = _ends_within_a_line(path)

    def get(self, image: str, photo: str | None = None) -> ImageCertainty | None:
        """Of one image; None if it is not known, or known of another photograph only.

        Args:
            image: Its name.
            photo: SHA-256 of its file; None = whatever it was.
        """
        record = self._records.get(image)
        if record is None or photo not in {None, record["photo"]}:
            return None
        clusters = {int(key): value for key, value in record["clusters"].items()}
        return ImageCertainty(
            record["mean"],
            {key: int(count) for key, (count, _) in clusters.items()},
            {key: count * mean for key, (count, mean) in clusters.items()},
        )

    def note(self, image: str, photo: str, scores: torch.Tensor) -> None:
        """Measure an image and write it down; thread-safe.

        Args:
            image: Its name.
            photo: SHA-256 of its file.
            scores: (K, h, w) float32 logits of its tokens.

        Raises:
            OutputError: If it cannot be written.
        """
        values = certainty(scores).flatten()
        classes, number = scores.argmax(dim=0).flatten(), len(scores)
        tokens = torch.bincount(classes, minlength=number).tolist()
        sums = torch.bincount(classes, values.double(), minlength=number).tolist()
        record = {
            "image": image,
            "model": self._model,
            "photo": photo,
            "mean": round(float(values.mean()), _DIGITS),
            "clusters": {
                str(cluster): [count, round(total / count, _DIGITS)]
                for cluster, (count, total) in enumerate(zip(tokens, sums, strict=True))
                if count
            },
        }
        with self._lock:
            self._records[image] = record
            self._append(_line(record))

    def finish(self, images: Collection[str]) -> None:
        """All of these images are done: write the file anew, a line for each that is known.

        Args:
            images: Their names.

        Raises:
            OutputError: If it cannot be written.
        """
        kept = self._records.keys() & set(images)
        lines = [_line(self._records[each]) for each in sorted(kept)]
        content = b"".join(lines)
        if not self._path.exists() or self._path.read_bytes() != content:
            atomic_write(self._path, content)

    def _append(self, line: bytes) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as stream:
                # one write: the line is there as a whole, or not at all
                stream.write(b"\n" + line if self._cut else line)
            self._cut = False
        except OSError as error:
            raise OutputError(
                f"Could not write {self._path}: {error.strerror or error}."
            ) from error


def _line(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, ensure_ascii=True) + "\n").encode("ascii")


def _ends_within_a_line(path: Path) -> bool:
    """Whether what is appended would become a part of a line that a disk or a copy cut."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() != b"\n"


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Lines that cannot be read are passed over: their images are measured again."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"Expected {path} to be readable, but got: {error}.") from error
    for line in lines:
        try:
            record = json.loads(line) if line else None
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and _is_record(record):
            yield record


_is_record: Final = with_keys(
    {
        "image": is_text,
        "photo": is_text,
        "mean": is_number,
        "clusters": lambda value: (
            values_of(tuple_of(is_count, is_number))(value) and all(map(str.isdecimal, value))
        ),
    },
    ("image", "photo", "mean", "clusters"),
)


def class_certainty(found: Collection[ImageCertainty], table: ClassTable) -> dict[int, float]:
    """Mean certainty of each class over the tokens of all images; classes without tokens are left
    out.
    """
    totals: dict[int, list[float]] = {}
    for entry in table.classes:
        count = sum(each.tokens.get(cluster, 0) for each in found for cluster in entry.clusters)
        total = sum(each.sums.get(cluster, 0.0) for each in found for cluster in entry.clusters)
        if count:
            totals[entry.id] = [total, count]
    return {class_id: total / count for class_id, (total, count) in totals.items()}


def doubtful_images(means: Mapping[str, float]) -> list[tuple[str, float]]:
    """The images that fit no class, the least certain first: their certainty lies below the lower
    fence of Tukey (1977), one and a half interquartile ranges under the lower quartile.

    Args:
        means: Mean certainty by name.
    """
    if len(means) < 4:
        return []
    values: NDArray[np.float64] = np.array(list(means.values()))
    lower, upper = np.quantile(values, (0.25, 0.75))
    fence = lower - 1.5 * (upper - lower)
    low = [(name, value) for name, value in means.items() if value < fence]
    return sorted(low, key=lambda each: (each[1], each[0]))
