import dataclasses
import json

import pytest
import torch

from primaps.config import PredictConfig, preset_config
from primaps.errors import CheckpointError, OutputError
from primaps.runs.model import Model
from primaps.runs.store import read_tensors, write_tensors
from primaps.types import FitResult

BACKBONE = {
    "name": "texture",
    "implementation": "texture",
    "patch_size": 8,
    "weights": {"sha256": "ab"},
}


@pytest.fixture
def model():
    generator = torch.Generator().manual_seed(0)
    fit = FitResult(
        teacher=torch.randn(3, 5, generator=generator),
        student=torch.randn(3, 5, generator=generator),
        cosine=True,
        usage=torch.tensor([4, 0, 6]),
        losses=(1.25, 0.5),
    )
    return Model(fit, BACKBONE, "weights.pth", 320, {"preset": "fast", "seed": 7}, "0123abcd")


def test_save_and_load_keep_everything(model, tmp_path):
    model.save(tmp_path / "new" / "model")
    loaded = Model.load(tmp_path / "new" / "model")
    for name in ("teacher", "student", "usage"):
        assert torch.equal(getattr(loaded.fit, name), getattr(model.fit, name)), name
        assert getattr(loaded.fit, name).dtype == getattr(model.fit, name).dtype
    assert loaded.fit.cosine is True
    assert loaded.fit.losses == (1.25, 0.5)
    assert loaded.backbone == BACKBONE
    assert (loaded.weights, loaded.size, loaded.fingerprint) == ("weights.pth", 320, "0123abcd")
    assert loaded.settings == {"preset": "fast", "seed": 7}
    assert loaded.fit.dead_clusters == (1,)


def test_prototypes_are_the_teacher(model):
    assert model.num_clusters == 3
    assert model.prototypes is model.fit.teacher


def test_the_record_is_readable(model, tmp_path):
    model.save(tmp_path)
    record = json.loads((tmp_path / "model.json").read_text())
    assert record["num_clusters"] == 3
    assert record["dead_clusters"] == [1]
    assert record["backbone"] == BACKBONE


def test_a_run_folder_stands_for_its_model(model, tmp_path):
    model.save(tmp_path / "model")
    assert torch.equal(Model.load(tmp_path).prototypes, model.prototypes)


def test_saving_replaces_an_older_model(model, tmp_path):
    model.save(tmp_path)
    Model(model.fit, BACKBONE, None, 64, {}, "other").save(tmp_path)
    assert Model.load(tmp_path).fingerprint == "other"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.json",
        "prototypes.safetensors",
    ]


def test_a_killed_save_leaves_no_model(model, tmp_path, monkeypatch):
    model.save(tmp_path)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("primaps.runs.model.write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        model.save(tmp_path)
    with pytest.raises(CheckpointError, match="found none"):
        Model.load(tmp_path)


def test_a_place_that_is_no_folder(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"Expected .*file to be a folder that can be written"):
        model.save(tmp_path / "file")


def test_no_model(tmp_path):
    with pytest.raises(
        CheckpointError,
        match=r"Expected a fitted model .* Run `primaps segment` or `primaps fit` first",
    ):
        Model.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "readable JSON"), ("[]", "a JSON object"), ("{}", "format 1, but got None")],
)
def test_a_damaged_record(text, message, model, tmp_path):
    model.save(tmp_path)
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        Model.load(tmp_path)


def test_a_record_of_another_format(model, tmp_path):
    model.save(tmp_path)
    record = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**record, "format": 2}))
    with pytest.raises(CheckpointError, match=r"format 1, but got 2\. Fit again"):
        Model.load(tmp_path)


