import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

from primaps import pipeline
from primaps.errors import CheckpointError, ConfigError, DatasetError
from primaps.pipeline import sampled_store
from primaps.pipeline.sampled_store import sample_store
from primaps.progress import Silent
from primaps.runs.run import RunFolder, read_failures
from primaps.runs.store import hold, read_json, release, write_json
from primaps.shards.places import place_of
from primaps.shards.records import record_file, shard_file
from primaps.shards.references import Reference


@pytest.fixture
def made(tmp_path, draw, texture, small_config):
    """A run of ten photographs, and its folder of photographs."""
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    for seed in range(10):
        path = photos / ("more" if seed % 2 else "") / f"p{seed}.png"
        Image.fromarray(draw(seed, 48, 64)).save(path)
    run = pipeline.open_run([photos], tmp_path / "one", texture, small_config)
    pipeline.proposals(run, inputs=[str(photos)])
    return run, photos


@pytest.fixture
def sharded(made, tmp_path, pack):
    """The same as shards of three images."""
    run, photos = made
    return pack(run, place_of(tmp_path / "sharded"), photos, 3)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stored(out):
    return sorted(
        path.relative_to(out / "store").as_posix()
        for path in (out / "store").rglob("*.safetensors")
    )


def fitted(out, **options):
    run = pipeline.reopen(out, {}, device="cpu")
    pipeline.fit_again(run, None, **options)
    return load_file(out / "model" / "prototypes.safetensors")


@pytest.mark.parametrize("kind", ["disk", "s3"])
def test_a_fit_of_all_images_equals_that_of_one_machine(
    kind, made, sharded, tmp_path, pack, request
):
    run, photos = made
    if kind == "s3":
        sharded = pack(run, place_of(f"{request.getfixturevalue('s3')}/out"), photos, 3)
    out = tmp_path / "run"
    sample_store(sharded.url, out, None, progress=Silent())
    assert files(out / "store").keys() == files(run.folder.store).keys()
    for folder in ("store", "proposals"):
        for path, content in files(run.folder.root / folder).items():
            assert (out / folder / path).read_bytes() == content, path
    record = read_json(out / "run.json")
    assert record["drawn_from"] == {
        "of": sharded.url,
        "images": 10,
        "listing_sha256": json.loads(sharded.read("plan.json"))["listing_sha256"],
    }
    assert record["status"] == "finished"
    assert record["counts"]["images"] == 10
    shutil.rmtree(photos)  # the fit needs none
    ours, theirs = fitted(out), fitted(run.folder.root)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.equal(theirs[name]), name


def test_a_sample_holds_exactly_its_images(sharded, tmp_path):
    out = tmp_path / "run"
    sample_store(sharded.url, out, 4, progress=Silent())
    names = [f"{name}.safetensors" for name in read_json(out / "store" / "manifest.json")["images"]]
    assert stored(out) == sorted(names)
    assert len(names) == 4
    assert len(list((out / "proposals").rglob("*.png"))) == 4
    assert fitted(out)
    before = files(out / "store")
    sample_store(sharded.url, out, 4, progress=Silent())
    assert files(out / "store") == before


def test_it_resumes(sharded, tmp_path, monkeypatch):
    out, fetched = tmp_path / "run", []
    inner = sampled_store._fetch_one

    def fetch(store, folder, outputs, output):
        if len(fetched) == 3:
            raise KeyboardInterrupt
        fetched.append(output.name)
        return inner(store, folder, outputs, output)

    monkeypatch.setattr(sampled_store, "THREADS", 1)
    monkeypatch.setattr(sampled_store, "_fetch_one", fetch)
    with pytest.raises(KeyboardInterrupt):
        sample_store(sharded.url, out, 6, progress=Silent())
    assert RunFolder(out).record["status"] == "interrupted"
    assert len(stored(out)) == 3
    with pytest.raises(CheckpointError, match="to hold a run"):
        pipeline.reopen(out, {}, device="cpu")
    done = list(fetched)
    monkeypatch.setattr(
        sampled_store, "_fetch_one", lambda *args: fetched.append(0) or inner(*args)
    )
    sample_store(sharded.url, out, 6, progress=Silent())
    assert len(fetched) == 6
    assert len(stored(out)) == 6
    assert len(done) == 3


def test_another_sample_is_refused_and_replaced(sharded, made, tmp_path):
    out = tmp_path / "run"
    sample_store(sharded.url, out, 4, progress=Silent())
    with pytest.raises(ConfigError, match=r"another sample: 4 images of .* Wanted are 5 of"):
        sample_store(sharded.url, out, 5, progress=Silent())
    sample_store(sharded.url, out, 3, overwrite=True, progress=Silent())
    assert len(stored(out)) == 3
    assert len(list((out / "proposals").rglob("*.png"))) == 3
    with pytest.raises(ConfigError, match="holds another run"):
        sample_store(sharded.url, made[0].folder.root, 3, overwrite=True, progress=Silent())


