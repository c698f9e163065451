"""What CVAT writes beyond our own exports."""

import pytest

from primaps.errors import ConfigError, ImageError
from primaps.outputs.reading.cvat import is_cvat, read_cvat

HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
IMAGE = '<image id="0" name="a.png" width="6" height="4">'
MASK = '<mask label="a" rle="{}" left="1" top="0" width="2" height="2" z_order="{}"></mask>'


def write(tmp_path, body):
    path = tmp_path / "annotations.xml"
    path.write_text(f"{HEAD}{body}</annotations>", "utf-8")
    return path


def test_polygons_and_the_order_of_layers(tmp_path):
    polygon = '<polygon label="b" points="2.00,1.00;5.00,1.00;5.00,3.00;2.00,3.00" z_order="{}"/>'
    for layer, expected in ((0, "a"), (2, "b")):
        body = IMAGE + MASK.format("0, 4", 1) + polygon.format(layer) + "</image>"
        (image,) = read_cvat(write(tmp_path, body))
        painted = image.paint()
        assert image.names[painted[1, 2]] == expected
        assert painted.tolist()[0] == [
            -1,
            image.names.index("a"),
            image.names.index("a"),
            -1,
            -1,
            -1,
        ]
        assert (painted[1:3, 3:5] == image.names.index("b")).all()


def test_boxes_and_points_are_counted(tmp_path):
    body = IMAGE + '<box label="b" xtl="1"/><points label="c"/><tag label="d"/></image>'
    (image,) = read_cvat(write(tmp_path, body))
    assert image.passed_over == 2
    assert image.paint() is None


def test_what_is_damaged_is_told(tmp_path):
    (image,) = read_cvat(write(tmp_path, IMAGE + MASK.format("0, 5", 0) + "</image>"))
    with pytest.raises(ImageError, match="run lengths of 5 pixels"):
        image.paint()
    for body in ('<image name="a.png">', '<image name="a.png"/>', '<track id="0"/>'):
        with pytest.raises(ConfigError, match="CVAT for images"):
            list(read_cvat(write(tmp_path, body)))


def test_other_files_are_none_of_its(tmp_path):
    assert is_cvat(write(tmp_path, ""))
    (tmp_path / "a.xml").write_text("<annotation/>")
    (tmp_path / "b.xml").write_text("no markup")
    assert not is_cvat(tmp_path / "a.xml")
    assert not is_cvat(tmp_path / "b.xml")
    assert not is_cvat(tmp_path / "c.xml")
