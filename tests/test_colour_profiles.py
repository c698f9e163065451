from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from primaps.data.reading import read_image, read_photo


def _expected(levels, primaries, srgb, gamma=None):
    """sRGB levels of colours of another screen, by hand (relative colorimetric, clipped)."""
    x = np.asarray(levels) / 255
    curve = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    linear = curve if gamma is None else x**gamma
    light = (linear @ np.array(primaries) @ np.linalg.inv(np.array(srgb))).clip(0, 1)
    encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255)


COLOURS = [[30, 60, 90], [200, 120, 40], [90, 160, 80], [128, 128, 128], [250, 240, 230]]


def _picture():
    return np.array([COLOURS], dtype=np.uint8).repeat(8, axis=0)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_adobe_rgb(tmp_path, odd_files, suffix):
    profile = odd_files.rgb_profile(odd_files.ADOBE_RGB, 2.2, "Adobe RGB (drawn)")
    options = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"x.{suffix}"
    PIL.Image.fromarray(_picture()).save(path, icc_profile=profile, **options)
    photo = read_photo(path, 10**6)
    expected = _expected(COLOURS, odd_files.ADOBE_RGB, odd_files.SRGB, 2.2)
    assert np.abs(photo.image[0] - expected).max() <= 2
    assert np.abs(photo.image[0].astype(int) - COLOURS).max() >= 10
    assert photo.notes[0].text == "Converted from the colour profile 'Adobe RGB (drawn)' to sRGB."


def test_display_p3_in_a_jpeg(tmp_path, odd_files):
    profile = odd_files.srgb_curve_profile(odd_files.DISPLAY_P3)
    picture = np.full((32, 32, 3), (200, 120, 40), np.uint8)
    PIL.Image.fromarray(picture).save(tmp_path / "x.jpg", quality=100, icc_profile=profile)
    expected = _expected([200, 120, 40], odd_files.DISPLAY_P3, odd_files.SRGB)
    assert np.abs(read_image(tmp_path / "x.jpg")[16, 16] - expected).max() <= 3


@pytest.mark.parametrize("made_by", ["pillow", "drawn"])
def test_srgb_under_any_name_changes_nothing(tmp_path, odd_files, draw, made_by):
    image = PIL.Image.fromarray(draw(0))
    profile = (
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        if made_by == "pillow"
        else odd_files.srgb_curve_profile(odd_files.SRGB)
    )
    image.save(tmp_path / "x.png", icc_profile=profile)
    photo = read_photo(tmp_path / "x.png", 10**6)
    assert np.array_equal(photo.image, draw(0))
    assert photo.notes == ()


def test_grey_gamma(tmp_path, odd_files):
    levels = np.array([[0, 64, 128, 192, 255]], dtype=np.uint8)
    path = tmp_path / "x.png"
    PIL.Image.fromarray(levels).save(path, icc_profile=odd_files.grey_profile(1.0))
    expected = [0, 137, 188, 225, 255]  # linear light as sRGB levels
    assert np.abs(read_image(path)[0, :, 0].astype(int) - expected).max() <= 2
    assert np.ptp(read_image(path), axis=-1).max() <= 1


def test_cmyk(tmp_path, odd_files):
    inks = PIL.Image.new("CMYK", (8, 8), (255, 0, 255, 0))  # half of the ink: L = 50
    inks.save(tmp_path / "x.tif", icc_profile=odd_files.cmyk_profile())
    inks.save(tmp_path / "x.jpg", quality=100, icc_profile=odd_files.cmyk_profile())
    for name in ("x.tif", "x.jpg"):
        photo = read_photo(tmp_path / name, 10**6)
        assert np.abs(photo.image[4, 4].astype(int) - 119).max() <= 4
        assert photo.notes[0].kind == "profile"


def test_deep_colours_are_converted_too(tmp_path, odd_files):
    import tifffile

    profile = odd_files.rgb_profile(odd_files.ADOBE_RGB, 2.2)
    values = _picture().astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "x.tif", values, photometric="rgb", iccprofile=profile)
    (tmp_path / "x.png").write_bytes(odd_files.png16(values, profile))
    expected = _expected(COLOURS, odd_files.ADOBE_RGB, odd_files.SRGB, 2.2)
    for name in ("x.tif", "x.png"):
        assert np.abs(read_image(tmp_path / name)[0] - expected).max() <= 2, name


@pytest.mark.parametrize("kind", ["cut short", "noise", "of grey"])
def test_a_profile_that_cannot_be_used_is_noted(tmp_path, odd_files, draw, kind):
    whole = odd_files.rgb_profile(odd_files.ADOBE_RGB)
    profile = {
        "cut short": whole[:200],
        "noise": bytes(range(200)),
        "of grey": odd_files.grey_profile(1.8),
    }[kind]
    buffer = io.BytesIO()
    PIL.Image.fromarray(draw(0)).save(buffer, "PNG", icc_profile=profile)
    (tmp_path / "x.png").write_bytes(buffer.getvalue())
    photo = read_photo(tmp_path / "x.png", 10**6)
    assert np.array_equal(photo.image, draw(0))
    assert "cannot be used" in photo.notes[0].text
    assert photo.notes[0].text.endswith("so colours are taken as sRGB.")


@pytest.mark.parametrize("curve", ["gamma", "srgb"])
def test_grey_pictures_with_a_profile_of_colours(tmp_path, odd_files, draw, curve):
    """Their values are greys of that profile."""
    grey = PIL.Image.fromarray(draw(0)).convert("L")
    profile = (
        odd_files.rgb_profile(odd_files.ADOBE_RGB, gamma=1.0)
        if curve == "gamma"
        else odd_files.srgb_curve_profile(odd_files.SRGB)
    )
    grey.save(tmp_path / "x.png", icc_profile=profile)
    photo = read_photo(tmp_path / "x.png", 10**6)
    linear = np.asarray(grey) / 255.0
    shown = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clip(1e-9) ** (1 / 2.4) - 0.055
    )
    expected = 255 * shown if curve == "gamma" else np.asarray(grey)
    assert np.abs(photo.image - expected[..., None]).max() <= 2
    assert [note.kind for note in photo.notes] == ["profile"] * (curve == "gamma")
