import copy
import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as PILImage
from torch.nn import functional as F

import primaps as pm
from primaps.errors import CheckpointError, ConfigError, UnusedInputWarning
from primaps.features.extractor import FrozenBackbone
from primaps.features.registry import BackboneSpec
from primaps.naming.table import ignore_class, merge_classes
from primaps.outputs.label_files import read_label_image
from primaps.runs.model import Model
from primaps.scoring import evaluate
from primaps.types import Image


@pytest.fixture
def fitted(photographs, texture, small_config, tmp_path):
    return pm.Segmenter(texture, num_clusters=3, seed=0, config=small_config).fit(
        photographs, run_dir=tmp_path / "run"
    )


def test_predict_gives_ids_at_the_size_of_the_image(fitted, photograph):
    labels = fitted.predict(photograph)
    assert labels.shape == photograph.shape[:2]
    assert labels.dtype == np.uint8
    assert labels.max() < 3


def test_crf_and_flip_change_details_only(fitted, photograph):
    plain = fitted.predict(photograph, crf=False)
    for options in ({"crf": True}, {"flip": True}, {"crf": True, "flip": True}):
        assert (fitted.predict(photograph, **options) == plain).mean() > 0.6, options


def test_save_and_load_give_the_same_maps(fitted, photograph, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = pm.Segmenter.load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(loaded.predict(photograph), fitted.predict(photograph))
    loaded_from_run = pm.Segmenter.load(tmp_path / "run", device="cpu")
    np.testing.assert_array_equal(
        loaded_from_run.predict(photograph, crf=True), fitted.predict(photograph, crf=True)
    )


@pytest.mark.parametrize(("method", "steps"), [("em", 10), ("clusters", 0)])
def test_fit_without_a_run_folder(photographs, texture, small_config, method, steps):
    segmenter = pm.Segmenter(texture, num_clusters=3, config=small_config, method=method)
    assert segmenter.fit([photographs / "p0.png", photographs / "p1.png"]).is_fitted
    assert len(segmenter.model.fit.losses) == steps


def test_unfitted_and_wrong_settings(texture, photograph, tmp_path):
    segmenter = pm.Segmenter(texture, num_clusters=3)
    with pytest.raises(CheckpointError, match=r"Call fit"):
        segmenter.predict(photograph)
    with pytest.raises(CheckpointError, match="primaps fit"):
        pm.Segmenter.load(tmp_path)
    with pytest.raises(ConfigError, match="between 2 and 254"):
        pm.Segmenter(texture, num_clusters=1)
    with pytest.raises(ConfigError, match="one of em, clusters, baseline, but got 'magic'"):
        pm.Segmenter(texture, method="magic")


def test_a_model_refuses_another_backbone(fitted):
    other = {**fitted.backbone.describe(), "patch_size": 16}
    with pytest.raises(CheckpointError, match="patch_size: 8 -> 16"):
        fitted.model.check_backbone(other)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("cityscapes", "aachen/aachen_000000_000019_leftImg8bit.png"),
        ("cocostuff", "000000000139.jpg"),
        ("potsdam", "0.mat"),
    ],
)
def test_fit_to_a_data_set_looks_at_its_listed_images_and_no_labels(
    name, first, trees, texture, small_config, tmp_path
):
    root = getattr(trees, f"write_{name}")(tmp_path / name)
    train = pm.load_dataset(name, root, "train")
    for pair in train.pairs:
        pair.labels.unlink()
    segmenter = pm.Segmenter(texture, num_clusters=3, config=small_config).fit(
        train, run_dir=tmp_path / "run"
    )
    images = json.loads((tmp_path / "run" / "store" / "manifest.json").read_text())["images"]
    assert len(images) == len(train) == 3
    assert min(images) == first
    result = pm.evaluate(segmenter, pm.load_dataset(name, root, "val"))
    assert result.num_images == 2
    assert result.accuracy > 0.3


@dataclasses.dataclass
class Sample:
    image: Image
    labels: np.ndarray


