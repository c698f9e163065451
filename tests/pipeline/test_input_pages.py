from __future__ import annotations

import dataclasses

import numpy as np
import PIL.Image
import pytest
import tifffile

from primaps import pipeline
from primaps.config import InputConfig
from primaps.pipeline.exporting import ExportSettings, export
from primaps.pipeline.input_pages import all_pages
from primaps.pipeline.viewing import Viewed
from primaps.runs.run import read_warnings
from primaps.types import ImageFile


@pytest.fixture
def pages(tmp_path, draw):
    """A folder with a file of three pages and a photograph."""
    folder = tmp_path / "pages"
    folder.mkdir()
    with tifffile.TiffWriter(folder / "x.tif") as file:
        for seed in range(3):
            file.write(draw(seed), photometric="rgb")
    PIL.Image.fromarray(draw(7)).save(folder / "y.png")
    return folder


def test_names(pages):
    (pages / "z.tif").write_bytes(b"II*\0 damaged")
    files = [ImageFile(pages / name, name) for name in ("x.tif", "y.png", "z.tif")]
    found = all_pages(files)
    assert [image.name for image in found] == [
        "x.tif.p0001",
        "x.tif.p0002",
        "x.tif.p0003",
        "y.png",
        "z.tif",
    ]
    assert [image.page for image in found] == [1, 2, 3, None, None]
    assert found[1].place == f"{pages / 'x.tif'}, page 2"


def test_all_pages_are_images(pages, tmp_path, texture, small_config, draw):
    config = dataclasses.replace(small_config, inputs=InputConfig(pages="all"))
    run = pipeline.open_run([pages], tmp_path / "run", texture, config)
    pipeline.segment(run)
    assert sorted(path.name for path in (tmp_path / "run" / "labels").iterdir()) == [
        "x.tif.p0001.png",
        "x.tif.p0002.png",
        "x.tif.p0003.png",
        "y.png.png",
    ]
    notes = read_warnings(run.folder)
    assert notes["x.tif.p0002"][0].text == "Page 2 of 3."
    again = pipeline.open_run([pages], tmp_path / "run", texture, config)
    pipeline.segment(again)
    assert again.counts["proposals_made"] == 0
    assert [image.page for image in pipeline.reopen(tmp_path / "run", {}).images] == [1, 2, 3, None]
    viewed = Viewed(tmp_path / "run")
    assert np.abs(viewed.pixels("x.tif.p0003").astype(int) - draw(2)).max() == 0
    assert "Page 3 of 3." in viewed.image("x.tif.p0003").warnings


def test_pages_are_exported_as_pictures_of_their_own(pages, tmp_path, texture, small_config, draw):
    config = dataclasses.replace(small_config, inputs=InputConfig(pages="all"))
    run = pipeline.open_run([pages], tmp_path / "run", texture, config)
    pipeline.segment(run)
    export(tmp_path / "run", tmp_path / "voc", ExportSettings("voc", link=True))
    folder = tmp_path / "voc" / "JPEGImages"
    assert sorted(path.name for path in folder.iterdir()) == [
        "x.tif.p0001.png",
        "x.tif.p0002.png",
        "x.tif.p0003.png",
        "y.png",
    ]
    assert np.array_equal(np.asarray(PIL.Image.open(folder / "x.tif.p0002.png")), draw(1))


def test_otherwise_the_first_one_is_and_says_so(pages, tmp_path, texture, small_config):
    run = pipeline.open_run([pages], tmp_path / "run", texture, small_config)
    pipeline.segment(run)
    assert [note.text for note in read_warnings(run.folder)["x.tif"]] == [
        "1 of 3 pages is used; --pages all uses every one."
    ]
    assert not run.failures
    facts = Viewed(tmp_path / "run").record()["facts"]
    assert facts["read in another way than plain 8-bit RGB"] == "of several pages: 1"


def test_a_page_that_cannot_be_read_does_not_take_the_others_with_it(
    pages, tmp_path, texture, small_config
):
    content = bytearray((pages / "x.tif").read_bytes())
    with tifffile.TiffFile(pages / "x.tif") as file:
        tag = file.pages[1].tags["StripOffsets"]
    content[tag.valueoffset : tag.valueoffset + 4] = (10**8).to_bytes(4, "little")
    (pages / "x.tif").write_bytes(content)
    config = dataclasses.replace(small_config, inputs=InputConfig(pages="all"))
    run = pipeline.open_run([pages], tmp_path / "run", texture, config)
    pipeline.proposals(run)
    assert [failure.path for failure in run.failures] == [f"{pages / 'x.tif'}, page 2"]
    assert [image.name for image in run.usable_images()] == ["x.tif.p0001", "x.tif.p0003", "y.png"]
