"""Hugging Face datasets; `tests/e2e/test_export_readers.py` reads them with that package."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from primaps.outputs.export import hf

pytest.importorskip("pyarrow", reason="pyarrow, the extra hf, is not installed")


def test_shards_have_the_features_and_names_in_their_metadata(drawn, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    monkeypatch.setattr(hf, "SHARD_BYTES", 2000)
    export = drawn.make_export(tmp_path, "hf")
    files = sorted((export.root / "data").iterdir())
    assert len(files) > 2
    assert files[0].name == f"train-00000-of-{len(files):05d}.parquet"
    seen = []
    for file in files:
        table = pq.read_table(file)
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert features["image"] == features["mask"] == {"_type": "Image"}
        assert features["classes"]["feature"]["names"] == list(drawn.NAMES.values())
        ids = np.array([*drawn.NAMES, *[255] * (256 - len(drawn.NAMES))])
        for row in table.to_pylist():
            with Image.open(io.BytesIO(row["mask"]["bytes"])) as picture:
                labels = ids[np.asarray(picture)]
            np.testing.assert_array_equal(labels, export.labels(row["file_name"]))
            seen.append(row["file_name"])
    assert seen == [image.name for image in export.images]


def test_a_split_without_images_is_left_out(drawn, tmp_path):
    paths = drawn.write_photographs(tmp_path / "photos")
    export = drawn.make_export(
        tmp_path, "hf", splits=("train", "val"), paths={"a.jpg": paths["a.jpg"]}
    )
    assert [file.name for file in (export.root / "data").iterdir()] == [
        "train-00000-of-00001.parquet"
    ]
    card = (export.root / "README.md").read_text("utf-8")
    assert "split: train" in card
    assert "validation" not in card
