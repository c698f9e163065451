"""Small drawn images, folders compared byte by byte, and shards worked on in this process."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from primaps.config import preset_config, to_dict
from primaps.engine.commands import Request, proposals
from primaps.engine.options import EngineOptions
from primaps.engine.orders import Task
from primaps.engine.slices import ShardWorker
from primaps.engine.works import BackboneRecord, PredictWork, model_files, work_settings
from primaps.pipeline.beginning import Choice
from primaps.progress import Silent
from primaps.runs.run import Run, RunFolder
from primaps.runs.store import write_json
from primaps.shards.places import place_of
from primaps.shards.plan import make_plan
from primaps.shards.references import list_references
from primaps.types import ThresholdChoice


class Heard(Silent):
    """Counts steps, keeps notes."""

    def __init__(self):
        self.steps, self.notes = 0, []

    def advance(self, steps=1):
        self.steps += steps

    def note(self, message):
        self.notes.append(message)


@pytest.fixture(scope="session")
def draw():
    """``draw(folder, count)``: images of 64 x 48 pixels with coloured areas."""

    def images(folder, count):
        for number in range(count):
            cells = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
            place = folder / f"{number % 3}"
            place.mkdir(parents=True, exist_ok=True)
            pixels = np.kron(cells, np.ones((8, 8, 1), dtype=np.uint8))
            Image.fromarray(pixels).save(place / f"{number:03d}.png")
        return folder

    return images


@pytest.fixture(scope="session")
def propose():
    """``propose(images, out, progress, **options)``: the proposals stage, as fast as it goes."""

    def run(images, out, progress=None, **options):
        request = Request(
            [str(images)], str(out), EngineOptions(**options), "cpu", False, progress or Heard()
        )
        return proposals(request, Choice(preset="fast", backbone="texture", device="cpu"))

    return run


@pytest.fixture(scope="session")
def contents():
    """``contents(folder)``: checksums of all files but those that tell of times and locks."""

    def of(folder):
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
            and path.name not in {"run.json", "metrics.prom"}
            and not path.name.endswith("-lock")
        }

    return of


class Watching:
    def __init__(self):
        self.begun_names, self.ended_names, self.looked_names = [], [], []

    def begun(self, image):
        self.begun_names.append(image.name)

    def ended(self, image):
        self.ended_names.append(image.name)

    def looked(self, image):
        self.looked_names.append(image.name)


@pytest.fixture(scope="session")
def watching():
    """``watching()``: who is told which images are in work, and keeps their names."""
    return Watching


@pytest.fixture
def values(texture, tmp_path):
    """What works have in common, with outputs in ``tmp_path / "out"`` as tar files."""
    config = preset_config("fast")
    run = Run(RunFolder(tmp_path / "any"), texture, config, ())
    run.chosen_threshold = ThresholdChoice(0.9, "given")
    return {
        "place": str(tmp_path / "out"),
        "out": None,
        "scratch": str(tmp_path / "scratch"),
        "config": json.loads(json.dumps(to_dict(config))),
        "threshold": 0.9,
        "backbone": BackboneRecord.of(texture, "cpu"),
        "settings": work_settings(run),
    }


@pytest.fixture(params=["tar", "parquet"])
def labelled(request, values, draw, finished_run, tmp_path):
    """Label maps in shards, with the records of the command."""
    images = draw(tmp_path / "images", 4)
    (images / "0" / "bad.jpg").write_text("no image")
    values["shard_format"] = request.param
    make_plan(place_of(tmp_path / "out"), list_references([str(images)]), 3, request.param)
    run_record = json.loads((finished_run / "run.json").read_text())
    values["config"] = run_record["config"]
    work = PredictWork(**values, model=model_files(finished_run), certainty=True, overlays=True)
    run = Run(RunFolder(tmp_path / "any"), work.backbone.load(), work.settings_of_run, ())
    run.chosen_threshold = ThresholdChoice(0.9, "given")
    work = dataclasses.replace(work, settings=work_settings(run))
    for shard in range(2):
        ShardWorker(work.order().opened(), Watching())(Task(shard))
    out = tmp_path / "out"
    (out / "classes.yaml").write_bytes((finished_run / "classes.yaml").read_bytes())
    settings = {**run_record["settings"], "model": {"fingerprint": work.loaded.fingerprint}}
    write_json(out / "run.json", {**run_record, "command": "predict", "settings": settings})
    return out


@pytest.fixture
def heard():
    """Who is told of progress."""
    return Heard()


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, segment_four):
    """Folder of a run over four photographs with four clusters."""
    return segment_four(tmp_path_factory.mktemp("finished"))
