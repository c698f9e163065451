"""A folder of image files of every odd kind, through the command line: used, noted or listed."""

import io
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

SETTINGS = ("--backbone", "texture", "--size", "64", "--preset", "fast", "--classes", "4")


@pytest.fixture
def kinds(tmp_path, draw, odd_files):
    """The folder."""
    folder = tmp_path / "kinds"
    folder.mkdir()
    rgb = draw(0, 120, 160)
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    write = tifffile.imwrite
    write(folder / "white_is_zero.tif", 65535 - grey.astype(np.uint16) * 257, photometric=0)
    write(folder / "twelve_bits.tif", grey.astype(np.uint16) * 16)
    celsius = grey.astype(np.float32) / 2
    celsius[:40, :40] = -9999
    write(folder / "no_data.tif", celsius, extratags=[(42113, "s", 0, "-9999", True)])
    write(folder / "five.tif", np.dstack([rgb, grey, grey]), photometric=1, planarconfig=1)
    write(folder / "infrared.tif", np.dstack([rgb, grey // 3]), photometric=2, extrasamples=[2])
    write(folder / "stack.tif", np.stack([grey, 255 - grey, grey]), photometric=1)
    with tifffile.TiffWriter(folder / "preview_first.dng") as file:
        file.write(rgb[::4, ::4], photometric="rgb", subfiletype=1, subifds=1)
        file.write(grey.astype(np.uint16) * 64)
    (folder / "damaged.jpg").write_bytes(odd_files.damaged_jpeg(rgb, progressive=True))
    (folder / "phone.heic").write_bytes(odd_files.HEIC)
    (folder / "raw.cr3").write_bytes(b"\0\0\0\x18ftypcrx " + bytes(600))
    buffer = io.BytesIO()
    profile = odd_files.rgb_profile(odd_files.ADOBE_RGB)
    Image.fromarray(rgb).save(buffer, "JPEG", icc_profile=profile)
    (folder / "adobe.jpg").write_bytes(buffer.getvalue())
    Image.fromarray(rgb).save(folder / "plain.png")
    return folder


def _lines(path):
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


@pytest.mark.slow
def test_every_kind_is_used_noted_or_listed(kinds, primaps, tmp_path):
    out = tmp_path / "run"
    result = primaps("segment", kinds, "--out", out, *SETTINGS, "--pages", "all")
    assert result.returncode == 3  # the raw file
    failed = _lines(out / "failures.jsonl")
    assert [line["path"] for line in failed] == [str(kinds / "raw.cr3")]
    assert "raw data of a camera" in failed[0]["reason"]
    noted = {line["image"]: line["kinds"] for line in _lines(out / "warnings.jsonl")}
    assert noted == {
        "adobe.jpg": ["profile"],
        "damaged.jpg": ["damaged"],
        "five.tif": ["bands"],
        "infrared.tif": ["alpha"],
        "no_data.tif": ["range", "no-data"],
        "phone.heic": ["orientation"],
        "preview_first.dng": ["range"],
        "stack.tif.p0001": ["page"],
        "stack.tif.p0002": ["page"],
        "stack.tif.p0003": ["page"],
        "twelve_bits.tif": ["range"],
        "white_is_zero.tif": ["range"],
    }
    labels = np.asarray(Image.open(out / "labels" / "no_data.tif.png"))
    assert (labels[:40, :40] == 255).all()
    assert (labels == 255).sum() == 1600
    assert np.asarray(Image.open(out / "labels" / "preview_first.dng.png")).shape == (120, 160)
    assert (out / "labels" / "stack.tif.p0002.png").exists()

    new = tmp_path / "new"
    result = primaps("predict", kinds, "--model", out, "--out", new)
    assert result.returncode == 3
    known = {line["image"]: line["notes"] for line in _lines(out / "warnings.jsonl")}
    assert {line["image"]: line["notes"] for line in _lines(new / "warnings.jsonl")} == known

    other = primaps("segment", kinds, "--out", out, *SETTINGS, "--range", "0,3000")
    assert other.returncode == 2
    assert "inputs.value_range: 'auto' -> [0.0, 3000.0]" in other.stdout + other.stderr
