import dataclasses
import json
import shutil
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from primaps import pipeline
from primaps.data.framing import crop_image
from primaps.data.reading import read_image
from primaps.errors import ConfigError
from primaps.features.extractor import FrozenBackbone
from primaps.pipeline import batches, extraction
from primaps.pipeline.extraction import proposal_statistics, write_manifest
from primaps.runs.run import read_failures
from primaps.runs.store import ShardInfo
from primaps.types import View

# ---- centre crops --------------------------------------------------------------------------------


def cropping(config):
    return dataclasses.replace(
        config, features=dataclasses.replace(config.features, framing="centre-crop")
    )


def test_centre_crops_are_what_is_stored(photographs, small_config, texture, tmp_path):
    config = cropping(small_config)
    run = pipeline.open_run(
        [photographs], tmp_path / "run", texture, config, stages=pipeline.PROPOSAL_STAGES
    )
    pipeline.proposals(run)
    name = run.images[0].name
    info = run.store.info(name)
    assert (info.height, info.width) == (64, 64)
    crop = crop_image(read_image(run.images[0].path), 64)
    assert torch.equal(run.store.features(name, View()), texture.extract(crop, 64).half())
    assert run.store.proposals(name).shape == (64, 64)


def test_whole_photographs_and_crops_do_not_share_a_folder(
    photographs, small_config, texture, tmp_path
):
    pipeline.open_run(
        [photographs], tmp_path / "run", texture, small_config, stages=pipeline.PROPOSAL_STAGES
    )
    with pytest.raises(ConfigError, match=r"features.framing: 'whole' -> 'centre-crop'"):
        pipeline.open_run(
            [photographs],
            tmp_path / "run",
            texture,
            cropping(small_config),
            stages=pipeline.PROPOSAL_STAGES,
        )


def test_label_maps_are_of_whole_photographs_only(photographs, small_config, texture, tmp_path):
    with pytest.raises(ConfigError, match="Expected framing to be 'whole'"):
        pipeline.open_run([photographs], tmp_path / "run", texture, cropping(small_config))


# ---- in batches, as on an accelerator ------------------------------------------------------------


@pytest.fixture
def in_batches(monkeypatch):
    """Has the CPU work as an accelerator does, with batches of at most three images out of six."""
    monkeypatch.setattr(extraction, "works_in_batches", lambda _: True)
    monkeypatch.setattr(extraction, "images_per_batch", lambda _pixels, _device: 3)
    monkeypatch.setattr(batches, "_WINDOW", 6)


