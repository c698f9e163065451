"""The folder that an export is written to."""

import pytest

from primaps.errors import OutputError
from primaps.outputs.export.target import Target


def test_files_are_remembered_until_asked_for(tmp_path):
    target = Target(tmp_path)
    target.write("a/b.txt", b"x")
    with target.stream("c.txt") as stream:
        stream.write(b"y")
    assert target.written() == ["a/b.txt", "c.txt"]
    assert target.written() == []
    assert (tmp_path / "a/b.txt").read_bytes() == b"x"
    assert (tmp_path / "c.txt").read_bytes() == b"y"


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "a").write_text("no folder")
    target = Target(tmp_path)
    with pytest.raises(OutputError), target.stream("a/b.txt") as stream:
        stream.write(b"y")


def test_links_lead_to_the_originals(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "labelme", link=True)
    image = next(image for image in export.images if image.name == "full.png")
    assert (export.root / "full.png").readlink() == image.path.absolute()
