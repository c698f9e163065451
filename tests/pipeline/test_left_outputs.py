"""Outputs of images that left are removed, those of others and foreign files stay."""

import pytest
from PIL import Image

from primaps import pipeline
from primaps.errors import ConfigError
from primaps.pipeline.labelling import Extras
from primaps.progress import Silent
from primaps.runs.model import Model
from primaps.runs.store import read_json


class Told(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def outputs(root):
    return {
        str(path.relative_to(root))
        for folder in ("labels", "proposals", "certainty", "overlays")
        for path in (root / folder).rglob("*")
        if path.is_file()
    }


@pytest.fixture
def segment(texture, small_config, tmp_path):
    def at_work(inputs, told=None):
        out, told = tmp_path / "run", told or Told()
        run = pipeline.open_run(inputs, out, texture, small_config, progress=told)
        pipeline.segment(run, extras=Extras(certainty=True, overlays=True))
        return out

    return at_work


def test_a_photograph_that_was_removed_leaves_nothing(segment, photographs):
    out, told = segment([photographs]), Told()
    kept = outputs(out)
    (out / "labels" / "notes.png").write_bytes(b"mine")
    (photographs / "more" / "p4.png").unlink()
    segment([photographs], told)
    assert outputs(out) == {each for each in kept if "p4" not in each} | {"labels/notes.png"}
    assert not (out / "labels" / "more").exists()
    (note,) = (each for each in told.notes if each.startswith("Removed"))
    assert note == "Removed what was made of 1 images that are no inputs any more: more/p4.png"


def test_names_that_change_with_a_second_input_do_not_lie_beside_the_old_ones(
    segment, photographs, draw, tmp_path
):
    out = segment([photographs])
    (tmp_path / "others").mkdir()
    Image.fromarray(draw(8)).save(tmp_path / "others" / "a.png")
    segment([photographs, tmp_path / "others"])
    names = set(read_json(out / "store" / "manifest.json")["images"])
    assert names == {"photos/more/p4.png", "others/a.png"} | {f"photos/p{n}.png" for n in range(4)}
    for folder in ("labels", "proposals", "certainty"):
        made = {path.relative_to(out / folder) for path in (out / folder).rglob("*.png")}
        assert {path.as_posix().removesuffix(".png") for path in made} == names


def test_predicted_label_maps_of_images_that_left_go_too(
    segment, photographs, texture, small_config, tmp_path
):
    out, new, told = segment([photographs]), tmp_path / "new", Told()
    model = Model.load(out)
    pipeline.predict_images([photographs], new, texture, model, small_config)
    pipeline.predict_images(
        [photographs / "p0.png"], new, texture, model, small_config, progress=told
    )
    assert outputs(new) == {"labels/p0.png.png"}
    removed = "Removed what was made of 4 images that are no inputs any more: "
    assert told.notes == [removed + "more/p4.png, p1.png, p2.png, p3.png"]
    assert len(outputs(out)) == 20


def test_nothing_is_predicted_into_a_run(segment, photographs, texture, small_config):
    out = segment([photographs])
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"is a run, with label maps .*another --out"):
            pipeline.predict_images(
                [photographs / "p0.png"],
                out,
                texture,
                Model.load(out),
                small_config,
                overwrite=overwrite,
            )
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_run_beside_the_photographs_is_not_segmented(segment, photographs, tmp_path):
    first = segment([photographs])
    deep = photographs / "a" / "b"
    deep.mkdir(parents=True)
    first.rename(deep / "run1")
    told = Told()
    out = segment([photographs], told)
    assert len(read_json(out / "store" / "manifest.json")["images"]) == 5
    assert f"Not entered, run folders and exports: {deep / 'run1'}." in told.notes