@pytest.fixture
def mixed(tmp_path):
    """Nine blocky photographs of three sizes in a folder, in no order of sizes."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for index in range(9):
        blocks = np.random.default_rng(index).integers(0, 256, (3, 4, 3), dtype=np.uint8)
        size = [(80, 60), (60, 80), (80, 60), (64, 64), (80, 60)][index % 5]
        Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(folder / f"{index}.png")
    return folder


def extracted(folder, out, backbone, config):
    run = pipeline.open_run([folder], out, backbone, config, stages=pipeline.PROPOSAL_STAGES)
    pipeline.proposals(run)
    return run


def pngs(run):
    return {path.name: path.read_bytes() for path in run.folder.root.glob("proposals/*.png")}


def stored(run):
    return {path.name: load_file(path) for path in run.folder.store.glob("*.safetensors")}


def test_batches_give_what_single_images_give(mixed, small_config, tmp_path, texture, request):
    alone = extracted(mixed, tmp_path / "alone", texture, small_config)
    request.getfixturevalue("in_batches")
    together = extracted(mixed, tmp_path / "together", texture, small_config)
    assert pngs(together) == pngs(alone)
    assert len(pngs(alone)) == 9
    for name_of, tensors in stored(alone).items():
        found = stored(together)[name_of]
        assert torch.equal(found["proposals"], tensors["proposals"])
        torch.testing.assert_close(
            found["features"].float(), tensors["features"].float(), rtol=2e-3, atol=1e-3
        )
    records = [
        json.loads((run.folder.store / "manifest.json").read_text()) for run in (alone, together)
    ]
    assert records[0] == records[1]


def test_a_bad_file_in_a_batch_is_reported_and_the_rest_goes_on(
    mixed, small_config, tmp_path, texture, in_batches
):
    (mixed / "2.png").write_bytes(b"no image")
    (mixed / "7.png").write_bytes((mixed / "7.png").read_bytes()[:60])
    run = extracted(mixed, tmp_path / "run", texture, small_config)
    assert [failure.path.rpartition("/")[2] for failure in run.failures] == ["2.png", "7.png"]
    assert len(pngs(run)) == 7
    assert run.counts["images"] == 7
    assert read_failures(run.folder) == run.failures


def test_reading_ahead_takes_no_memory_of_the_device(
    mixed, small_config, tmp_path, texture, in_batches, monkeypatch
):
    """The device is full while a batch is worked on: an input that is put there meanwhile finds no
    room.
    """
    preprocess, made = FrozenBackbone.preprocess, []

    def on_a_full_device(self, image, size=320, *, device=None):
        if device != torch.device("cpu"):
            raise torch.OutOfMemoryError("the device is full")
        made.append(threading.current_thread().name)
        return preprocess(self, image, size, device=device)

    monkeypatch.setattr(FrozenBackbone, "preprocess", on_a_full_device)
    run = extracted(mixed, tmp_path / "run", texture, small_config)
    assert not run.failures
    assert len(pngs(run)) == len(made) == 9
    assert all(name.startswith("read") for name in made)


def test_long_panoramas_of_many_shapes_are_worked_on_before_they_fill_the_memory(
    small_config, tmp_path, texture, in_batches, monkeypatch
):
    folder = tmp_path / "long"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(
            np.random.default_rng(index).integers(0, 256, (32, 160 + 24 * index, 3), np.uint8)
        ).save(folder / f"{index}.png")
    monkeypatch.setattr(batches, "_WAITING_PIXELS", 2 * 64 * 320)
    sizes, flush = [], batches._Batches.flush

    def flushed(self):
        sizes.append(
            [loaded.values.numel() // 3 for batch in self._open.values() for _, loaded in batch]
        )
        flush(self)

    monkeypatch.setattr(batches._Batches, "flush", flushed)
    run = extracted(folder, tmp_path / "run", texture, small_config)
    assert len(pngs(run)) == 6
    assert max(map(sum, sizes)) < 3 * 64 * 560
    assert sum(map(len, sizes)) == 6


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("after", [1, 5])
def test_a_killed_run_resumes_and_ends_with_the_same_bytes(
    after, mixed, small_config, tmp_path, texture, in_batches, monkeypatch
):
    undisturbed = extracted(mixed, tmp_path / "undisturbed", texture, small_config)
    written = []

    def dying(path, *given):
        if len(written) >= after:
            raise KilledError
        written.append(path)
        write_proposals(path, *given)

    write_proposals = extraction.write_proposals
    with monkeypatch.context() as patch:
        patch.setattr(extraction, "write_proposals", dying)
        with pytest.raises(KilledError):
            extracted(mixed, tmp_path / "run", texture, small_config)
    kept = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "store").glob("*.safetensors")
    }
    resumed = extracted(mixed, tmp_path / "run", texture, small_config)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert resumed.counts["proposals_made"] == 9 - len(kept)
    assert pngs(resumed) == pngs(undisturbed)
    for name, tensors in stored(undisturbed).items():
        found = stored(resumed)[name]
        assert all(torch.equal(found[key], tensors[key]) for key in tensors)


def test_a_finished_run_reads_no_photograph_again(
    mixed, small_config, tmp_path, texture, in_batches, monkeypatch
):
    extracted(mixed, tmp_path / "run", texture, small_config)
    monkeypatch.setattr(extraction, "framed_photo", pytest.fail)
    assert extracted(mixed, tmp_path / "run", texture, small_config).counts["proposals_made"] == 0


def test_a_new_photograph_is_added(mixed, small_config, tmp_path, texture, in_batches):
    extracted(mixed, tmp_path / "run", texture, small_config)
    shutil.copy(mixed / "0.png", mixed / "4b.png")
    run = extracted(mixed, tmp_path / "run", texture, small_config)
    assert run.counts["proposals_made"] == 1
    assert np.array_equal(
        np.asarray(Image.open(run.folder.proposals("4b.png"))),
        np.asarray(Image.open(run.folder.proposals("0.png"))),
    )


def test_the_manifest_is_the_json_of_its_values(mixed, small_config, tmp_path, texture):
    strange = mixed / 'a "ü\u2028\\ b.png'
    (mixed / "0.png").rename(strange)
    run = extracted(mixed, tmp_path / "run", texture, small_config)
    text = run.folder.manifest.read_text("utf-8")
    listed = json.loads(text)
    assert text == json.dumps(listed, indent=2, ensure_ascii=False) + "\n"
    assert list(listed["images"]) == [image.name for image in run.images]
    assert strange.name in listed["images"]
    assert listed["images"]["1.png"]["height"] == 80
    write_manifest(run.store, [])
    assert json.loads((run.folder.root / "manifest.json").read_text())["images"] == {}


def test_statistics_take_their_images_one_by_one():
    info = ShardInfo("s", "0", 1, 1, 2, 3, 2, 0.5, (0.9, 0.8), ("zero_tokens", "zero_tokens"))
    other = dataclasses.replace(info, num_masks=0, coverage=0.25, guards=())
    assert proposal_statistics(iter([info, other, info])) == {
        "proposals_per_image": {"min": 0, "median": 2.0, "mean": 1.333, "max": 2},
        "images_without_proposal": 1,
        "coverage": {"min": 0.25, "mean": 0.4167},
        "images_with_guard": {"zero_tokens": 2},
    }
