"""Fixtures for the whole suite."""

import dataclasses
import importlib.util
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from primaps.config import preset_config

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """The development data beside the project."""
    if not SHARED.is_dir():
        pytest.skip("the development data (../shared) is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def trees():
    """The module that writes miniature data sets: `tests/data/trees.py`."""
    spec = importlib.util.spec_from_file_location("trees", Path(__file__).parent / "data" / "trees.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def draw_photograph(seed, height=60, width=80):
    """A landscape of sky, hills and a disc, with noise: (H, W, 3) uint8."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    image = np.empty((height, width, 3))
    image[:] = (120, 170, 230)
    hill = height * (0.5 + 0.2 * np.sin(columns / width * 6 + seed))
    image[rows > hill] = (70, 120, 50)
    disc = (rows - height * 0.75) ** 2 + (columns - width * (0.2 + 0.6 * generator.random())) ** 2 < (height * 0.15) ** 2
    image[disc] = (200, 40, 40)
    return (image + generator.normal(scale=8, size=image.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def photograph():
    """One drawn photograph, (60, 80, 3) uint8."""
    return draw_photograph(0)


@pytest.fixture
def photographs(tmp_path):
    """A folder of five drawn photographs, one in a sub-folder, of two sizes."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for seed in range(4):
        Image.fromarray(draw_photograph(seed)).save(folder / f"p{seed}.png")
    Image.fromarray(draw_photograph(4, 90, 64)).save(folder / "more" / "p4.png")
    return folder


@pytest.fixture
def small_config():
    """Settings that make every stage take well under a second."""
    base = preset_config("default")
    return dataclasses.replace(
        base,
        num_clusters=3,
        features=dataclasses.replace(base.features, size=64),
        fit=dataclasses.replace(
            base.fit, min_steps=10, epochs=1, kmeans_epochs=1, baseline_epochs=1, checkpoint_every=4, pixels_per_image=64
        ),
    )


@pytest.fixture(scope="session")
def texture():
    """The backbone that needs no weights."""
    from primaps.features.backbone import load_backbone

    return load_backbone("texture", device="cpu")


# ---- images that real folders contain: odd ones, which must be read, and bad ones, which must be reported --------------------


def _gradient(height=24, width=36):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) * 2], axis=-1).astype(np.uint8)


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _one_bit_png(width, height, pixels):
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


@pytest.fixture
def gradient():
    """(24, 36, 3) uint8."""
    return _gradient()


@pytest.fixture
def odd_images(tmp_path):
    """Files that are unusual and fine, by what is odd about them; all but ``one_pixel`` are 24 x 36 after orientation."""
    root = tmp_path / "odd"
    (root / "first").mkdir(parents=True)
    (root / "second").mkdir()
    gradient = _gradient()
    rgb = Image.fromarray(gradient)
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = {
        "one_pixel": root / "one_pixel.png",
        "black": root / "black.png",
        "grey": root / "grey.jpg",
        "sixteen_bit": root / "sixteen_bit.png",
        "rgba": root / "rgba.png",
        "palette": root / "palette.png",
        "cmyk": root / "cmyk.jpg",
        "rotated": root / "rotated.jpg",
        "non_ascii": root / "Straße 東京 é.PNG",
        "same_name_1": root / "first" / "same.png",
        "same_name_2": root / "second" / "same.png",
        "beside_jpg": root / "a.jpg",
        "beside_png": root / "a.png",
    }
    rgb.resize((1, 1)).save(paths["one_pixel"])
    Image.new("RGB", rgb.size).save(paths["black"])
    rgb.convert("L").save(paths["grey"])
    Image.fromarray(gradient[..., 0].astype(np.uint16) * 257).save(paths["sixteen_bit"])
    rgba = rgb.convert("RGBA")
    rgba.putalpha(Image.fromarray(gradient[..., 1]))
    rgba.save(paths["rgba"])
    rgb.quantize(64).save(paths["palette"])
    rgb.convert("CMYK").save(paths["cmyk"], quality=95)
    rgb.transpose(Image.Transpose.ROTATE_90).save(paths["rotated"], exif=exif, quality=95)
    for key in ("non_ascii", "same_name_1", "same_name_2", "beside_jpg", "beside_png"):
        rgb.save(paths[key])
    return paths


@pytest.fixture
def bad_images(tmp_path):
    """Paths with an image's name that cannot be read, by what is wrong with them."""
    root = tmp_path / "bad"
    root.mkdir()
    kinds = (
        "empty.jpg",
        "text.jpg",
        "truncated.jpg",
        "truncated.png",
        "huge_header.png",
        "bomb.png",
        "broken_link.jpg",
        "folder.jpg",
    )
    paths = {kind.replace(".", "_"): root / kind for kind in kinds}
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    paths["empty_jpg"].write_bytes(b"")
    paths["text_jpg"].write_text("These are my holiday pictures.\n" * 20, encoding="utf-8")
    for key in ("truncated_jpg", "truncated_png"):
        noise.save(paths[key])
        content = paths[key].read_bytes()
        paths[key].write_bytes(content[: len(content) // 2])
    paths["huge_header_png"].write_bytes(_one_bit_png(2**31 - 1, 2**31 - 1, zlib.compress(b"\0")))
    paths["bomb_png"].write_bytes(_one_bit_png(16000, 16000, zlib.compress(bytes(16000 * 2001), level=1)))
    paths["broken_link_jpg"].symlink_to(root / "not_there.jpg")
    paths["folder_jpg"].mkdir()
    noise.save(paths["folder_jpg"] / "inside.png")
    return paths
