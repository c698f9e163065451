"""Images looked into by another process, which some of them end."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from primaps.config import InputConfig
from primaps.data.looking import HERE
from primaps.engine import looking_apart
from primaps.engine.limits import Limits
from primaps.engine.looking_apart import LookApart
from primaps.errors import ImageError, ProcessError
from primaps.types import ImageFile

DEADLY = """
import os, signal, time
from primaps.engine import looking_worker
from primaps.data.looking import LookHere

class Deadly(LookHere):
    def pages(self, image):
        if image.name == "deadly":
            os.kill(os.getpid(), signal.SIGSEGV)
        if image.name == "slow":
            time.sleep(60)
        if image.name == "bug":
            raise RuntimeError("a mistake")
        return super().pages(image)

looking_worker.HERE = Deadly()
looking_worker.main()
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of two pages, one of 16 bits, and one that is no image."""
    root = tmp_path_factory.mktemp("files")
    with tifffile.TiffWriter(root / "two.tif") as file:
        for seed in range(2):
            file.write(np.full((8, 9, 3), seed, np.uint8), photometric="rgb")
    deep = np.arange(6 * 7, dtype=np.uint16).reshape(6, 7) * 1000
    Image.fromarray(deep).save(root / "deep.png")
    (root / "bad.tif").write_text("no image")
    return {path.name: ImageFile(path, path.name) for path in root.iterdir()}


def test_it_sees_what_this_process_sees(files):
    look = LookApart(Limits())
    try:
        for name in ("two.tif", "deep.png"):
            assert look.pages(files[name]) == HERE.pages(files[name])
            assert look.kind(files[name]) == HERE.kind(files[name])
        kind = HERE.kind(files["deep.png"])
        inputs = InputConfig()
        found = look.values(files["deep.png"], kind, inputs)
        expected = HERE.values(files["deep.png"], kind, inputs)
        assert (found.dtype, found.tolist()) == (expected.dtype, expected.tolist())
        assert look.values(files["deep.png"], "another", inputs) is None
        with pytest.raises(ImageError, match=r"bad\.tif"):
            look.pages(files["bad.tif"])
    finally:
        look.close()
    look.close()  # twice is fine


@pytest.mark.slow
def test_an_image_that_ends_it_ends_nothing_else(files, tmp_path, monkeypatch):
    (tmp_path / "deadly_look.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(looking_apart, "WORKER", "deadly_look")
    path, look = files["two.tif"].path, LookApart(Limits(seconds=2))
    try:
        with pytest.raises(ImageError, match="it ends the process"):
            look.pages(ImageFile(path, "deadly"))
        assert look.pages(files["two.tif"]) == 2  # by another process
        with pytest.raises(ProcessError, match="a mistake"):
            look.pages(ImageFile(path, "bug"))
        with pytest.raises(ImageError, match="in time"):
            look.pages(ImageFile(path, "slow"))
    finally:
        look.close()


def test_a_process_that_does_not_start_is_named(files, monkeypatch):
    monkeypatch.setattr(looking_apart, "WORKER", "primaps.engine.not_there")
    with pytest.raises(ProcessError, match="to start, but it did not"):
        LookApart(Limits()).pages(files["two.tif"])
