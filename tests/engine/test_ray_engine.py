"""Workers on Ray, on this machine alone; Ray starts once."""

import os
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from primaps.engine import ray_engine
from primaps.engine.ray_engine import ray_session, require_ray
from primaps.errors import ConfigError, MissingExtraError, OutputError, ProcessError
from primaps.shards.places import place_of
from primaps.shards.plan import make_plan
from primaps.shards.references import list_references
from primaps.shards.writing import write_shard

on_ray = [
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray"),
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
    # of Ray, about itself
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def session():
    """Ray, with two workers."""
    with ray_session(2):
        yield
    assert not sys.modules["ray"].is_initialized()
    assert not list(Path("/tmp").glob(f"pmray{os.getpid()}-*"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory, draw, propose):
    """Images, and the shards that one worker without Ray makes of them."""
    root = tmp_path_factory.mktemp("packed")
    images = draw(root / "images", 60)
    (images / "0" / "bad.jpg").write_text("no image")
    propose(images, root / "out", workers=1, shards=8)
    return images, root / "out"


def workers():
    """Processes below this one that are actors, or their workers."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text(errors="replace")
                commands[int(entry.name)] = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1])

    def below(process):
        while process in parents and process != os.getpid():
            process = parents[process]
        return process == os.getpid()

    return {
        kind: sorted(each for each, command in commands.items() if word in command and below(each))
        for kind, word in (("actor", b"RayWorker"), ("worker", b"primaps.engine.worker"))
    }


class TestOnRay:
    pytestmark = on_ray

    def test_killed_actors_and_workers_change_nothing(
        self, session, packed, tmp_path, propose, contents, heard
    ):
        images, expected = packed
        out = tmp_path / "out"
        killed = []

        def kill():
            """A worker after the first shard, an actor after the third."""
            for kind, shards in (("worker", 1), ("actor", 3)):
                while len(list(out.glob("shards/*.json"))) < shards:
                    time.sleep(0.01)
                victims = workers()[kind]
                if victims:
                    os.kill(victims[0], signal.SIGKILL)
                    killed.append(kind)

        killer = threading.Thread(target=kill)
        killer.start()
        outcome = propose(images, out, heard, engine="ray", workers=2, shards=8)
        killer.join()
        assert killed == ["worker", "actor"]
        assert contents(out) == contents(expected)
        assert [failure.path for failure in outcome.failures] == [str(images / "0" / "bad.jpg")]
        assert heard.steps == 61

    def test_ray_data_reads_tables(self, session, tmp_path):
        pytest.importorskip("pyarrow")
        import ray.data

        names = [f"{number}.jpg" for number in range(4)]
        (tmp_path / "shards").mkdir()
        for shard in range(2):
            images = {name: {"labels": name.encode()} for name in names[2 * shard : 2 * shard + 2]}
            path = tmp_path / "shards" / f"{shard:06d}.parquet"
            write_shard(path, "parquet", images, ("labels", "overlay"))
            (tmp_path / "shards" / f"_{shard:06d}.json").write_text("{}")
        rows = ray.data.read_parquet(str(tmp_path / "shards")).take_all()
        assert sorted(rows, key=lambda row: row["name"]) == [
            {"name": name, "labels": name.encode(), "overlay": None} for name in names
        ]

    def test_nothing_listens_beyond_this_machine(self, session):
        listening = [
            line.split()
            for name in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
            if line.split()[3] == "0A"
        ]
        sockets = set()
        for process in {*_below(os.getpid())}:
            try:
                if b"ray" not in Path(f"/proc/{process}/cmdline").read_bytes():
                    continue  # a browser of other tests
                sockets |= {str(each.readlink()) for each in Path(f"/proc/{process}/fd").iterdir()}
            except OSError:
                continue
        ours = {line[1] for line in listening if f"socket:[{line[9]}]" in sockets}
        assert ours
        loopback = ("0100007F", "0000000000000000FFFF00000100007F")
        assert {address.split(":")[0] for address in ours} <= set(loopback)


def _below(process):
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from _below(int(child))


def test_a_missing_ray_names_the_extra(monkeypatch):
    monkeypatch.setattr(ray_engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'primaps\[ray\]'"):
        require_ray()


def test_the_error_of_an_actor_is_raised_here():
    with pytest.raises(OutputError, match="The disk is full"):
        ray_engine._finished({"error": "OutputError", "message": "The disk is full."})


def test_there_is_an_actor_per_gpu_or_core():
    assert not ray_engine._on_gpus("auto", {"CPU": 8.0})
    assert ray_engine._on_gpus("auto", {"CPU": 8.0, "GPU": 2.0})
    assert not ray_engine._on_gpus("cpu", {"CPU": 8.0, "GPU": 2.0})
    assert ray_engine._workers({"CPU": 8.0, "GPU": 2.0}, gpus=True) == 2
    assert ray_engine._workers({"CPU": 8.0, "GPU": 2.0}, gpus=False) == 8
    with pytest.raises(ConfigError, match="Expected GPUs in the Ray cluster for --device cuda"):
        ray_engine._on_gpus("cuda", {"CPU": 8.0})


def test_tasks_fetch_what_lies_in_an_object_store_and_nothing_else(s3, tmp_path):
    import fsspec

    (tmp_path / "near.png").write_bytes(b"near")
    fsspec.filesystem("s3").pipe(f"{s3}/far.png", b"far away")
    place = place_of(tmp_path / "place")
    make_plan(place, list_references([str(tmp_path / "near.png"), f"{s3}/far.png"]), 8)
    row = ray_engine.Fetching(place.url)({"shard": 0})
    assert row["contents"] == [b"far away"]
    assert row["names"][0].endswith(".png")
    # the worker finds out and tells
    assert ray_engine.Fetching(place.url)({"shard": 1})["contents"] == []


def test_what_ray_itself_cannot_do_is_told_in_a_sentence():
    exceptions = pytest.importorskip("ray.exceptions")

    def rows():
        yield {"told": "{}"}
        raise exceptions.OutOfMemoryError("Traceback ...\nno memory is left.")

    given = rows()
    assert ray_engine._next(given) == "{}"
    with pytest.raises(ProcessError, match=r"got OutOfMemoryError: no memory is left\. What is"):
        ray_engine._next(given)


def test_folders_that_killed_commands_left_are_removed():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = Path("/tmp") / f"pmray{ended.pid}-left"
    left.mkdir()
    own = Path(ray_engine._own_folder())
    try:
        assert not left.exists()
        assert own.is_dir()
    finally:
        own.rmdir()
