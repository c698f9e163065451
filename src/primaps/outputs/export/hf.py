"""Hugging Face ``datasets``: ``data/<split>-<n>-of-<m>.parquet`` and the dataset card
``README.md``.

Columns: ``image`` and ``mask`` (features ``Image``), ``file_name``, and ``classes``, those that
occur in the image (``ClassLabel``, which names them all). A mask holds the numbers of these names,
255 where unlabelled. Photographs are embedded as they are. A split without images is left out.
(huggingface.co/docs/datasets, "Image feature", "Structure your repository")
"""

from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from primaps.errors import MissingExtraError
from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.documents import grey_png
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Record, Records
from primaps.outputs.export.splitting import WHOLE
from primaps.outputs.export.target import Target
from primaps.types import IGNORE_INDEX

if TYPE_CHECKING:
    import pyarrow as pa

SHARD_BYTES: Final = 500_000_000
"""A file ends with the image that exceeds this."""
_GROUP_BYTES: Final = 50_000_000
_NAMES: Final = {"train": "train", "val": "validation", "test": "test"}


class HuggingFace:
    """Hugging Face datasets; see the module's text."""

    passes = 2

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        if importlib.util.find_spec("pyarrow") is None:
            raise MissingExtraError(
                "Expected the package pyarrow, which writes parquet files, but it is not installed."
                " Install it with: pip install 'primaps[hf]'"
            )
        self._target, self._classes, self._options = target, classes, options
        self._table = classes.numbered(0, IGNORE_INDEX)

    def add(self, image: ExportImage) -> dict[str, Any]:
        """Give back the mask, and how much the image will take; all of it goes to the shards."""
        mask = self._table[image.label_map()]
        png = grey_png(mask)
        return {
            "mask": base64.b64encode(png).decode("ascii"),
            "classes": [int(value) for value in np.unique(mask) if value != IGNORE_INDEX],
            "bytes": len(image.photograph()) + len(png),
        }

    def finish(self, records: Records) -> None:
        """Write the shards of every split, and the card."""
        written = []
        for split, _ in self._options.parts():
            ends = _shard_ends(records(split))
            if ends:
                name = _NAMES[split or WHOLE]
                self._write_split(name, ends, records(split))
                written.append(name)
        self._target.write("README.md", self._card(written).encode())

    def _write_split(self, name: str, ends: list[int], records: Iterator[Record]) -> None:
        start = 0
        for index, end in enumerate(ends):
            file = f"data/{name}-{index:05d}-of-{len(ends):05d}.parquet"
            self._write_shard(file, records, end - start)
            start = end

    def _write_shard(self, file: str, records: Iterator[Record], count: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = self._schema()
        with (
            self._target.stream(file) as stream,
            pq.ParquetWriter(stream, schema) as writer,
        ):
            rows: list[dict[str, Any]] = []
            size = 0
            for _ in range(count):
                record = next(records)
                rows.append(_row(record))
                size += record.content["bytes"]
                if size >= _GROUP_BYTES:
                    writer.write_table(pa.Table.from_pylist(rows, schema))
                    rows, size = [], 0
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema))

    def _schema(self) -> pa.Schema:
        """Columns, with the features as ``datasets`` looks for them in the metadata."""
        import pyarrow as pa

        names = [each.name for each in self._classes.classes]
        features = {
            "image": {"_type": "Image"},
            "mask": {"_type": "Image"},
            "file_name": {"dtype": "string", "_type": "Value"},
            "classes": {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"},
        }
        picture = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        columns = {
            "image": picture,
            "mask": picture,
            "file_name": pa.string(),
            "classes": pa.list_(pa.int64()),
        }
        metadata = json.dumps({"info": {"features": features}})
        return pa.schema(list(columns.items()), metadata={"huggingface": metadata})

    def _card(self, splits: list[str]) -> str:
        files = "".join(f"  - split: {name}\n    path: data/{name}-*\n" for name in splits)
        rows = "".join(
            f"| {number} | {each.name.replace('|', chr(92) + '|')} |\n"
            for number, each in enumerate(self._classes.classes)
        )
        return (
            "---\ntask_categories:\n- image-segmentation\nconfigs:\n- config_name: default\n"
            f"  data_files:\n{files}---\n\n# Semantic segmentation\n\n"
            "Masks hold the numbers of the classes, 255 where unlabelled. They were found by"
            " primaps without labels;\na person may have named, merged or ignored classes.\n\n"
            f"| number | class |\n|---|---|\n{rows}"
        )


def _shard_ends(records: Iterator[Record]) -> list[int]:
    """For every shard the number of images up to its end."""
    ends: list[int] = []
    size = count = 0
    for count, record in enumerate(records, start=1):
        size += record.content["bytes"]
        if size >= SHARD_BYTES:
            ends.append(count)
            size = 0
    return ends if not count or ends[-1:] == [count] else [*ends, count]


def _row(record: Record) -> dict[str, Any]:
    image, content = record.image, record.content
    mask = base64.b64decode(content["mask"])
    return {
        "image": {"bytes": image.photograph(), "path": image.name},
        "mask": {"bytes": mask, "path": f"{image.stem}.png"},
        "file_name": image.name,
        "classes": content["classes"],
    }
