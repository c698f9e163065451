from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from primaps.data.jpeg.damage import damage
from primaps.data.reading import read_photo


def _jpeg(image, **options):
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(60, 80), (17, 33), (8, 8), (1, 1)])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("restart", [0, 3])
def test_whole_files(draw, size, progressive, subsampling, restart):
    options = {"progressive": progressive, "subsampling": subsampling}
    if restart:
        options["restart_marker_blocks"] = restart
    for quality in (10, 75, 100):
        image = draw(1, *size) if min(size) > 1 else np.full((1, 1, 3), 200, np.uint8)
        assert damage(_jpeg(image, quality=quality, **options)) is None
        assert damage(_jpeg(image[..., 0], quality=quality, **options)) is None


def test_extreme_contrasts_are_pictures_too():
    noise = np.random.default_rng(0).choice([0, 255], (64, 64, 3)).astype(np.uint8)
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    for quality in (1, 50, 100):
        assert damage(_jpeg(noise, quality=quality, subsampling=0)) is None
        assert damage(_jpeg(board, quality=quality)) is None


@pytest.mark.parametrize("progressive", [False, True])
def test_most_damage_is_found(draw, progressive):
    """Of forty random bytes anywhere in the data."""
    content = _jpeg(draw(2, 240, 320), quality=90, progressive=progressive)
    generator, found = np.random.default_rng(0), 0
    for _ in range(50):
        damaged = bytearray(content)
        place = int(generator.integers(len(content) // 3, len(content) - 50))
        damaged[place : place + 40] = generator.integers(0, 255, 40, dtype=np.uint8).tobytes()
        found += damage(bytes(damaged)) is not None
    assert found >= 45


def test_kinds_of_damage(draw):
    content = _jpeg(draw(2, 240, 320), quality=90)
    end = content.rindex(b"\xff\xd9")
    assert damage(content[: end - 2000] + content[end:]) == (
        "they end before the picture is complete"
    )
    assert damage(content[:end] + bytes(500) + content[end:]) == "500 bytes of them are left over"
    with_restarts = _jpeg(draw(2, 240, 320), restart_marker_blocks=5)
    assert damage(with_restarts.replace(b"\xff\xd2", b"\xff\xd4", 1)) == (
        "a restart marker is not where it should be"
    )
    assert "contradict" in damage(content.replace(b"\xff\xc4\x00", b"\xff\xc4\x01", 1)) or damage(
        content.replace(b"\xff\xc4\x00", b"\xff\xc4\x01", 1)
    )


def test_what_follows_the_picture_does_not_matter(draw):
    content = _jpeg(draw(2))
    assert damage(content + b"\0" * 1000 + content[:300]) is None


@pytest.mark.parametrize("content", [b"\xff\xd8", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xc0\0\x04ab"])
def test_files_without_a_picture(content):
    damage(content)


def test_photographs_are_noted(tmp_path, draw, odd_files):
    (tmp_path / "x.jpg").write_bytes(odd_files.damaged_jpeg(draw(1, 240, 320), progressive=True))
    photo = read_photo(tmp_path / "x.jpg", 10**6, damage=True)
    assert photo.notes[0].kind == "damaged"
    assert photo.notes[0].text.startswith("The JPEG data are damaged: ")
    assert read_photo(tmp_path / "x.jpg", 10**6).notes == ()
    PIL.Image.fromarray(draw(1)).save(tmp_path / "y.jpg")
    assert read_photo(tmp_path / "y.jpg", 10**6, damage=True).notes == ()
