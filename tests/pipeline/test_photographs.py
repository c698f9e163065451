"""A photograph that changed is refused; one that was moved is found again."""

import shutil

import pytest
from PIL import Image

from primaps import pipeline
from primaps.errors import ConfigError, ImageError
from primaps.outputs.label_files import read_label_image, write_label_map
from primaps.pipeline.exporting import ExportSettings, export
from primaps.pipeline.photographs import find_again
from primaps.pipeline.viewing import Viewed
from primaps.progress import Silent
from primaps.runs.model import Model
from primaps.runs.store import read_json


class Told(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def out(photographs, texture, small_config, tmp_path):
    run = pipeline.open_run([photographs], tmp_path / "run", texture, small_config)
    pipeline.segment(run)
    return tmp_path / "run"


def test_another_photograph_of_the_same_size_is_no_pair(out, photographs, draw, tmp_path):
    Image.fromarray(draw(77)).save(photographs / "p1.png")
    with pytest.raises(ImageError, match=r"p1\.png .* content of the file is another one"):
        Viewed(out).pixels("p1.png")
    exported = export(out, tmp_path / "coco", ExportSettings("coco"))
    assert len(exported.images) == 4
    (failure,) = exported.failures
    assert "content of the file is another one" in failure.reason
    pipeline.report_again(pipeline.reopen(out, {}, device="cpu"))
    assert "content of the file is another one" in (out / "report.html").read_text("utf-8")


def test_label_maps_without_a_checksum_pass_with_a_note(out, photographs, draw, tmp_path):
    for path in (out / "labels").rglob("*.png"):
        header = {"model": Model.load(out).fingerprint, "pixels": '{"0": 1}'}
        write_label_map(path, read_label_image(path), header)
    Image.fromarray(draw(77)).save(photographs / "p1.png")
    told = Told()
    assert len(export(out, tmp_path / "coco", ExportSettings("coco"), told).images) == 5
    assert any(note.startswith("5 label maps are of an earlier version") for note in told.notes)
    viewed = Viewed(out)
    assert viewed.pixels("p1.png").shape == (60, 80, 3)
    assert any("of an earlier version" in line for line in viewed.record()["warnings"])


def test_moved_and_renamed_photographs_are_found_by_their_content(out, photographs, draw, tmp_path):
    moved = tmp_path / "archive" / "2024"
    moved.parent.mkdir()
    shutil.move(photographs, moved)
    (moved / "p0.png").rename(moved / "renamed.png")
    Image.fromarray(draw(50)).save(moved / "p0.png")
    (moved / "p3.png").unlink()
    told = Told()
    find_again(out, tmp_path / "archive", told)
    assert told.notes == [
        f"Photographs found again in {tmp_path / 'archive'}: 4 of 5. Missing: p3.png"
    ]
    entries = read_json(out / "store" / "manifest.json")["images"]
    assert entries["p0.png"]["path"] == str(moved / "renamed.png")
    viewed = Viewed(out)
    for name in ("p0.png", "p1.png", "more/p4.png"):
        assert viewed.pixels(name).size


def test_those_that_are_still_missing_do_not_hide_those_that_were_found(out, photographs, tmp_path):
    moved = tmp_path / "moved"
    shutil.move(photographs, moved)
    (moved / "p3.png").unlink()
    find_again(out, moved, Silent())
    told = Told()
    find_again(out, moved, told)
    assert told.notes == [f"Photographs found again in {moved}: 0 of 1. Missing: p3.png"]


def test_predicted_folders_are_put_right_too(out, photographs, texture, small_config, tmp_path):
    new = tmp_path / "new"
    pipeline.predict_images([photographs], new, texture, Model.load(out), small_config)
    shutil.move(photographs, tmp_path / "moved")
    find_again(new, tmp_path / "moved", Silent())
    assert len(export(new, tmp_path / "coco", ExportSettings("coco")).images) == 5


def test_a_folder_without_them_is_refused(out, photographs, draw, tmp_path):
    told = Told()
    find_again(out, photographs, told)
    assert told.notes == [f"Photographs found again in {photographs}: 0 of 0."]
    shutil.move(photographs, tmp_path / "moved")
    (tmp_path / "other").mkdir()
    Image.fromarray(draw(50)).save(tmp_path / "other" / "p0.png")
    before = (out / "store" / "manifest.json").read_bytes()
    with pytest.raises(ConfigError, match="of 5 that are not at their place none is there"):
        find_again(out, tmp_path / "other", Silent())
    assert (out / "store" / "manifest.json").read_bytes() == before
    with pytest.raises(ConfigError, match="list of its images"):
        find_again(tmp_path / "nothing", tmp_path / "moved", Silent())