class Labelled:
    class_names = ("sky", "ground")

    def __init__(self, images, labels):
        self.samples = [Sample(image, label) for image, label in zip(images, labels, strict=True)]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def test_evaluate_matches_clusters_over_the_whole_set(fitted, photograph):
    prediction = fitted.predict(photograph, crf=False)
    truth = (prediction == prediction[0, 0]).astype(np.int64)
    result = evaluate(fitted, Labelled([photograph], [truth]))
    assert result.accuracy == 1.0
    assert result.miou == 1.0
    assert result.num_images == 1
    truth[:10] = pm.IGNORE_INDEX
    assert (
        evaluate(fitted, Labelled([photograph], [truth])).confusion.sum()
        == (truth != pm.IGNORE_INDEX).sum()
    )


def test_the_api_of_the_readme(photograph, texture):
    features = texture.extract(photograph, size=64)
    proposals = pm.mask_proposals(
        photograph, features, threshold=texture.threshold, preset="default", min_area=4, max_masks=5
    )
    assert proposals.label_image.shape == (60, 80)
    assert 1 <= proposals.num_masks <= 5
    assert proposals.to_records()[0]["area"] >= 4
    posterior = pm.dense_crf(photograph, np.zeros((2, 4, 4), dtype=np.float32), iterations=2)
    assert posterior.shape == (2, 60, 80)


def test_the_weights_file_of_the_backbone_is_remembered(
    photographs, small_config, monkeypatch, texture, tmp_path
):
    monkeypatch.setattr(texture, "weights_path", str(tmp_path / "weights.pth"))
    segmenter = pm.Segmenter(texture, num_clusters=3, config=small_config).fit(photographs)
    segmenter.save(tmp_path / "model")
    assert Model.load(tmp_path / "model").weights == str(tmp_path / "weights.pth")


def test_a_loaded_segmenter_keeps_method_and_seed(photographs, small_config, texture, tmp_path):
    pm.Segmenter(texture, num_clusters=3, seed=7, method="baseline", config=small_config).fit(
        photographs
    ).save(tmp_path / "model")
    loaded = pm.Segmenter.load(tmp_path / "model", device="cpu")
    assert (loaded.config.fit.method, loaded.config.seed, loaded.config.num_clusters) == (
        "baseline",
        7,
        3,
    )


def test_what_a_segmenter_does_left_alone_is_what_its_settings_say(
    photographs, photograph, small_config, texture, tmp_path
):
    config = dataclasses.replace(
        small_config, predict=dataclasses.replace(small_config.predict, crf=False, max_pixels=2000)
    )
    segmenter = pm.Segmenter(texture, num_clusters=3, config=config).fit(
        photographs, run_dir=tmp_path / "run"
    )
    segmenter.save(tmp_path / "model")
    np.testing.assert_array_equal(
        segmenter.predict(photograph), segmenter.predict(photograph, crf=False)
    )
    assert (segmenter.predict(photograph) != segmenter.predict(photograph, crf=True)).any()
    for folder in ("run", "model"):
        loaded = pm.Segmenter.load(tmp_path / folder, device="cpu")
        assert loaded.config.predict == config.predict
        np.testing.assert_array_equal(loaded.predict(photograph), segmenter.predict(photograph))
    refined = dataclasses.replace(config, predict=dataclasses.replace(config.predict, crf=True))
    segmenter.config = refined
    segmenter.save(tmp_path / "other")
    assert pm.Segmenter.load(tmp_path / "other", device="cpu").config.predict == refined.predict


# ---- names ---------------------------------------------------------------------------------------


def test_names_are_applied_and_go_with_the_model(fitted, photograph, tmp_path):
    assert [each.id for each in fitted.classes.classes] == [0, 1, 2]
    fitted.classes = ignore_class(merge_classes(fitted.classes, [0, 2], "ground")[0], 1)
    plain = fitted.predict(photograph)
    expected = np.array([0, 255, 0])[plain]
    np.testing.assert_array_equal(fitted.predict(photograph, names=True), expected)
    np.testing.assert_array_equal(fitted.predict(photograph), plain)
    fitted.save(tmp_path / "model")
    loaded = pm.Segmenter.load(tmp_path / "model", device="cpu")
    assert loaded.classes == fitted.classes
    np.testing.assert_array_equal(loaded.predict(photograph, names=True), expected)


def test_names_of_a_run_are_those_of_its_folder(fitted, tmp_path):
    pm.classes(tmp_path / "run", name={1: "sky"})
    loaded = pm.Segmenter.load(tmp_path / "run", device="cpu")
    assert [each.name for each in loaded.classes.classes] == [None, "sky", None]
    with pytest.raises(ConfigError, match="classes of 3 clusters"):
        loaded.classes = pm.ClassTable(4, ())