def test_two_at_a_time_in_one_folder_are_refused(sharded, tmp_path):
    """Within a process the lock is taken over, so another one is asked."""
    import subprocess
    import sys

    out = tmp_path / "run"
    sample_store(sharded.url, out, 4, progress=Silent())
    hold(out)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "primaps", "fit", sharded.url, "--out", out, "--sample", "4"],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        release(out)
    assert result.returncode == 1
    assert "only command at work" in " ".join(result.stderr.split())


def test_what_cannot_be_read_is_a_listed_failure(sharded, tmp_path):
    content = bytearray(sharded.read(shard_file(1)))
    for position in range(0, len(content), 400):
        content[position] ^= 255
    sharded.write(shard_file(1), bytes(content))
    out = tmp_path / "run"
    sample_store(sharded.url, out, None, progress=Silent())
    failures = read_failures(RunFolder(out))
    assert len(failures) == 3
    assert {each.stage for each in failures} == {"fetch"}
    assert all("checksum" in each.reason for each in failures)
    assert failures[0].path.startswith(str(tmp_path / "photos"))
    assert len(stored(out)) == 7
    assert fitted(out)
    for shard in range(4):
        sharded.remove(shard_file(shard))
    with pytest.raises(DatasetError, match="there is none"):
        sample_store(sharded.url, tmp_path / "other", None, progress=Silent())


def test_photographs_come_along(made, tmp_path, pack, s3):
    run, photos = made
    photos_far = place_of(f"{s3}/photos")
    for path in sorted(photos.rglob("*.png")):
        photos_far.publish(path.relative_to(photos).as_posix(), path)
    sharded = pack(run, place_of(tmp_path / "sharded"), photos_far.url, 3)
    out = tmp_path / "run"
    sample_store(sharded.url, out, 4, progress=Silent())
    entries = read_json(out / "store" / "manifest.json")["images"]
    assert not (out / "photographs").exists()
    photos_far.remove(next(iter(entries)))
    sample_store(sharded.url, out, 4, photographs=True, progress=Silent())
    entries = read_json(out / "store" / "manifest.json")["images"]
    paths = {name: Path(entry["path"]) for name, entry in entries.items()}
    assert paths == {name: out / "photographs" / name for name in entries}
    there = [path.read_bytes() for path in paths.values() if path.exists()]
    assert there == [(photos / name).read_bytes() for name in list(paths)[1:]]
    (failure,) = read_failures(RunFolder(out))
    assert failure.path == photos_far.at(next(iter(entries)))
    assert len(pipeline.reopen(out, {}, device="cpu").usable_images()) == 4  # a fit needs none


def test_features_of_other_settings_are_not_taken(sharded, tmp_path):
    record = json.loads(sharded.read("run.json"))
    record["settings"]["features"]["size"] = 999
    sharded.write("run.json", json.dumps(record).encode())
    with pytest.raises(DatasetError, match="with the settings on record"):
        sample_store(sharded.url, tmp_path / "run", None, progress=Silent())
    assert stored(tmp_path / "run") == []


def test_pages_belong_to_their_file(tmp_path):
    reference = Reference("a.tif", "s3://bucket/a.tif", 1, "")
    images, _, _ = sampled_store._named(
        RunFolder(tmp_path), {"a.tif.p0012": reference}, photographs=True
    )
    assert images["a.tif.p0012"].page == 12
    assert images["a.tif.p0012"].path == tmp_path / "photographs" / "a.tif"


def test_names_that_lead_elsewhere_are_refused(sharded, tmp_path):
    record = json.loads(sharded.read(record_file(0)))
    record["images"][0]["name"] = "../../evil.png"
    sharded.write(record_file(0), json.dumps(record).encode())
    with pytest.raises(CheckpointError, match="tampered"):
        sample_store(sharded.url, tmp_path / "run", None, progress=Silent())
    assert not (tmp_path / "evil.png.safetensors").exists()


def test_what_is_no_source(sharded, made, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(ConfigError, match="at least 1 image"):
        sample_store(sharded.url, out, 0, progress=Silent())
    with pytest.raises(CheckpointError, match="without --out and --sample"):
        sample_store(made[0].folder.root, out, 3, progress=Silent())
    with pytest.raises(ConfigError, match="outside the outputs of a run"):
        sample_store(sharded.url, sharded.folder / "shards" / "run", 3, progress=Silent())
    sharded.remove(record_file(1))
    with pytest.raises(CheckpointError, match="shard 1 of"):
        sample_store(sharded.url, out, 10, progress=Silent())
    for content in ({"settings": {}}, {"format": 1}, {"settings": {"backbone": 3}, "config": {}}):
        write_json(sharded.folder / "run.json", content)
        with pytest.raises(CheckpointError, match="record of `primaps proposals`"):
            sample_store(sharded.url, out, 3, progress=Silent())
    assert not out.exists()
