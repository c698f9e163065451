"""What to try first: demo, list and doctor."""

import shutil

import pytest
import torch
from PIL import Image

from primaps.runs.store import read_json


def test_list_names_every_backbone(run):
    result = run("list")
    assert result.exit_code == 0
    for name in (
        "efficientnet_lite0",
        "mini",
        "texture",
        "dino_vits8",
        "dinov2_vitl14_reg",
        "dinov3_vitb16",
        "cityscapes",
        "potsdam",
        "folder",
        "paper",
    ):
        assert name in result.stdout


def test_doctor_is_content(run, text):
    result = run("doctor")
    assert result.exit_code == 0, text(result)
    assert "All is well" in result.stdout


def test_doctor_of_a_run(run, text, segment_four, tmp_path):
    out = segment_four(tmp_path)
    result = run("doctor", out)
    assert result.exit_code == 0, text(result)
    assert "All is sound." in result.stdout
    (out / "labels" / "0.png.png").write_bytes(b"torn")
    result = run("doctor", out)
    assert result.exit_code == 1
    assert "labels/0.png.png: cannot be read" in result.stdout
    assert "primaps doctor --fix removes" in text(result)
    result = run("doctor", out, "--fix")
    assert result.exit_code == 1
    assert "Removed: 1" in result.stdout
    assert "label maps and certainties (1)" in result.stdout
    assert not (out / "labels" / "0.png.png").exists()


def test_doctor_of_nothing(run, text, tmp_path):
    assert run("doctor", tmp_path / "nowhere").exit_code == 2
    result = run("doctor", "--fix")
    assert result.exit_code == 2
    assert "Expected --fix with the folder RUN" in text(result)


def test_doctor_of_a_backbone(run, text, tmp_path):
    pytest.importorskip("skimage")
    result = run("doctor", "--backbone", "efficientnet_lite0", "--json", tmp_path / "found.json")
    assert result.exit_code == 0, text(result)
    assert "All is ok." in result.stdout
    assert read_json(tmp_path / "found.json")["ok"] is True
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pth")
    result = run("doctor", "--backbone", "dino_vits16", "--weights", tmp_path / "other.pth")
    assert result.exit_code == 1
    assert "0 of 150" in result.stdout
    for wrong in (("--weights", "a.pth"), (tmp_path, "--backbone", "mini"), ("--backbone", "mini")):
        assert run("doctor", *wrong).exit_code == 2


def test_weights_that_cannot_be_had_are_one_message(run, text, hub, monkeypatch, tmp_path):
    """Exit code 2: give other options; 1 where the disk is the matter."""
    repo_id = "timm/vit_small_patch16_dinov3.lvd1689m"
    hub.put(repo_id, {"model.safetensors": b"tensors"})
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    command = ("segment", tmp_path / "a.png", "--out", tmp_path / "out", "--device", "cpu")
    hub.repositories[repo_id].gated = True
    result = run(*command, "--backbone", "dinov3_vits16")
    assert result.exit_code == 2
    assert text(result).count("Error: ") == 1
    assert "accept the licence: accept it at" in text(result)
    assert "Traceback" not in text(result)
    hub.repositories[repo_id].gated = False
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1))
    result = run("doctor", "--backbone", "dinov3_vits16")
    assert result.exit_code == 1
    assert "Make room, or set HF_HOME" in text(result)


def test_demo_says_what_the_photographs_are_and_where_its_views_lie(
    photographs, monkeypatch, tmp_path, run, text
):
    done = {}

    def write_views(folder):
        done["folder"] = folder
        return sorted(photographs.glob("*.png")), "Drawn landscapes."

    def segment(run, *, command, inputs):
        done.update(run=run, command=command, inputs=inputs)

    monkeypatch.setattr("primaps.data.demo_views.write_views", write_views)
    monkeypatch.setattr("primaps.pipeline.segment", segment)
    result = run("demo", "--out", tmp_path / "out", "--backbone", "texture", "--device", "cpu")
    assert result.exit_code == 0, text(result)
    assert result.stdout.startswith(f"Drawn landscapes.\nViews: {tmp_path / 'out-photographs'}\n")
    assert done["folder"] == tmp_path / "out-photographs"
    assert done["command"] == "demo"
    assert done["run"].folder.record["about"] == "Drawn landscapes."
    assert (done["run"].config.num_clusters, len(done["run"].images)) == (12, 4)