def test_a_mistake_in_the_names_does_not_stop_who_needs_none(fitted, photograph, tmp_path):
    (tmp_path / "run" / "classes.yaml").write_text("{")
    loaded = pm.Segmenter.load(tmp_path / "run", device="cpu")
    np.testing.assert_array_equal(loaded.predict(photograph), fitted.predict(photograph))
    with pytest.raises(ConfigError, match=r"classes\.yaml"):
        loaded.predict(photograph, names=True)


def test_uncertain_pixels_become_unknown_unless_scores_are_measured(fitted, photograph):
    plain = fitted.predict(photograph, unknown_below=0.0)
    found = fitted.predict(photograph, unknown_below=0.4)
    assert (found == 255).any()
    assert (found[found != 255] == plain[found != 255]).all()


def test_label_maps_and_report_of_what_it_was_fitted_to(fitted, photographs, texture, tmp_path):
    root = fitted.write_labels()
    assert root == fitted.run_dir == tmp_path / "run"
    names = {str(path.relative_to(photographs)) for path in photographs.rglob("*.png")}
    made = {str(path.relative_to(root / "labels")) for path in (root / "labels").rglob("*.png")}
    assert made == {f"{name}.png" for name in names}
    assert (root / "report.html").exists()
    before = {path: path.read_bytes() for path in root.rglob("*.png")}
    record = json.loads((root / "run.json").read_text())
    assert record["command"] == "Segmenter.write_labels"
    assert record["inputs"] == [str(photographs)]
    loaded = pm.Segmenter.load(root, device="cpu")
    assert loaded.write_labels() == root
    assert {path: path.read_bytes() for path in root.rglob("*.png")} == before
    for name in names:
        image = pm.read_image(photographs / name)
        kept = read_label_image(root / "labels" / f"{name}.png")
        assert (fitted.predict(image) == kept).mean() > 0.99
    with pytest.raises(CheckpointError, match=r"Fit it with run_dir"):
        pm.Segmenter(texture, num_clusters=3).write_labels()


class OwnBackbone(FrozenBackbone):
    def _features(self, batch):
        return F.avg_pool2d(batch, self.patch_size)


def test_a_backbone_that_no_list_names_writes_label_maps_too(photographs, small_config, tmp_path):
    spec = BackboneSpec("own", 3, 8, "mine", "mean colours", "nothing", threshold=None)
    segmenter = pm.Segmenter(OwnBackbone(spec), num_clusters=3, config=small_config)
    segmenter.fit(photographs, tmp_path / "run")
    assert (segmenter.write_labels() / "report.html").exists()
    new = segmenter.predict_folder(photographs / "p0.png", tmp_path / "new")
    assert (new / "labels" / "p0.png.png").exists()
    segmenter.backbone = OwnBackbone(dataclasses.replace(spec, implementation="another"))
    with pytest.raises(CheckpointError, match="another backbone"):
        segmenter.write_labels()


def test_label_maps_follow_what_is_asked_of_predictions(fitted):
    predict = dataclasses.replace(fitted.config.predict, unknown_below=1.0)
    fitted.config = dataclasses.replace(fitted.config, predict=predict)
    root = fitted.write_labels()
    assert (read_label_image(next((root / "labels").iterdir())) == 255).mean() > 0.9


# ---- what is forgiven ----------------------------------------------------------------------------


def test_names_stand_for_backbones_and_presets():
    segmenter = pm.Segmenter("mini", np.int64(5), config="fast")
    assert segmenter.backbone.name == "mini"
    assert segmenter.config.preset == "fast"
    assert segmenter.config.num_clusters == 5
    assert pm.Segmenter("mini", "auto").config.num_clusters is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet",), "resnet"),
        ((7,), "a name such as 'efficientnet_lite0', .* but got int"),
        (("mini", 2.5), r"num_clusters to be a whole number or 'auto', but got 2\.5"),
        (("mini", "many"), "but got 'many'"),
        (("mini", True), "but got True"),
        (("mini", 5, "first"), "seed to be a whole number, but got 'first'"),
    ],
)
def test_what_has_no_plain_meaning_is_refused(arguments, message):
    with pytest.raises(pm.PrimapsError, match=message):
        pm.Segmenter(*arguments)


