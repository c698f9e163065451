"""What is looked at when a wheel is tried, on outputs that are right and wrong."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "try_wheel.py"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("try_wheel", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["try_wheel"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["try_wheel"]


@pytest.fixture
def place(tool, tmp_path, monkeypatch):
    """Outputs of two photographs, as the commands would write them; none is run."""
    wheel = tmp_path / "primaps-0.1.0-py3-none-any.whl"
    found = tool.Place(wheel, tmp_path / "environment", tmp_path)
    monkeypatch.setattr(tool.Place, "run", lambda self, *arguments: "")
    files = {
        "run/report.html": "<script></script>",
        "run/run.json": json.dumps({"versions": {"primaps": "0.1.0"}}),
        "coco/annotations/instances.json": json.dumps(
            {
                "images": [{"file_name": "a.jpg"}, {"file_name": "b.jpg"}],
                "annotations": [{"category_id": 2}],
                "categories": [{"id": 1}, {"id": 2}],
            }
        ),
        "coco/images/a.jpg": "",
        "coco/images/b.jpg": "",
        "yolo/data.yaml": "",
        "yolo/labels/train/a.txt": "0 0.1 0.1 0.9 0.1 0.5 1.0\n",
        "yolo/labels/train/b.txt": "",
        "demo-run-photographs/a.jpg": "",
        "demo-run-photographs/b.jpg": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in "ab":
        (tmp_path / "run" / "labels").mkdir(exist_ok=True)
        (tmp_path / "run" / "labels" / f"{name}.jpg.png").write_bytes(PNG)
    return found


def test_outputs_that_are_right_are_told_in_a_line(tool, place, capsys):
    steps = {"segment": tool.segment, "coco": tool.coco, "yolo": tool.yolo}
    assert tool.attempt(place, steps)
    said = capsys.readouterr().out
    assert "2 label maps" in said
    assert "2 images, 1 annotations, 2 categories" in said
    assert "2 files, 1 polygons" in said


@pytest.mark.parametrize(
    ("step", "name", "text", "message"),
    [
        ("segment", "run/labels/a.jpg.png", "no picture", "expected a PNG"),
        ("segment", "run/failures.jsonl", "{}", "expected no failures in run"),
        ("segment", "run/report.html", "", "expected the viewer"),
        ("segment", "demo-run-photographs/c.jpg", "", "expected 3 label maps in run, got 2"),
        ("coco", "demo-run-photographs/c.jpg", "", "expected all photographs, got 2"),
        ("yolo", "yolo/labels/train/b.txt", "0 0.1 0.1 0.9 0.1 0.5 1.5\n", "no row of YOLO"),
        ("yolo", "yolo/labels/train/b.txt", "9 0.1 0.1 0.9 0.1 0.5 0.5\n", "no row of YOLO"),
    ],
)
def test_what_is_wrong_ends_the_trial(tool, place, capsys, step, name, text, message):
    (place.folder / name).write_text(text)
    assert not tool.attempt(place, {step: getattr(tool, step), "never": tool.coco})
    said = capsys.readouterr().out
    assert message in said
    assert "never" not in said


def test_another_version_is_noticed(tool, place, monkeypatch):
    monkeypatch.setattr(tool.Place, "run", lambda self, *arguments: f"0.1.0 0.1.0 {TOOL}")
    with pytest.raises(tool.WrongError, match="expected version"):
        tool.version(place)


def test_a_package_of_another_place_is_noticed(tool, place, monkeypatch):
    def run(self, name, *arguments):
        return "0.1.0" if name == "primaps" else f"0.1.0 0.1.0 {TOOL}"

    monkeypatch.setattr(tool.Place, "run", run)
    with pytest.raises(tool.WrongError, match="expected the package of"):
        tool.version(place)


def test_other_packages_are_not_found_by_variables(tool, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & set(tool.surroundings())


def test_a_wheel_is_asked_for(tool, tmp_path, capsys):
    assert tool.main([str(tmp_path / "primaps-0.1.0-py3-none-any.whl")]) == 2
    assert "Expected a wheel" in capsys.readouterr().err
