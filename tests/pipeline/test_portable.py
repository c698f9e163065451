"""The portable form of a model, run by onnxruntime."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import primaps as pm
from primaps.errors import BackboneError, CheckpointError, ConfigError, MissingExtraError
from primaps.features.preprocess import input_size
from primaps.naming.table import fresh_table, ignore_class, merge_classes, name_class
from primaps.pipeline import portable as module
from primaps.pipeline.portable import PortableModel, channels, export_model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

COLOURS = [(index, 0, 0) for index in range(8)]


def named(table):
    """Two clusters of one class, one ignored, one as it is."""
    table, _ = merge_classes(table, (0, 2), "ground")
    return ignore_class(table, 1)


def with_random_weights(name, folder):
    import timm

    path = folder / f"{name}.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(timm.create_model(name, pretrained=False).state_dict(), path)
    return pm.load_backbone(f"timm:{name}", weights=path, device="cpu")


@pytest.fixture
def fit(photographs, small_config):
    """A fitted segmenter with names; inputs have a short side of 96 pixels."""
    features = dataclasses.replace(small_config.features, size=96)
    config = dataclasses.replace(small_config, features=features)

    def make(backbone, method="em"):
        segmenter = pm.Segmenter(backbone, num_clusters=4, config=config, method=method)
        segmenter.fit(photographs)
        segmenter.classes = named(segmenter.classes)
        return segmenter

    return make


@pytest.fixture
def untraced(monkeypatch):
    """Tracing and checking take seconds; what is around them is tested without."""
    monkeypatch.setattr(module, "_traced", lambda *_: b"a graph")
    monkeypatch.setattr(module, "_check", lambda *_: None)


def prepared(image, description):
    """What the description says, in numpy and Pillow alone."""
    height, width = image.shape[:2]
    short, multiple = min(height, width), description["multiple"]
    sides = [
        max(1, int(min(side / short, description["max_aspect"]) * description["short_side"]
        / multiple + 0.5)) * multiple
        for side in (height, width)
    ]  # fmt: skip
    resized = Image.fromarray(image).resize((sides[1], sides[0]), Image.Resampling.BILINEAR)
    values = np.asarray(resized, dtype=np.float32) / 255
    normalised = (values - np.float32(description["mean"])) / np.float32(description["std"])
    return normalised.transpose(2, 0, 1)[None]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method"),
    [("efficientnet_lite0", "em"), ("test_vit", "baseline"), ("test_convnext", "em")],
)
def test_classes_are_those_of_prediction_without_crf(fit, draw, tmp_path, name, method):
    own = not name.startswith("test_")
    backbone = pm.load_backbone(name, device="cpu") if own else with_random_weights(name, tmp_path)
    segmenter = fit(backbone, method)
    segmenter.save(tmp_path / "model")
    path = export_model(tmp_path / "model", tmp_path / "out")
    description = json.loads((path.parent / "preprocessing.json").read_text())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    ids = np.array([channel["id"] for channel in description["channels"]], dtype=np.uint8)
    # three that are inputs as they are, and two that are not
    for size in ((96, 96), (96, 128), (192, 96), (60, 80), (131, 170)):
        image = draw(7, *size)
        batch = prepared(image, description)
        assert batch.shape[2:] == input_size(*size, 96, backbone.input_multiple)
        (logits,) = session.run(None, {"images": batch})
        assert logits.shape == (1, 3, *batch.shape[2:])
        full = torch.nn.functional.interpolate(torch.from_numpy(logits), size, mode="bilinear")
        found = ids[full[0].argmax(0).numpy()]
        expected = segmenter.predict(image, crf=False, names=True)
        same = (found == expected).mean()
        assert same >= (0.999 if batch.shape[2:] == size else 0.99), (size, same)
    several = np.concatenate([batch, batch[:, :, ::-1]])
    assert session.run(None, {"images": several})[0].shape[0] == 2
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["channels"]) == description["channels"]
    assert metadata["format"] == description["format"] == "primaps-portable-1"
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_channels_are_the_largest_of_their_clusters(fit, tmp_path, draw):
    """The module that is traced, without tracing it."""
    backbone = with_random_weights("test_vit", tmp_path)
    segmenter = fit(backbone)
    kept = channels(segmenter.classes)
    assert [(each.id, each.clusters) for each in kept][1:] == [(3, (3,)), (255, (1,))]
    assert (kept[0].name, kept[0].clusters) == ("ground", (0, 2))
    made = PortableModel(backbone, segmenter.model, kept)
    image = draw(1, 96, 128)
    with torch.no_grad():
        logits = made(backbone.preprocess(image, 96))
    ids = np.array([each.id for each in kept])
    expected = segmenter.predict(image, crf=False, names=True)
    assert (ids[logits[0].argmax(0).numpy()] == expected).mean() > 0.999


def test_codes_of_a_head(photographs, small_config, tmp_path, draw):
    from primaps.heads.files import Head, save_head
    from primaps.heads.projection import ProjectionHead

    plain = with_random_weights("test_vit", tmp_path)
    save_head(tmp_path / "head", Head("stego", ProjectionHead(plain.dim, 6), plain.describe()))
    options = {"weights": plain.weights_path, "device": "cpu", "head": tmp_path / "head"}
    backbone = pm.load_backbone(plain.name, **options)
    segmenter = pm.Segmenter(backbone, num_clusters=3, config=small_config).fit(photographs)
    made = PortableModel(backbone, segmenter.model, channels(segmenter.classes))
    image = draw(1, 64, 96)
    with torch.no_grad():
        found = made(backbone.preprocess(image, 64))[0].argmax(0).numpy()
    # predictions round codes to 16 bits, and those of random weights lie close together
    assert (found == segmenter.predict(image, crf=False)).mean() > 0.99
    dropping = pm.load_backbone(plain.name, **options, head_dropout=True)
    with pytest.raises(BackboneError, match="drops channels at random"):
        PortableModel(dropping, segmenter.model, channels(segmenter.classes))


def test_clusters_without_a_class_are_unlabelled():
    table, _ = name_class(fresh_table(3, COLOURS), 1, "sky")
    assert [each.name for each in channels(table)] == ["class 0", "sky", "class 2"]
    without = dataclasses.replace(table, classes=table.classes[:2])
    assert channels(without)[-1] == module.Channel(255, "unlabelled", (0, 0, 0), (2,))


def test_the_description_names_all_that_is_needed(fit, tmp_path, untraced):
    segmenter = fit(pm.load_backbone("efficientnet_lite0", device="cpu"))
    segmenter.save(tmp_path / "model")
    path = export_model(tmp_path / "model", tmp_path / "out")
    assert path == tmp_path / "out" / "model.onnx"
    assert path.read_bytes() == b"a graph"
    found = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    assert found["mean"] == found["std"] == [0.5, 0.5, 0.5]
    assert (found["short_side"], found["multiple"], found["max_aspect"]) == (96, 32, 8)
    assert found["backbone"] == {
        "name": "efficientnet_lite0",
        "source": "EfficientNet-Lite, Tan & Le 2019, by the TensorFlow authors",
        "training": "ImageNet with class labels, none of yours",
        "licence": "Apache-2.0",
    }
    assert found["channels"][0]["name"] == "ground"
    assert found["model"] == segmenter.model.fingerprint
    assert found["primaps"]
    # once more over it, also after one that was cut short
    (tmp_path / "out" / "preprocessing.json").unlink()
    export_model(tmp_path / "model", tmp_path / "out")
    export_model(tmp_path / "model", tmp_path / "out")


def test_a_folder_of_something_else_is_left_alone(fit, tmp_path, untraced):
    fit(pm.load_backbone("mini", device="cpu")).save(tmp_path / "model")
    other = tmp_path / "other"
    other.mkdir()
    (other / "preprocessing.json").write_text('{"format": "theirs"}')
    (tmp_path / "file").touch()
    for out, words in (
        (other, "holds something else"),
        (tmp_path / "model", "holds something else"),
        (tmp_path / "file", "is a file"),
    ):
        with pytest.raises(ConfigError, match=words):
            export_model(tmp_path / "model", out)
    with pytest.raises(BackboneError, match=r"got 'mini'.*Those that can: efficientnet_lite0"):
        export_model(tmp_path / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(CheckpointError, match="Expected a fitted model"):
        export_model(tmp_path / "nothing", tmp_path / "out")


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(
        module.importlib.util, "find_spec", lambda name: None if name == "onnxscript" else name
    )
    with pytest.raises(MissingExtraError, match=r"onnxscript, .*it is not.*'primaps\[onnx\]'"):
        export_model(tmp_path, tmp_path / "out")


def test_a_model_that_exporters_cannot_follow_is_an_error(fit, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("a size\nand more")

    fit(with_random_weights("test_vit", tmp_path)).save(tmp_path / "model")
    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(BackboneError, match=r"got 'timm:test_vit': a size\. Those that can"):
        export_model(tmp_path / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_gives_other_classes_is_not_written(fit, tmp_path, monkeypatch):
    class Wrong:
        def __init__(self, *_, **__):
            pass

        def run(self, _, inputs):
            count, _, height, width = inputs["images"].shape
            return [np.random.default_rng(0).random((count, 3, height, width))]

    fit(with_random_weights("test_vit", tmp_path)).save(tmp_path / "model")
    monkeypatch.setattr(module, "_traced", lambda *_: b"a graph")
    monkeypatch.setattr(onnxruntime, "InferenceSession", Wrong)
    with pytest.raises(BackboneError, match="give the classes that torch gives, but only"):
        export_model(tmp_path / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()