@pytest.mark.parametrize("config", ["quick", 3])
def test_other_settings_are_refused(texture, config):
    with pytest.raises(ConfigError, match="preset"):
        pm.Segmenter(texture, config=config)


def test_an_image_in_any_form_has_one_label_map(fitted, photograph, tmp_path):
    expected = fitted.predict(photograph)
    path = tmp_path / "a.png"
    PILImage.fromarray(photograph).save(path)
    first = torch.from_numpy(photograph.copy()).permute(2, 0, 1)
    for form in (path, str(path), PILImage.open(path), photograph / 255, first, first / 255):
        np.testing.assert_array_equal(fitted.predict(form), expected)
    grey = photograph[..., 1]
    np.testing.assert_array_equal(
        fitted.predict(grey), fitted.predict(np.stack([grey] * 3, axis=-1))
    )


def test_fits_lie_beside_each_other_on_one_store(photographs, texture, small_config, tmp_path):
    run = tmp_path / "run"
    first = pm.Segmenter(texture, 3, config=small_config).fit(photographs, run)
    stored = {path: path.stat().st_mtime_ns for path in (run / "store").rglob("*.safetensors")}
    other = pm.Segmenter(texture, 4, seed=1, config=small_config)
    with pytest.raises(ConfigError, match=r"overwrite=True.*model_dir=DIR"):
        other.fit(photographs, run)
    for method in ("em", "clusters", "baseline"):
        beside = pm.Segmenter(texture, 4, seed=1, method=method, config=small_config)
        beside.fit(photographs, run, model_dir=tmp_path / method)
        assert beside.run_dir == tmp_path / method
        loaded = pm.Segmenter.load(tmp_path / method, device="cpu")
        assert torch.equal(loaded.model.prototypes, beside.model.prototypes)
    again = pm.Segmenter(texture, 5, config=small_config)
    with pytest.raises(ConfigError, match=r"(?s)num_clusters.*overwrite=True"):
        again.fit(photographs, run, model_dir=tmp_path / "em")
    again.fit(photographs, run, model_dir=tmp_path / "em", overwrite=True)
    assert again.model.num_clusters == 5
    assert {path: path.stat().st_mtime_ns for path in stored} == stored
    assert torch.equal(
        pm.Segmenter.load(run, device="cpu").model.prototypes, first.model.prototypes
    )
    assert other.fit(photographs, run, overwrite=True).run_dir == run
    assert pm.Segmenter.load(run, device="cpu").model.num_clusters == 4
    with pytest.raises(ConfigError, match="run_dir beside model_dir"):
        other.fit(photographs, model_dir=tmp_path / "em")


def test_lost_images_are_a_warning_and_a_list(photographs, texture, small_config, tmp_path):
    (photographs / "p1.png").write_bytes(b"")
    (photographs / "p2.png").write_bytes(b"no image")
    segmenter = pm.Segmenter(texture, 3, config=small_config)
    with pytest.warns(UnusedInputWarning, match=r"(?s)2 images could not .*p1\.png") as caught:
        segmenter.fit(photographs)
    assert caught[0].filename == __file__
    assert {Path(each.path).name for each in segmenter.failures} == {"p1.png", "p2.png"}
    with pytest.warns(UnusedInputWarning, match="2 images"):
        segmenter.predict_folder(photographs, tmp_path / "new")
    (photographs / "p1.png").unlink()
    (photographs / "p2.png").unlink()
    assert segmenter.fit(photographs).failures == ()


def test_arrays_are_no_folder(texture, photograph):
    with pytest.raises(pm.PrimapsError, match=r"paths .* give each to predict"):
        pm.Segmenter(texture).fit([photograph, photograph])
    with pytest.raises(pm.PrimapsError, match=r"but got int"):
        pm.Segmenter(texture).fit(3)


