from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import tifffile

from primaps import pipeline
from primaps.config import InputConfig
from primaps.errors import ConfigError
from primaps.pipeline.predicting import Model
from primaps.pipeline.settings import settings_for
from primaps.pipeline.viewing import Viewed
from primaps.progress import Silent
from primaps.runs.run import read_warnings


@pytest.fixture
def deep(tmp_path, draw):
    """A folder of three photographs of 12 bits, the third at half of the brightness, and a plain
    one.
    """
    folder = tmp_path / "deep"
    folder.mkdir()
    for seed in range(3):
        values = draw(seed).astype(np.uint16) * (16 if seed < 2 else 8)
        tifffile.imwrite(folder / f"{seed}.tif", values, photometric="rgb")
    tifffile.imwrite(folder / "plain.tif", draw(3), photometric="rgb")
    return folder


def _open(inputs, out, texture, config, **options):
    return pipeline.open_run(inputs, out, texture, config, **options)


def _ranges(folder):
    record = json.loads((folder / "run.json").read_text())
    return record["config"]["inputs"]["ranges"]


def test_one_range_for_a_folder(deep, tmp_path, texture, small_config, draw):
    run = _open([deep], tmp_path / "run", texture, small_config)
    pipeline.segment(run)
    assert _ranges(tmp_path / "run") == [["uint16", 0, 4095]]
    assert run.config.inputs.measured("uint16") == (0, 4095)
    infos = {image.name: run.store.info(image.name) for image in run.usable_images()}
    assert infos["2.tif"].values == ("uint16", 0, 4095)  # stays darker than the others
    assert infos["plain.tif"].values is None
    notes = read_warnings(run.folder)
    assert sorted(notes) == ["0.tif", "1.tif", "2.tif"]
    assert notes["0.tif"][0].text == (
        "Values from 0 to 4095 (uint16) become 0 to 255, measured on the images of the folder;"
        " --range sets another."
    )
    line = json.loads(run.folder.warnings_file.read_text().splitlines()[0])
    assert (line["path"], line["stage"], line["kinds"]) == (str(deep / "0.tif"), "read", ["range"])
    assert run.failures == []
    record = Viewed(tmp_path / "run").record()
    assert record["facts"]["value range"] == "measured: uint16 0 to 4095"
    assert record["facts"]["read in another way than plain 8-bit RGB"] == (
        "with a range of values: 3"
    )
    warnings = dict(zip(record["images"]["name"], record["images"]["warnings"], strict=True))
    assert warnings["0.tif"][0].startswith("Values from 0 to 4095 (uint16) become 0 to 255")
    assert not any("Values" in text for text in warnings["plain.tif"])


def test_it_stays_when_images_are_added(deep, tmp_path, texture, small_config, draw):
    pipeline.segment(_open([deep], tmp_path / "run", texture, small_config))
    tifffile.imwrite(deep / "3.tif", draw(5).astype(np.uint16) * 257, photometric="rgb")
    tifffile.imwrite(deep / "4.tif", draw(6).astype(np.float32), photometric="rgb")
    run = _open([deep], tmp_path / "run", texture, small_config)
    pipeline.segment(run)
    assert _ranges(tmp_path / "run") == [["float", 0, 255], ["uint16", 0, 4095]]
    assert run.counts["proposals_made"] == 2
    assert run.counts["proposals_reused"] == 4
    again = _open([deep], tmp_path / "run", texture, small_config, overwrite=True)
    assert again.config.inputs.measured("uint16") == (0, 65535)
    pipeline.segment(again)
    assert again.counts["proposals_made"] == 4  # the plain one and the other kind are kept


def test_plain_folders_have_neither_ranges_nor_warnings(
    photographs, tmp_path, texture, small_config
):
    run = _open([photographs], tmp_path / "run", texture, small_config)
    pipeline.segment(run)
    assert not run.folder.warnings_file.exists()
    assert run.config.inputs == InputConfig()
    assert "inputs" not in run.folder.record["settings"]
    assert "inputs" not in json.loads((run.folder.model / "model.json").read_text())


def test_given_ranges_are_repeated_and_not_exchanged(deep, tmp_path, texture, small_config):
    out = tmp_path / "run"
    given = settings_for(out, small_config, {"inputs.value_range": (0, 3000)}, Silent())
    pipeline.segment(_open([deep], out, texture, given))
    assert _ranges(out) == []
    again = settings_for(out, small_config, {}, Silent())
    assert again.inputs.value_range == (0, 3000)
    run = _open([deep], out, texture, again)
    pipeline.segment(run)
    assert run.counts["proposals_made"] == 0
    other = settings_for(out, small_config, {"inputs.value_range": "dtype"}, Silent())
    with pytest.raises(ConfigError, match=r"inputs.value_range: \[0.0, 3000.0\] -> 'dtype'"):
        _open([deep], out, texture, other)


def test_usual_folders_are_not_exchanged_either(deep, tmp_path, texture, small_config):
    out = tmp_path / "run"
    pipeline.segment(_open([deep], out, texture, small_config))
    given = settings_for(out, small_config, {"inputs.bands": (3, 2, 1)}, Silent())
    with pytest.raises(ConfigError, match=r"inputs.bands: None -> \[3, 2, 1\]"):
        _open([deep], out, texture, given)
    pipeline.segment(_open([deep], out, texture, given, overwrite=True))
    assert read_warnings(_open([deep], out, texture, given).folder)["plain.tif"][0].kind == "bands"


def test_predictions_repeat_the_range(deep, tmp_path, texture, small_config, draw):
    run = _open([deep], tmp_path / "run", texture, small_config)
    pipeline.segment(run)
    model = Model.load(tmp_path / "run")
    assert model.inputs.measured("uint16") == (0, 4095)
    new = tmp_path / "new"
    new.mkdir()
    tifffile.imwrite(new / "x.tif", draw(1).astype(np.uint16) * 6, photometric="rgb")
    config = dataclasses.replace(small_config, inputs=model.inputs)
    for _ in range(2):
        found = pipeline.predict_images([new], tmp_path / "out", texture, model, config)
        assert "Values from 0 to 4095" in read_warnings(found.folder)["x.tif"][0].text
    same = pipeline.predict_images([deep], tmp_path / "same", texture, model, config)
    for name in ("0.tif", "2.tif", "plain.tif"):
        labels = run.folder.labels(name), same.folder.labels(name)
        assert labels[0].read_bytes()[-200:] == labels[1].read_bytes()[-200:]


def test_label_maps_from_a_store_say_what_its_run_says(deep, tmp_path, texture, small_config):
    run = _open([deep], tmp_path / "run", texture, small_config)
    pipeline.segment(run)
    stored = pipeline.reopen(tmp_path / "run", {})
    other = pipeline.predict_from_store(stored, tmp_path / "other", tmp_path / "run" / "model")
    assert read_warnings(other.folder) == read_warnings(run.folder)


def test_images_that_cannot_be_read_do_not_matter(tmp_path, texture, small_config, draw):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "0.tif").write_bytes(b"II*\0\x08\0\0\0\xff\xff")
    tifffile.imwrite(folder / "1.tif", draw(1).astype(np.uint16) * 257, photometric="rgb")
    run = _open([folder], tmp_path / "run", texture, small_config)
    pipeline.proposals(run)
    assert run.config.inputs.measured("uint16") == (0, 65535)
    assert len(run.failures) == 1
