import numpy as np
from PIL import Image

import primaps as pm
from primaps import pipeline
from primaps.outputs.visualize import paint
from primaps.pipeline.named_labels import NamedLabels, correct
from primaps.pipeline.overlays import write_overlays
from primaps.runs.model import Model


def painted(run):
    opened = pipeline.reopen(run, {}, device="cpu")
    write_overlays(opened, Model.load(run).fingerprint)
    return {
        str(path.relative_to(run / "overlays")): path.stat().st_mtime_ns
        for path in (run / "overlays").rglob("*.jpg")
    }


def test_photographs_are_painted_with_the_named_classes(named_run):
    pm.classes(named_run, merge={(1, 2): "wall"}, ignore=[0], colour={3: "#010203"})
    first = painted(named_run)
    assert set(first) == {"0.png.jpg", "2.png.jpg", "sub/1.png.jpg", "sub/3.png.jpg"}
    labels = NamedLabels(named_run)
    for image in pipeline.reopen(named_run, {}, device="cpu").images:
        photo = pm.read_image(image.path)
        expected = paint(photo, labels.read(image.name), labels.colours())
        with Image.open(named_run / "overlays" / f"{image.name}.jpg") as picture:
            found = np.asarray(picture.convert("RGB")).astype(int)
        assert np.abs(found - expected).mean() < 6


def test_only_what_changed_is_painted_again(named_run):
    first = painted(named_run)
    assert painted(named_run) == first
    correct(named_run, [("0.png", 1, 3)])
    second = painted(named_run)
    assert {name for name in first if first[name] != second[name]} == {"0.png.jpg"}
    pm.classes(named_run, colour={3: "#010203"})
    assert not set(painted(named_run).values()) & set(second.values())


def test_photographs_that_are_gone_are_reported(named_run):
    opened = pipeline.reopen(named_run, {}, device="cpu")
    gone = [each for each in opened.images if each.name == "0.png"]
    moved = tuple(
        type(each)(each.path.with_name("gone"), each.name) if each in gone else each
        for each in opened.images
    )
    opened.images = moved
    write_overlays(opened, Model.load(named_run).fingerprint)
    assert [failure.path.endswith("gone") for failure in opened.failures] == [True]
    assert len(list((named_run / "overlays").rglob("*.jpg"))) == 3
