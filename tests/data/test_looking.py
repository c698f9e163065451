import numpy as np
import pytest
from PIL import Image

from primaps.config import InputConfig
from primaps.data.looking import HERE
from primaps.errors import ImageError
from primaps.types import ImageFile


def test_what_is_seen(tmp_path):
    deep = np.arange(6 * 7, dtype=np.uint16).reshape(6, 7) * 1000
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.new("RGB", (4, 3)).save(tmp_path / "plain.png")
    deep_file, plain = (ImageFile(tmp_path / f"{name}.png", name) for name in ("deep", "plain"))
    assert HERE.pages(plain) == 1
    assert HERE.kind(plain) is None
    kind = HERE.kind(deep_file)
    assert kind is not None
    assert HERE.values(deep_file, kind, InputConfig()).tolist() == deep.ravel().tolist()
    assert HERE.values(plain, kind, InputConfig()) is None
    with pytest.raises(ImageError):
        HERE.pages(ImageFile(tmp_path / "gone.png", "gone"))
