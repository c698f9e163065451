"""Stores that are not kept: every command works on what is left, or says how to make it again."""

import dataclasses
import hashlib
import json
import shlex
import shutil

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from primaps import pipeline
from primaps.cli.app import app
from primaps.config import Config
from primaps.errors import CheckpointError, ConfigError
from primaps.pipeline import kept_store
from primaps.pipeline.accepting import accept
from primaps.pipeline.classes import ClassChanges, edit_classes
from primaps.pipeline.correcting import correct
from primaps.pipeline.exporting import ExportSettings, export
from primaps.pipeline.kept_store import (
    LARGE,
    bytes_on_disk,
    fitted_views,
    kept_views,
    note_of_size,
    rebuilding,
)
from primaps.pipeline.labelling import Extras
from primaps.pipeline.named_fit import fit_with_names
from primaps.pipeline.splitting import split_class
from primaps.pipeline.suggesting import suggest
from primaps.pipeline.viewing import Viewed
from primaps.progress import Silent
from primaps.runs.model import Model
from primaps.runs.run import RunFolder
from primaps.studio.knowing import Knowing
from primaps.types import View


class Telling(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def with_all_views(config):
    """Six views, all of which the fit looks at, as in the preset paper."""
    return dataclasses.replace(
        config,
        features=dataclasses.replace(config.features, flip=True, photometric_views=2),
        fit=dataclasses.replace(config.fit, initialise="pca", em_on="pixels", min_steps=6),
        predict=dataclasses.replace(config.predict, crf=False),
    )


def segment(photos, out, texture, config, store=None, progress=None, **options):
    config = dataclasses.replace(config, store=store)
    run = pipeline.open_run([photos], out, texture, config, progress=progress, **options)
    pipeline.segment(run, inputs=[str(photos)], extras=Extras(certainty=True))
    return run


def outputs(out):
    """Digests of what a run leaves beside its store and records."""
    names = ("labels", "proposals", "certainty", "model")
    files = [path for name in names for path in (out / name).rglob("*") if path.is_file()]
    files += [out / "classes.yaml", out / "certainty.jsonl"]
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def shown(out):
    """What the report tells of classes and images."""
    record = Viewed(out).record()
    kept = ("clusters", "examples", "images", "curves", "tree", "has_proposals", "failures")
    return {name: record[name] for name in kept}


KINDS = ("full", "light", "none")


@pytest.fixture(scope="module")
def photos(tmp_path_factory, draw):
    """Three photos that no test changes."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        Image.fromarray(draw(seed, 48, 64)).save(folder / f"p{seed}.png")
    return folder


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory, texture):
    """The same run with every kind of store."""
    root, base = tmp_path_factory.mktemp("made"), Config(num_clusters=3)
    config = dataclasses.replace(
        base,
        features=dataclasses.replace(base.features, size=64),
        fit=dataclasses.replace(
            base.fit, min_steps=6, epochs=1, kmeans_epochs=1, pixels_per_image=64
        ),
    )
    for kind in KINDS:
        segment(photos, root / kind, texture, with_all_views(config), kind)
    return root, with_all_views(config)


@pytest.fixture
def all_views(made):
    """Settings of these runs."""
    return made[1]


@pytest.fixture
def three(made, tmp_path):
    """Copies of these runs."""
    return {kind: shutil.copytree(made[0] / kind, tmp_path / kind) for kind in KINDS}


def test_all_kinds_give_the_same_outputs(three):
    expected, told = outputs(three["full"]), shown(three["full"])
    for kind in ("light", "none"):
        assert outputs(three[kind]) == expected, kind
        assert shown(three[kind]) == told, kind
    assert told["examples"][0]["best"]


def test_what_stays_on_disk(three):
    held = {
        kind: {run.store.held(image.name) for image in run.images}
        for kind in three
        for run in [pipeline.reopen(three[kind], {})]
    }
    assert held == {"full": {6}, "light": {1}, "none": {0}}
    assert not (three["none"] / "store").exists()
    assert (three["none"] / "digest.safetensors").exists()
    assert not (three["light"] / "digest.safetensors").exists()
    for kind, out in three.items():
        assert json.loads((out / "run.json").read_text())["config"]["store"] == kind
    manifest = json.loads((three["light"] / "store" / "manifest.json").read_text())
    assert manifest["views"] == [dataclasses.asdict(View())]


@pytest.mark.parametrize("kind", ["light", "none"])
def test_run_again_it_does_nothing_and_keeps_its_kind(three, kind, photos, texture, all_views):
    out = three[kind]
    before = {path: path.stat().st_mtime_ns for path in (out / "labels").rglob("*.png")}
    run = segment(photos, out, texture, all_views)
    assert run.config.store == kind
    assert run.counts["proposals_made"] == 0
    assert run.counts["label_maps_made"] == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (out / "store").exists() == (kind == "light")


@pytest.mark.parametrize("kind", ["light", "none"])
def test_another_kind_for_the_same_folder(three, kind, photos, texture, all_views):
    expected = outputs(three["full"])
    full = pipeline.reopen(three["full"], {}).store
    run = segment(photos, three[kind], texture, all_views, "full")
    assert run.counts["proposals_made"] == 3
    assert outputs(three[kind]) == expected
    for image in run.images:
        for view in full.views:
            made = run.store.features(image.name, view)
            assert torch.equal(made, full.features(image.name, view))
    assert not (three[kind] / "digest.safetensors").exists()
    assert not (three[kind] / "manifest.json").exists()
    segment(photos, three["full"], texture, all_views, kind)
    assert (three["full"] / "store").exists() == (kind == "light")
    assert outputs(three["full"]) == expected


@pytest.mark.parametrize("kind", ["light", "none"])
def test_further_photographs(three, kind, photos, tmp_path, texture, all_views):
    photos = shutil.copytree(photos, tmp_path / "photos")
    shutil.copy(photos / "p0.png", photos / "p9.png")
    segment(photos, tmp_path / "anew", texture, all_views)
    segment(photos, three[kind], texture, all_views)
    assert outputs(three[kind])["labels/p9.png.png"]
    prototypes = "model/prototypes.safetensors"
    assert outputs(three[kind])[prototypes] == outputs(tmp_path / "anew")[prototypes]
    assert (three[kind] / "store").exists() == (kind == "light")
    (photos / "p9.png").unlink()
    segment(photos, three[kind], texture, all_views)
    assert outputs(three[kind])[prototypes] == outputs(three["full"])[prototypes]


@pytest.mark.parametrize(
    ("stage", "step"), [("proposals", 2), ("fit: em", 4), ("label maps", 2), ("report", 1)]
)
@pytest.mark.parametrize("kind", ["light", "none"])
def test_a_killed_run_ends_with_the_same_bytes(
    kind, stage, step, photos, tmp_path, texture, all_views, cutting
):
    segment(photos, tmp_path / "whole", texture, all_views)
    out = tmp_path / "run"
    with cutting.short():
        segment(photos, out, texture, all_views, kind, cutting.at(stage, step))
    assert (out / "store").exists()
    segment(photos, out, texture, all_views)
    assert outputs(out) == outputs(tmp_path / "whole")
    assert (out / "store").exists() == (kind == "light")


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_killed_while_the_store_is_removed(
    gone, photos, tmp_path, texture, small_config, monkeypatch
):
    out, left = tmp_path / "run", [gone]
    unlink = kept_store.Path.unlink

    def some(self, **options):
        if self.suffix == ".safetensors" and "store" in self.parts:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        unlink(self, **options)

    with monkeypatch.context() as patch:
        patch.setattr(kept_store.Path, "unlink", some)
        with pytest.raises(KeyboardInterrupt):
            segment(photos, out, texture, small_config, "none")
    assert (out / "store").exists()
    made, told = outputs(out), shown(out)
    run = segment(photos, out, texture, small_config)
    assert run.counts["proposals_made"] == 0
    assert not (out / "store").exists()
    assert outputs(out) == made
    assert shown(out) == told


def test_a_fit_says_how_to_have_what_it_needs(three, tmp_path):
    for kind, lost in (("none", "features,"), ("light", "mirrored and photometric views")):
        run = pipeline.reopen(three[kind], {"seed": 5})
        with pytest.raises(CheckpointError, match=lost) as caught:
            pipeline.fit_again(run, tmp_path / f"model-{kind}")
        command = str(caught.value).partition("Make them again: ")[2]
        assert command == rebuilding(run.folder)
        assert command.endswith("--store full")
        made = CliRunner().invoke(app, shlex.split(command)[1:])
        assert made.exit_code == 0, made.output
        pipeline.fit_again(pipeline.reopen(three[kind], {"seed": 5}), tmp_path / f"model-{kind}")
    pipeline.fit_again(pipeline.reopen(three["full"], {"seed": 5}), tmp_path / "model-full")
    expected = (tmp_path / "model-full" / "prototypes.safetensors").read_bytes()
    for kind in ("none", "light"):
        assert (tmp_path / f"model-{kind}" / "prototypes.safetensors").read_bytes() == expected


def test_light_is_enough_for_other_fits(three, tmp_path):
    for kind in ("full", "light"):
        for method in ("baseline", "clusters"):
            run = pipeline.reopen(three[kind], {"method": method})
            pipeline.fit_again(run, tmp_path / kind / method)
    for method in ("baseline", "clusters"):
        made = [tmp_path / kind / method / "prototypes.safetensors" for kind in ("full", "light")]
        assert made[0].read_bytes() == made[1].read_bytes(), method


def test_names_candidates_and_label_maps_need_no_store(three, tmp_path):
    """What a person says is learnt from the digest; label maps are made from the photographs."""
    made = {}
    for kind, out in three.items():
        edit_classes(out, ClassChanges(names=((0, "sky"), (1, "hill"))))
        correct(out, [("p0.png", 1, "sky")])
        run = pipeline.reopen(out, {})
        rows = suggest(run, groups=3, uncertain=2)
        candidate = fit_with_names(pipeline.reopen(out, {})).number
        parted = split_class(pipeline.reopen(out, {}), 0, 2).number
        pipeline.predict_from_store(run, tmp_path / "p" / kind, out / "model")
        known = Knowing(pipeline.reopen(out, {}))
        learnt = known.alike("p0.png", 1), known.cards(1, 3), known.cards(2, 3)
        accept(pipeline.reopen(out, {}), candidate)
        pipeline.report_again(pipeline.reopen(out, {}))
        export(out, tmp_path / "coco" / kind, ExportSettings("coco"))
        files = sorted((out / "candidates" / str(parted) / "labels").rglob("*.png"))
        files += sorted((out / "labels").rglob("*.png"))
        files += sorted((tmp_path / "p" / kind / "labels").rglob("*.png"))
        made[kind] = (
            [hashlib.sha256(each.read_bytes()).hexdigest() for each in files],
            [dataclasses.astuple(row) for row in rows],
            learnt,
            shown(out),
        )
        assert (out / "store").exists() == (kind != "none")
    assert made["light"] == made["full"]
    assert made["none"] == made["full"]


def test_a_run_without_store_is_no_folder_for_predictions(three, texture, photos, small_config):
    out = three["none"]
    with pytest.raises(ConfigError, match="is a run"):
        pipeline.predict_images([photos], out, texture, Model.load(out / "model"), small_config)


def test_a_store_that_somebody_deleted(three):
    shutil.rmtree(three["full"] / "store")
    with pytest.raises(CheckpointError, match=r"Make it again: primaps proposals .* --store full"):
        pipeline.reopen(three["full"], {})


def test_photographs_that_changed_are_not_mistaken(photos, tmp_path, texture, small_config):
    photos = shutil.copytree(photos, tmp_path / "photos")
    out = tmp_path / "run"
    segment(photos, out, texture, small_config, "none")
    (photos / "p0.png").write_bytes((photos / "p1.png").read_bytes())
    pipeline.predict_from_store(pipeline.reopen(out, {}), tmp_path / "out", out / "model")
    failures = (tmp_path / "out" / "failures.jsonl").read_text()
    assert "the photograph that its label map was made of" in failures


def test_proposals_without_a_store(photos, tmp_path, texture, small_config):
    out = tmp_path / "run"
    config = dataclasses.replace(small_config, store="none")
    pipeline.proposals(pipeline.open_run([photos], out, texture, config))
    assert len(list((out / "proposals").rglob("*.png"))) == 3
    assert not (out / "store").exists()
    again = pipeline.open_run([photos], out, texture, small_config)
    pipeline.proposals(again)
    assert again.counts["proposals_made"] == 0


def test_a_store_behind_a_link_is_emptied(photos, tmp_path, texture, small_config):
    out, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    elsewhere.mkdir()
    out.mkdir()
    (out / "store").symlink_to(elsewhere)
    segment(photos, out, texture, small_config, "none")
    assert not (out / "store").exists()
    assert list(elsewhere.iterdir()) == []


def test_views_that_are_kept_and_looked_at(small_config, all_views):
    assert [kept_views(all_views, kind) for kind in ("full", "light", "none")] == [6, 1, 0]
    assert kept_views(small_config) == 1
    assert fitted_views(all_views) == 6
    assert fitted_views(small_config) == 1
    baseline = dataclasses.replace(all_views, fit=all_views.fit.with_method("baseline"))
    assert fitted_views(baseline) == 1


def test_views_that_nothing_looks_at_are_not_made(photos, tmp_path, texture, all_views):
    config = dataclasses.replace(all_views, fit=all_views.fit.with_method("baseline"))
    config = dataclasses.replace(config, store="light")
    run = pipeline.open_run([photos], tmp_path / "run", texture, config)
    assert bytes_on_disk(run, 5) == bytes_on_disk(run, 5, fit=False)
    pipeline.proposals(run)
    assert {run.store.held(image.name) for image in run.images} == {1}


def test_large_stores_are_noted_once(
    photos, tmp_path, texture, small_config, all_views, monkeypatch
):
    run = pipeline.open_run([photos], tmp_path / "run", texture, all_views)
    assert LARGE == 5e9
    assert note_of_size(run) is None
    monkeypatch.setattr(kept_store, "LARGE", 5e3)
    told = note_of_size(run)
    assert "--store light leaves" in told
    assert "--store none" in told
    assert str(run.folder.store) in told
    telling = Telling()
    segment(photos, tmp_path / "plain", texture, small_config, progress=telling)
    sizes = [note for note in telling.notes if "--store none" in note]
    assert len(sizes) == 1
    assert "plain views alone" in sizes[0]
    telling = Telling()
    segment(photos, tmp_path / "no", texture, small_config, "none", progress=telling)
    assert not any("--store" in note for note in telling.notes)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="full, light, none"):
        Config(store="half")


def test_the_command_names_inputs_as_they_were_given(three):
    folder = RunFolder(three["none"])
    folder.record["inputs"] = ["a folder", "b"]
    assert "primaps proposals 'a folder' b --out" in rebuilding(folder)
    folder.record["inputs"] = list("abcde")
    assert "primaps proposals IMAGES --out" in rebuilding(folder)
