from __future__ import annotations

import numpy as np
import pytest
import tifffile

from primaps.data.raw_files import is_raw
from primaps.data.reading import read_image
from primaps.errors import ImageError

STARTS = {
    "raf": b"FUJIFILMCCD-RAW 0201",
    "rw2": b"IIU\0\x08\0\0\0",
    "orf": b"IIRO\x08\0\0\0",
    "crw": b"II\x1a\0\0\0HEAPCCDR",
    "cr2": b"II*\0\x10\0\0\0CR\2\0",
    "cr3": b"\0\0\0\x18ftypcrx ",
    "x3f": b"FOVb\0\0\2\0",
    "mrw": b"\0MRM\0\0\0\0",
}


@pytest.mark.parametrize("suffix", sorted(STARTS))
def test_raw_files_say_why_they_are_not_read(tmp_path, suffix):
    (tmp_path / f"x.{suffix}").write_bytes(STARTS[suffix] + bytes(500))
    assert is_raw(STARTS[suffix])
    with pytest.raises(ImageError, match=f"x.{suffix} holds the raw data of a camera.*Export it"):
        read_image(tmp_path / f"x.{suffix}")


@pytest.mark.parametrize("place", ["main", "sub"])
def test_raw_data_in_a_tiff_file_are_not_replaced_by_the_preview(tmp_path, photograph, place):
    path = tmp_path / "x.dng"
    mosaic = photograph[..., 0].astype(np.uint16) * 16
    with tifffile.TiffWriter(path) as file:
        if place == "sub":
            file.write(photograph[:15, :20], photometric="rgb", subfiletype=1, subifds=1)
        file.write(mosaic, photometric=32803, extratags=[(33421, "H", 2, (2, 2), True)])
        if place == "main":
            file.write(photograph[:15, :20], photometric="rgb")
    with pytest.raises(ImageError, match=r"x\.dng holds the raw data of a camera"):
        read_image(path)
