"""Every example runs, on a few small photographs, and makes what its text says."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

import primaps as pm
from primaps.outputs.suggestion_table import read_table, write_table
from primaps.pipeline import portable
from primaps.runs.run import RunFolder

FOLDER = Path(__file__).parents[2] / "examples"
NUMBERED = sorted(FOLDER.glob("[0-9]*.py"))
LONGEST = 60
SMALL = ["--backbone", "texture", "--classes", "3"]


class Place:
    """A folder that examples are run in, as a user would in a terminal."""

    def __init__(self, root):
        self.root = root

    def photographs(self, draw, name, seeds):
        (self.root / name).mkdir()
        for title, seed in seeds.items():
            Image.fromarray(draw(seed)).save(self.root / name / f"{title}.png")

    def run(self, number, *arguments):
        (path,) = FOLDER.glob(f"{number:02}_*.py")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.root)
            patch.setattr(sys, "argv", [str(path), *map(str, arguments)])
            runpy.run_path(str(path), run_name="__main__")


@pytest.fixture(scope="module")
def place(tmp_path_factory, draw):
    """With four photographs in `photos`, two others in `new`, and a finished run in `run`."""
    mpl.use("agg")
    made = Place(tmp_path_factory.mktemp("examples"))
    made.photographs(draw, "photos", {"hill-a": 0, "hill-b": 1, "sky-a": 2, "sky-b": 3})
    made.photographs(draw, "new", {"dusk-a": 4, "dusk-b": 5})
    made.run(1, "photos", "--out", "run", *SMALL)
    return made


def pictures(folder):
    """Arrays of the PNG files of a folder, by name."""
    found = {}
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as opened:
            found[path.name] = np.asarray(opened)
    return found


def test_all_are_short_and_say_what_is_seen():
    assert len(NUMBERED) >= 11
    for path in NUMBERED:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= LONGEST, path.name
        assert f"    python examples/{path.name}" in text, path.name
        assert "\n\nYou see " in text, path.name


def test_01_label_maps_and_a_report(place, capsys):
    assert (place.root / "run" / "report.html").exists()
    assert len(list((place.root / "run" / "labels").glob("*.png"))) == 4
    before = (place.root / "run" / "model" / "prototypes.safetensors").stat().st_mtime_ns
    place.run(1, "photos", "--out", "run", *SMALL)
    after = (place.root / "run" / "model" / "prototypes.safetensors").stat().st_mtime_ns
    assert before == after
    said = capsys.readouterr().out
    shares = [float(line.split()[-1][:-1]) for line in said.splitlines() if "%" in line]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert shares == sorted(shares, reverse=True)


def test_02_regions_of_one_photograph(place, capsys):
    place.run(2, "photos/hill-a.png", "--backbone", "texture", "--min-area", "20")
    records = json.loads((place.root / "proposals" / "proposals.json").read_text("utf-8"))
    assert records
    assert all(record["area"] >= 20 for record in records)
    assert set(pictures(place.root / "proposals")) == {"picture.png"}
    assert f"{len(records)} proposals" in capsys.readouterr().out


def test_03_names_and_a_data_set(place, tmp_path, capsys):
    dataset = tmp_path / "coco"
    place.run(3, "photos", "--out", "run", "--dataset", dataset, *SMALL)
    kept = json.loads((dataset / "annotations" / "instances.json").read_text("utf-8"))
    assert len(kept["images"]) == 4
    assert {each["name"] for each in kept["categories"]} <= {"hill", "sky"}
    named = ["--name", "0=road", "--name", "2=road", "--name", "1=sky"]
    place.run(3, "photos", "--out", "run", "--dataset", tmp_path / "voc", "--format", "voc", *SMALL,
              *named)  # fmt: skip
    assert "Classes: road, sky" in capsys.readouterr().out
    assert len(list((tmp_path / "voc" / "SegmentationClass").glob("*.png"))) == 4
    pm.classes(place.root / "run", reset=True)


def test_04_own_features(place, tmp_path):
    place.run(4, "photos", "--out", tmp_path / "own", "--classes", "3")
    record = json.loads((tmp_path / "own" / "run.json").read_text("utf-8"))
    assert "colour-and-contrast" in json.dumps(record)
    for label_map in pictures(tmp_path / "own" / "labels").values():
        assert set(np.unique(label_map)) <= {0, 1, 2}
    assert (tmp_path / "own" / "report.html").exists()


def test_05_new_photographs(place, tmp_path, capsys):
    place.run(5, "new", "--model", "run", "--out", tmp_path / "new", "--unknown-below", "0.1")
    maps = pictures(tmp_path / "new" / "labels")
    assert {each.shape for each in maps.values()} == {(60, 80)}
    said = capsys.readouterr().out
    for name, label_map in maps.items():
        share = np.mean(label_map == pm.IGNORE_INDEX)
        line = next(x for x in said.splitlines() if x.startswith(name.removesuffix(".png")))
        assert line.endswith(f"; {share:.1%} unlabelled")


def test_06_scores(place, tmp_path, capsys, draw):
    root = tmp_path / "labelled"
    for kind in ("images", "labels"):
        (root / kind / "val").mkdir(parents=True)
    (root / "classes.txt").write_text("land\nlight\n")
    for seed in range(3):
        Image.fromarray(draw(seed)).save(root / "images" / "val" / f"{seed}.png")
        labels = (draw(seed)[..., 2] > 128).astype(np.uint8)
        Image.fromarray(labels).save(root / "labels" / "val" / f"{seed}.png")
    place.run(6, root, "--out", tmp_path / "run", "--backbone", "texture")
    said = capsys.readouterr().out
    assert "3 images: accuracy " in said
    assert "  land: " in said
    assert "  light: " in said


def test_07_names_and_a_second_model(place, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["photos", "--out", out, "--groups", "4", *SMALL]
    place.run(7, *arguments)
    table = out / "suggestions.csv"
    assert f"Fill in the column class of {table}" in capsys.readouterr().out
    rows = read_table(table.read_bytes(), str(table))
    filled = [
        type(row)(**{**vars(row), "name": ("ground", "air")[place_of_row % 2]})
        for place_of_row, row in enumerate(rows)
    ]
    table.write_bytes(write_table(filled))
    wrong = f"{rows[0].image}:{rows[0].proposal}=air"
    place.run(7, *arguments, "--correct", wrong)
    said = capsys.readouterr().out
    assert f"{len(rows)} regions are named" in said
    assert "Classes: ground, air" in said
    lines = RunFolder(out).root.joinpath("corrections.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[-1])["image"] == rows[0].image


def bright_and_dark(model, folder):
    """A model of two channels, brightness and its opposite, in the form of `export_model`."""
    onnx = pytest.importorskip("onnx")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.float32([[1, 1, 1], [-1, -1, -1]])[..., None, None]
    graph = make.make_graph(
        [make.make_node("Conv", ["images", "weights"], ["logits"])],
        "bright",
        [make.make_tensor_value_info("images", kind, ["n", 3, "h", "w"])],
        [make.make_tensor_value_info("logits", kind, ["n", 2, "h", "w"])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    folder.mkdir()
    opset = [make.make_opsetid("", 17)]
    onnx.save(make.make_model(graph, opset_imports=opset, ir_version=9), folder / "model.onnx")
    about = {"mean": [0.5] * 3, "std": [0.25] * 3, "short_side": 32, "multiple": 8}
    about |= {"max_enlargement": None, "max_aspect": 8, "model": str(model)}
    about["channels"] = [{"colour": [255, 255, 0]}, {"colour": [0, 0, 255]}]
    (folder / "preprocessing.json").write_text(json.dumps(about), encoding="utf-8")


def test_08_a_model_that_needs_no_torch(place, tmp_path, monkeypatch):
    """What `export_model` writes is tested where it is; here another model stands for it."""
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(portable, "export_model", bright_and_dark)
    arguments = ["photos/hill-a.png", "--model", "run", "--out", tmp_path / "labels"]
    place.run(8, *arguments)
    (written,) = pictures(tmp_path / "labels").values()
    with Image.open(place.root / "photos" / "hill-a.png") as opened:
        dark = np.asarray(opened).mean(2) < 128
    assert written.shape == (60, 80, 3)
    assert np.mean(written[..., 2][dark] == 255) > 0.9
    code = (
        "import runpy, sys; sys.modules.update({'torch': None, 'primaps': None});"
        " runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    (path,) = FOLDER.glob("08_*.py")
    command = [sys.executable, "-c", code, str(path), *map(str, arguments)]
    done = subprocess.run(command, cwd=place.root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (again,) = pictures(tmp_path / "labels").values()
    assert np.array_equal(again, written)


@pytest.mark.slow
def test_09_workers(place, tmp_path):
    place.run(9, "photos", "--out", tmp_path / "run", "--workers", "1", *SMALL)
    made = pictures(tmp_path / "run" / "labels")
    for name, label_map in pictures(place.root / "run" / "labels").items():
        assert np.array_equal(label_map, made[name])
    same = Path("model", "prototypes.safetensors")
    assert (tmp_path / "run" / same).read_bytes() == (place.root / "run" / same).read_bytes()


def test_10_several_numbers_of_classes(place, tmp_path, capsys):
    place.run(10, "photos", "--out", "run", "--backbone", "texture", "--numbers", "2", "4",
              "--picture", tmp_path / "numbers.png")  # fmt: skip
    assert "Proposed: " in capsys.readouterr().out
    assert pm.Segmenter.load(place.root / "run-4-classes").model.num_clusters == 4
    with Image.open(tmp_path / "numbers.png") as picture:
        assert picture.width > picture.height


def test_11_a_network_of_ones_own(place, capsys):
    with torch.random.fork_rng():
        place.run(11, "photos", "--out", "run", "--steps", "3", *SMALL)
    assert "% of the pixels agree" in capsys.readouterr().out
    assert (place.root / "network.pt").exists()