def test_a_folder_is_predicted_as_by_the_command(fitted, photographs, photograph, tmp_path):
    fitted.classes = ignore_class(merge_classes(fitted.classes, [0, 2], "ground")[0], 1)
    out = fitted.predict_folder(photographs, tmp_path / "new", crf=False, overlays=True)
    assert out == tmp_path / "new"
    assert (out / "report.html").exists()
    assert [each.name for each in pm.classes(out).classes] == ["ground", None]
    made = sorted(path for path in (out / "labels").rglob("*.png"))
    assert len(made) == len(list(photographs.rglob("*.png")))
    name = made[0].relative_to(out / "labels").with_suffix("")
    image = pm.read_image(photographs / name)
    np.testing.assert_array_equal(read_label_image(made[0]), fitted.predict(image, crf=False))
    assert list((out / "overlays").rglob("*.jpg"))
    with pytest.raises(CheckpointError):
        pm.Segmenter("mini").predict_folder(photographs, tmp_path / "other")


def test_a_segmenter_says_what_it_is(fitted, texture, tmp_path):
    assert repr(fitted) == (
        "Segmenter('texture', num_clusters=3, seed=0, method='em', preset 'default'; fitted,"
        f" 3 classes, in {tmp_path / 'run'})"
    )
    assert repr(pm.Segmenter(texture, "auto")).endswith("preset 'default'; not fitted yet)")


@pytest.mark.parametrize("shown", [True, False])
def test_progress_is_told_on_stderr(photographs, texture, small_config, shown, capsys):
    pm.Segmenter(texture, 3, config=small_config).fit(photographs, progress=shown)
    assert ("proposals" in capsys.readouterr().err) == shown


def test_data_sets_say_what_they_hold_and_nothing_else_is_one(fitted, trees, tmp_path):
    dataset = pm.load_dataset("cityscapes", trees.write_cityscapes(tmp_path / "set"), "val")
    shown = repr(dataset)
    assert shown.startswith("PairedDataset(2 images with labels of 27 classes (")
    assert len(shown) < 300
    with pytest.raises(ConfigError, match=r"load_dataset.*but got str"):
        pm.evaluate(fitted, "camvid")


def test_paths_at_home(
    fitted, photographs, texture, small_config, photograph, tmp_path, monkeypatch
):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    PILImage.fromarray(photograph).save(tmp_path / "a.png")
    np.testing.assert_array_equal(fitted.predict("~/a.png"), fitted.predict(photograph))
    again = pm.Segmenter(texture, 3, config=small_config).fit("~/photos", "~/run")
    assert again.run_dir == tmp_path / "run"
    again.save("~/model")
    assert pm.Segmenter.load("~/model", device="cpu").run_dir == tmp_path / "model"
    assert pm.classes("~/run").num_clusters == 3
    assert again.predict_folder("~/photos/*.png", "~/new") == tmp_path / "new"
    with pytest.raises(pm.PrimapsError, match=r"~nobody-at-all/x"):
        again.fit("~nobody-at-all/x")


@pytest.mark.parametrize(
    "call",
    [
        lambda fitted: fitted.save(None),
        lambda fitted: fitted.load(3),
        lambda fitted: fitted.fit("x", run_dir=3),
        lambda fitted: fitted.fit("x", overwrite="no"),
        lambda fitted: fitted.fit([]),
        lambda fitted: fitted.predict_folder("x", None),
        lambda fitted: fitted.predict_folder("x", "y", certainty="yes"),
        lambda fitted: fitted.predict(np.zeros((8, 8)), crf="no"),
        lambda fitted: fitted.predict(np.zeros((8, 8)), flip=1),
        lambda fitted: fitted.predict(np.zeros((8, 8)), unknown_below="0.2"),
        lambda fitted: setattr(fitted, "config", "fast"),
        lambda fitted: setattr(fitted, "classes", {0: "road"}),
        lambda fitted: pm.evaluate("model", []),
        lambda fitted: pm.view(None),
        pm.classes,
        lambda fitted: pm.classes("x", name=["road"]),
        lambda fitted: pm.classes("x", name={0: 3}),
        lambda fitted: pm.load_dataset("camvid", None),
        lambda fitted: pm.load_dataset(None, "x"),
        lambda fitted: pm.load_backbone(None),
        lambda fitted: pm.load_backbone(fitted.backbone),
        lambda fitted: pm.load_backbone("texture", device=None),
        lambda fitted: pm.preset_config(None),
        lambda fitted: pm.read_image(np.zeros((8, 8))),
        lambda fitted: pm.read_image(b"a.png"),
        lambda fitted: fitted.backbone.extract(np.zeros((8, 8)), size="320"),
        lambda fitted: fitted.backbone.extract(np.zeros((8, 8)), size=10**6),
        lambda fitted: pm.mask_proposals(np.zeros((8, 8)), np.ones((2, 2, 2)), threshold="0.4"),
        lambda fitted: pm.mask_proposals(
            np.zeros((8, 8)), torch.ones(2, 2, 2, device="meta"), threshold=0.4
        ),
        lambda fitted: pm.dense_crf(np.zeros((8, 8)), np.ones((2, 2, 2)), iterations="3"),
        lambda fitted: pm.overlay(np.zeros((8, 8)), np.zeros((8, 8), int), alpha="half"),
        lambda fitted: pm.overlay(np.zeros((8, 8)), np.zeros((8, 8), int), classes={0: "road"}),
    ],
)
def test_what_is_given_by_mistake_is_an_error_of_the_house(fitted, call):
    with pytest.raises(pm.PrimapsError, match=r"^(Expected|Unknown)"):
        call(fitted)


