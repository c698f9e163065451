"""What is kept of a store that was removed: what is known of every image, and the mean features of
its proposals, from which names and reports are made. One file, written as a whole.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from primaps.errors import CheckpointError
from primaps.runs.checksums import refuse_damaged
from primaps.runs.store import ShardInfo, info_from_record, info_record, write_tensors

if TYPE_CHECKING:
    import torch

_FORMAT: Final = "primaps-digest-1"
_UNUSABLE: Final = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError),
    *(RecursionError, CheckpointError),
)


@dataclass(frozen=True)
class ProposalDigest:
    """The proposals of one image, or of several, one after the other.

    Attributes:
        ids: (M,) int64, ascending in an image.
        features: (M, C) float32 mean features.
        areas: (M,) float32 areas in tokens.
        square_norm: (N,) float32 mean squared norm of the tokens of each image.
    """

    ids: torch.Tensor
    features: torch.Tensor
    areas: torch.Tensor
    square_norm: torch.Tensor


class Digest:
    """A digest on disk.

    Args:
        path: Of the file.
        infos: What is known of every image.
        counts: Proposals of every image, in the same order.

    Attributes:
        infos: As given.
    """

    def __init__(self, path: Path, infos: Mapping[str, ShardInfo], counts: Sequence[int]) -> None:
        self.path = path
        self.infos = infos
        self._rows: dict[str, tuple[int, slice]] = {}
        first = 0
        for number, (name, count) in enumerate(zip(infos, counts, strict=True)):
            self._rows[name] = number, slice(first, first + count)
            first += count
        self._total = first

    def proposals(self, name: str) -> ProposalDigest:
        """Those of one image, read from disk.

        Args:
            name: Of an image that is known.

        Raises:
            CheckpointError: If the file was replaced since.
        """
        from safetensors import safe_open

        number, rows = self._rows[name]
        with safe_open(self.path, framework="pt") as file:
            if file.get_slice("ids").get_shape()[0] != self._total:
                raise CheckpointError(
                    f"Expected {self.path} as it was a moment ago, but another command has written"
                    " it again. Run the same command once more."
                )
            return ProposalDigest(
                file.get_slice("ids")[rows],
                file.get_slice("features")[rows],
                file.get_slice("areas")[rows],
                file.get_slice("square_norm")[number : number + 1],
            )


def write_digest(
    path: Path, infos: Mapping[str, ShardInfo], proposals: Sequence[ProposalDigest]
) -> None:
    """Write a digest.

    Args:
        path: The file.
        infos: What is known of every image.
        proposals: Of every image, in the same order; one or more.

    Raises:
        OutputError: If it cannot be written.
    """
    import torch

    record = {
        "images": {name: info_record(info) for name, info in infos.items()},
        "counts": [len(each.ids) for each in proposals],
    }
    text = json.dumps(record, ensure_ascii=True).encode("ascii")
    tensors = {
        "record": torch.frombuffer(bytearray(text), dtype=torch.uint8),
        "ids": torch.cat([each.ids for each in proposals]),
        "features": torch.cat([each.features for each in proposals]),
        "areas": torch.cat([each.areas for each in proposals]),
        "square_norm": torch.cat([each.square_norm for each in proposals]),
    }
    write_tensors(path, tensors, {"format": _FORMAT})


def read_digest(path: Path) -> Digest | None:
    """The digest in a file; None if there is none, or what is there is of no use, so that what it
    should tell is made again.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return _read(path, status.st_mtime_ns, status.st_size, status.st_ino)


@functools.lru_cache(maxsize=4)
def _read(path: Path, *_: int) -> Digest | None:
    """As `read_digest`, once for each state of the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as stream:
            refuse_damaged(stream)
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("format") != _FORMAT:
                return None
            record = json.loads(file.get_tensor("record").numpy().tobytes())
        infos = {name: info_from_record(each, path) for name, each in record["images"].items()}
        return Digest(path, infos, [int(each) for each in record["counts"]])
    except (*_UNUSABLE, SafetensorError):
        return None
