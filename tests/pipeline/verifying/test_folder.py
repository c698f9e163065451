"""A folder in which one thing after the other is torn."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from primaps import pipeline
from primaps.config import preset_config
from primaps.errors import CheckpointError, OutputError
from primaps.outputs.label_files import write_label_map
from primaps.pipeline.verifying import verify
from primaps.runs.run import RunFolder
from primaps.runs.store import hold, release


def cut(path, size=40):
    path.write_bytes(path.read_bytes()[:size])


def found_in(verdict):
    return {fault.path: fault.remade for fault in verdict.faults}


def contents(root):
    kept = [*root.glob("proposals/**/*.png"), *root.glob("labels/**/*.png")]
    kept += [*root.glob("store/**/*.safetensors"), *root.glob("model/*.safetensors")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept}


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of a finished run to tear things in."""
    return shutil.copytree(finished_run, tmp_path / "run")


def resumed(root, finished_run, texture):
    """Run the command again."""
    import dataclasses

    base = preset_config("default")
    config = dataclasses.replace(
        base,
        num_clusters=4,
        features=dataclasses.replace(base.features, size=64),
        fit=dataclasses.replace(base.fit, cluster_restarts=2, proposal_steps=4),
        predict=dataclasses.replace(base.predict, crf=False),
    )
    photos = finished_run.parent / "photos"
    pipeline.segment(pipeline.open_run([photos], root, texture, config), inputs=[str(photos)])


def test_a_finished_run_is_sound_and_nothing_is_written(run):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    verdict = verify(run)
    assert verdict.sound
    assert verdict.kind == "run"
    assert verdict.files >= 4 * 3
    assert verdict.text().endswith("All is sound.")
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


TORN = {
    "store/0.png.safetensors": "proposals",
    "proposals/2.png.png": "proposals",
    "labels/sub/1.png.png": "label maps",
    "model/prototypes.safetensors": "fit",
    "report.html": "report",
    "certainty.jsonl": "lists",
}


def test_torn_lists_are_replaced_by_the_next_command(run, finished_run, texture):
    (run / "warnings.jsonl").write_text("{torn", encoding="ascii")
    (run / "failures.jsonl").write_text("{torn", encoding="ascii")
    assert found_in(verify(run)) == {"warnings.jsonl": "lists", "failures.jsonl": "lists"}
    resumed(run, finished_run, texture)
    assert verify(run).sound


@pytest.mark.parametrize(("path", "remade"), TORN.items())
def test_what_is_torn_is_named_removed_and_made_again(path, remade, run, finished_run, texture):
    cut(run / path)
    assert found_in(verify(run))[path] == remade
    assert (run / path).exists()
    fixed = verify(run, fix=True)
    assert not fixed.sound
    assert not (run / path).exists()
    assert f"{path}: " in fixed.text()
    assert "To be made again" in fixed.text()
    resumed(run, finished_run, texture)
    assert verify(run).sound
    assert contents(run) == contents(finished_run)


@pytest.mark.parametrize("path", ["store/0.png.safetensors", "labels/sub/1.png.png", "report.html"])
def test_what_is_missing_is_named(path, run):
    (run / path).unlink()
    verdict = verify(run)
    assert path in found_in(verdict)
    assert f"{path}: is missing" in verdict.text()
    assert "primaps segment" in verdict.text()


def test_what_a_person_typed_stays_in_any_case(run):
    for name in ("classes.yaml", "corrections.jsonl", "edits.jsonl", "edits-pending.json"):
        (run / name).write_text("{torn", encoding="utf-8")
    verdict = verify(run, fix=True)
    assert found_in(verdict) == dict.fromkeys(
        ("classes.yaml", "corrections.jsonl", "edits.jsonl", "edits-pending.json"), ""
    )
    assert all((run / name).read_text(encoding="utf-8") == "{torn" for name in found_in(verdict))
    assert "No command makes 4 of these again" in verdict.text()


def test_left_temporaries_go(run):
    left = run / "store" / ".abcd.primaps-tmp"
    left.write_bytes(b"half")
    assert found_in(verify(run)) == {"store/.abcd.primaps-tmp": "nothing"}
    assert verify(run, fix=True).sound
    assert not left.exists()


def test_one_bit_of_a_feature(run):
    path = run / "store" / "0.png.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert found_in(verify(run)) == {"store/0.png.safetensors": "proposals"}