def test_a_model_is_not_fitted_among_photographs_nor_into_its_run(
    fitted, photographs, texture, small_config, tmp_path
):
    other = pm.Segmenter(texture, 2, config=small_config)
    for place in (photographs, tmp_path / "run", tmp_path / "run" / "labels"):
        with pytest.raises(
            ConfigError, match=r"folder of the model \(--model, in Python model_dir"
        ):
            other.fit(photographs, tmp_path / "run", model_dir=place)
    assert not (photographs / "model.json").exists()
    assert not (tmp_path / "run" / "model.json").exists()


def test_copies_of_a_segmenter_do_what_it_does(fitted, photograph):
    expected = fitted.predict(photograph)
    for copied in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert repr(copied) == repr(fitted)
        np.testing.assert_array_equal(copied.predict(photograph), expected)


def test_files_are_read_as_those_that_it_was_fitted_to(
    photographs, photograph, texture, small_config, tmp_path
):
    """By the range of the folder, also after loading; what holds no data is 255."""
    deep = tmp_path / "deep"
    deep.mkdir()
    bright = photograph[..., 0].astype(np.float32) * 10
    bright[:20, :30] = -9999
    dim = np.where(bright < 0, bright, bright / 3)  # in a range of its own it would be another one
    for name, values in {"bright.tif": bright, "dim.tif": dim}.items():
        tifffile.imwrite(deep / name, values)
    segmenter = pm.Segmenter(texture, num_clusters=3, config=small_config)
    segmenter.fit(deep, run_dir=tmp_path / "run", progress=False)
    segmenter.save(tmp_path / "saved")
    folder = segmenter.predict_folder(deep, tmp_path / "out", progress=False)
    for fitted in (segmenter, pm.Segmenter.load(tmp_path / "saved", device="cpu")):
        for name in ("bright.tif", "dim.tif"):
            labels = fitted.predict(deep / name)
            assert (labels == read_label_image(folder / "labels" / f"{name}.png")).all()
            assert (labels[:20, :30] == 255).all()
            assert (labels[20:] != 255).all()


def test_a_fit_that_keeps_no_store(photographs, texture, small_config, tmp_path, fitted):
    config = dataclasses.replace(small_config, store="none")
    other = pm.Segmenter(texture, num_clusters=3, config=small_config, store="none")
    assert other.config.store == "none"
    other.fit(photographs, run_dir=tmp_path / "none")
    assert not (tmp_path / "none" / "store").exists()
    assert torch.equal(other.model.prototypes, fitted.model.prototypes)
    # features are computed once more for these, and for another fit
    labels = other.write_labels() / "labels"
    for path in (fitted.write_labels() / "labels").rglob("*.png"):
        assert (labels / path.relative_to(tmp_path / "run" / "labels")).read_bytes() == (
            path.read_bytes()
        )
    pm.Segmenter(texture, num_clusters=2, config=config).fit(
        photographs, run_dir=tmp_path / "none", model_dir=tmp_path / "two"
    )
    with pytest.raises(ConfigError, match="full, light, none"):
        pm.Segmenter(texture, store="half")
    assert (tmp_path / "two" / "prototypes.safetensors").exists()
    assert not (tmp_path / "none" / "store").exists()