@pytest.mark.parametrize(
    "key", ["cosine", "losses", "backbone", "weights", "size", "settings", "fingerprint"]
)
def test_an_incomplete_record_names_what_is_missing(key, model, tmp_path):
    model.save(tmp_path)
    record = json.loads((tmp_path / "model.json").read_text())
    del record[key]
    (tmp_path / "model.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=f"'{key}' is missing"):
        Model.load(tmp_path)


@pytest.mark.parametrize("name", ["teacher", "student", "usage"])
def test_missing_tensors_are_named(name, model, tmp_path):
    model.save(tmp_path)
    tensors = read_tensors(tmp_path / "prototypes.safetensors")
    del tensors[name]
    write_tensors(tmp_path / "prototypes.safetensors", tensors)
    with pytest.raises(CheckpointError, match=f"'{name}' is missing"):
        Model.load(tmp_path)


def test_damaged_and_missing_prototypes(model, tmp_path):
    model.save(tmp_path)
    file = tmp_path / "prototypes.safetensors"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(CheckpointError, match="safetensors"):
        Model.load(tmp_path)
    file.unlink()
    with pytest.raises(CheckpointError, match="there is none"):
        Model.load(tmp_path)


def test_the_backbone_it_was_fitted_to_is_accepted(model):
    model.check_backbone(json.loads(json.dumps(BACKBONE)))


def test_another_backbone_is_refused_and_every_difference_named(model):
    with pytest.raises(CheckpointError) as caught:
        model.check_backbone({**BACKBONE, "patch_size": 14, "weights": {"sha256": "cd"}})
    assert "patch_size: 8 -> 14" in str(caught.value)
    assert "weights.sha256: 'ab' -> 'cd'" in str(caught.value)
    assert "Give the original weights" in str(caught.value)


def test_files_beside_the_model_move_with_it(model, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "head").mkdir(parents=True)
    (old / "w.safetensors").touch()
    inside = Model(
        model.fit, BACKBONE, str(old / "w.safetensors"), 64, {}, "x", head=str(old / "head")
    )
    inside.save(old)
    old.rename(new)
    loaded = Model.load(new)
    assert (loaded.weights, loaded.head) == (str(new / "w.safetensors"), str(new / "head"))


def test_files_elsewhere_keep_their_path(model, tmp_path):
    Model(model.fit, BACKBONE, "/weights.pth", 64, {}, "x", head=str(tmp_path / "head")).save(
        tmp_path / "model"
    )
    loaded = Model.load(tmp_path / "model")
    assert (loaded.weights, loaded.head) == ("/weights.pth", str(tmp_path / "head"))


def test_a_record_without_a_head(model, tmp_path):
    model.save(tmp_path)
    record = json.loads((tmp_path / "model.json").read_text())
    assert record.pop("head") is None
    (tmp_path / "model.json").write_text(json.dumps(record))
    assert Model.load(tmp_path).head is None


def test_how_label_maps_were_made_is_kept(model, tmp_path):
    predict = PredictConfig(crf=False, max_pixels=5000)
    dataclasses.replace(model, predict=predict).save(tmp_path / "model")
    assert Model.load(tmp_path).predict == predict
    model.save(tmp_path / "model")
    assert Model.load(tmp_path).predict is None


def test_models_of_earlier_versions_have_it_from_the_run_they_lie_in(model, tmp_path):
    model.save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    record = json.loads(path.read_text())
    del record["predict"]
    path.write_text(json.dumps(record))
    assert Model.load(tmp_path).predict == dataclasses.replace(
        preset_config("fast").predict, crf_scale=1.0
    )
    (tmp_path / "run.json").write_text(
        json.dumps({"config": {"predict": {"crf": False, "max_pixels": 2000}}})
    )
    assert Model.load(tmp_path).predict == PredictConfig(crf=False, max_pixels=2000, crf_scale=1.0)


def test_other_label_maps_are_noted_without_touching_prototypes(model, tmp_path):
    model.save(tmp_path)
    before = (tmp_path / "prototypes.safetensors").stat().st_mtime_ns
    noted = model.note_predict(PredictConfig(crf=False), tmp_path)
    assert noted.predict == Model.load(tmp_path).predict == PredictConfig(crf=False)
    assert (tmp_path / "prototypes.safetensors").stat().st_mtime_ns == before
    written = (tmp_path / "model.json").stat().st_mtime_ns
    noted.note_predict(PredictConfig(crf=False), tmp_path)
    assert (tmp_path / "model.json").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("size", "320"), ("size", -1), ("losses", [None]), ("losses", {}), ("backbone", [])),
        *(("backbone", {}), ("cosine", 1), ("fingerprint", None), ("settings", 3), ("weights", 4)),
        *(("num_clusters", 10**40), ("num_clusters", 2), ("predict", {"crf": [None]})),
        *(("predict", {"crf_scale": "a"}), ("inputs", {"bands": "a"}), ("head", "a\0")),
    ],
)
def test_strange_values_are_refused_by_file(model, tmp_path, key, value):
    model.save(tmp_path)
    record = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**record, key: value}))
    with pytest.raises(CheckpointError, match=r"(model\.json|prototypes\.safetensors).*fit again"):
        Model.load(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"teacher": torch.full((3, 5), float("nan"))},
        {"student": torch.ones(3, 4)},
        {"teacher": torch.ones(3)},
        {"usage": torch.ones(3)},
        {"usage": torch.ones(2, dtype=torch.int64)},
    ],
)
def test_tensors_that_are_no_prototypes_are_refused(model, tmp_path, changed):
    model.save(tmp_path)
    path = tmp_path / "prototypes.safetensors"
    write_tensors(path, {**read_tensors(path), **changed})
    with pytest.raises(CheckpointError, match="to hold finite prototypes of 3 clusters"):
        Model.load(tmp_path)


def test_a_bit_that_turned_is_found(model, tmp_path):
    model.save(tmp_path)
    path = tmp_path / "prototypes.safetensors"
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="does not fit its checksum"):
        Model.load(tmp_path)
