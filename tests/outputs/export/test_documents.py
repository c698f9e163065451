"""JSON and PNG as the formats need them."""

import json

import numpy as np
import pytest
from PIL import Image

from primaps.outputs.export.documents import grey_png, indexed_png, stream_object
from primaps.outputs.export.target import Target


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_streamed_object_is_plain_json(tmp_path, count):
    target = Target(tmp_path)
    members = {"a": ({"n": n, "t": 'é"\n'} for n in range(count)), "b": [1], "c": "x", "d": {}}
    stream_object(target, "sub/list.json", members)
    assert json.loads((tmp_path / "sub/list.json").read_bytes()) == {
        "a": [{"n": n, "t": 'é"\n'} for n in range(count)],
        "b": [1],
        "c": "x",
        "d": {},
    }


def test_a_streamed_file_appears_when_it_is_complete(tmp_path):
    def broken():
        yield 1
        raise RuntimeError

    with pytest.raises(RuntimeError):
        stream_object(Target(tmp_path), "list.json", {"a": broken()})
    assert not list(tmp_path.iterdir())


def test_pixels_are_values(tmp_path):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    (tmp_path / "p.png").write_bytes(indexed_png(values, {3: (1, 2, 3)}))
    (tmp_path / "g.png").write_bytes(grey_png(values))
    with Image.open(tmp_path / "p.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), values)
        assert picture.convert("RGB").getpixel((3, 0)) == (1, 2, 3)
    with Image.open(tmp_path / "g.png") as picture:
        assert picture.mode == "L"
        np.testing.assert_array_equal(np.asarray(picture), values)