def test_a_shard_that_does_not_fit_together(run):
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = run / "store" / "0.png.safetensors"
    with safe_open(path, framework="pt") as shard:
        metadata = {key: shard.metadata()[key] for key in ("format", "info")}
        tensors = {name: shard.get_tensor(name) for name in ("features", "proposals")}
    tensors["features"][0, 0, 0, 0] = float("nan")
    save_file(tensors, path, metadata)
    assert "not finite" in verify(run).text()
    info = json.loads(metadata["info"])
    tensors["features"][0, 0, 0, 0] = 0
    save_file(tensors, path, {**metadata, "info": json.dumps({**info, "num_masks": 1})})
    assert "proposals" in verify(run).text()
    save_file(tensors, path, {"format": "another"})
    assert "no file of this package" in verify(run).text()


def test_a_label_map_of_another_size_and_with_foreign_ids(run):
    model = json.loads((run / "model" / "model.json").read_text(encoding="utf-8"))
    stored = json.loads((run / "store" / "manifest.json").read_text(encoding="utf-8"))
    assert stored["images"]["0.png"]["width"] == 64
    path, stamp = run / "labels" / "0.png.png", {"model": model["fingerprint"]}
    from primaps.outputs.label_files import read_png_info

    stamp |= {"image": read_png_info(path)["image"]}
    write_label_map(path, np.zeros((5, 6), np.uint8), stamp)
    assert "is 6 x 5 pixels, but its photograph 64 x 48" in verify(run).text()
    write_label_map(path, np.full((48, 64), 77, np.uint8), stamp)
    assert "ids from 4 on" in verify(run).text()
    write_label_map(path, np.zeros((48, 64), np.uint8), {**stamp, "model": "older"})
    assert verify(run).sound
    assert "1 label maps were made with another model" in verify(run).text()


def test_a_damaged_record_is_told_and_kept(run):
    (run / "run.json").write_text("{", encoding="utf-8")
    assert found_in(verify(run, fix=True)) == {"run.json": ""}
    assert (run / "run.json").exists()


def test_a_prediction_and_a_model(run, finished_run, texture, tmp_path):
    from primaps.runs.model import Model

    model = Model.load(run)
    config = preset_config("fast")
    photos = finished_run.parent / "photos"
    out = tmp_path / "new"
    pipeline.predict_images([photos], out, texture, model, config, names=run)
    verdict = verify(out)
    assert (verdict.kind, verdict.sound) == ("prediction", True)
    cut(out / "labels" / "0.png.png")
    assert found_in(verify(out)) == {"labels/0.png.png": "label maps"}
    assert verify(run / "model").kind == "model"
    assert verify(run / "model").sound
    cut(run / "model" / "prototypes.safetensors")
    assert not verify(run / "model", fix=True).sound
    assert (run / "model" / "prototypes.safetensors").exists(), "no command fits a model alone"


def test_overlays_and_certainties(run):
    (run / "overlays").mkdir()
    (run / "certainty").mkdir()
    Image.new("RGB", (4, 4)).save(run / "overlays" / "0.png.jpg")
    assert verify(run).sound
    cut(run / "overlays" / "0.png.jpg")
    (run / "certainty" / "0.png.png").write_bytes(b"no")
    assert found_in(verify(run)) == {
        "overlays/0.png.jpg": "overlays",
        "certainty/0.png.png": "label maps",
    }


def test_an_unfinished_run_is_no_fault(run):
    folder = RunFolder(run)
    folder.stop({}, "interrupted")
    (run / "store" / "manifest.json").unlink()
    (run / "report.html").unlink()
    verdict = verify(run)
    assert verdict.sound
    assert "did not end (interrupted)" in verdict.text()


def test_while_another_command_is_at_work_nothing_is_removed(run, monkeypatch):
    from primaps.pipeline.verifying import folder

    def refuse(_):
        raise OutputError("Expected to be the only command")

    monkeypatch.setattr(folder, "hold", refuse)
    with pytest.raises(OutputError, match="only command"):
        verify(run, fix=True)
    hold(run)
    try:
        (run / ".a.primaps-tmp").write_bytes(b"")
        verdict = verify(run)
        assert verdict.sound
        assert "Another command is at work here" in verdict.text()
    finally:
        release(run)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"neither run\.json nor model\.json"):
        verify(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        verify(tmp_path / "nowhere")


def test_photographs_that_are_gone_are_a_note(run, finished_run):
    manifest = run / "store" / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("photos", "elsewhere"), encoding="utf-8")
    verdict = verify(run)
    assert verdict.sound
    assert "4 photographs are not where they were" in verdict.text()
