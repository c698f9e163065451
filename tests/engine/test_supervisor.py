"""With a worker that speaks the same lines and starts at once."""

import os

import pytest

from primaps.engine import supervisor as module
from primaps.engine.journal import DEADLY, Attempts, read_attempts, write_attempts
from primaps.engine.limits import Limits
from primaps.engine.orders import Order
from primaps.engine.supervisor import Supervisor
from primaps.errors import OutputError, ProcessError
from primaps.shards.places import place_of

WORKER = """
import json, os, pathlib, signal, sys, time

def send(**message):
    os.write(1, (json.dumps(message) + "\\n").encode())

start = json.loads(json.loads(sys.stdin.readline())["order"])
images, deadly, slow = (start["work"].get(key, []) for key in ("images", "deadly", "slow"))
if start["work"].get("sick"):
    os.kill(os.getpid(), signal.SIGKILL)
send(ready=True)
made = pathlib.Path({"made": folder for folder in [start["work"]["made"]] if folder}["made"])
for line in sys.stdin:
    task = json.loads(line)
    alone = [name for name in images if name in task["alone"]]
    together = [name for name in images if name not in alone]
    print("n" * 1000, file=sys.stderr, flush=True)
    for name in together + alone:
        if name in task["quarantined"] or (made / name).exists():
            continue
        send(begun=name)
        if name in deadly:
            os.kill(os.getpid(), signal.SIGSEGV)
        if name in slow:
            time.sleep(60)
        (made / name).touch()
        send(ended=name)
    if "error" in start["work"]:
        send(error=start["work"]["error"], message="No room.")
        break
    send(done={"left_out": task["quarantined"]})
"""


@pytest.fixture
def supervise(tmp_path, monkeypatch):
    """A function that gives the supervisor of a worker."""
    (tmp_path / "quick_worker.py").write_text(WORKER)
    (tmp_path / "made").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(module, "WORKER", "quick_worker")
    begun = []

    def make(limits=Limits(), advance=lambda _: None, **work):  # noqa: B008 - frozen
        work = {"images": ["a", "b", "c", "d"], "made": str(tmp_path / "made"), **work}
        order = Order(str(tmp_path / "place"), str(tmp_path / "place"), str(tmp_path), "cpu", work)
        begun.append(Supervisor(order, limits, {}, advance))
        return begun[-1]

    yield make
    for each in begun:
        each.close()


def made(tmp_path):
    return sorted(path.name for path in (tmp_path / "made").iterdir())


def test_a_shard_is_done_and_told(supervise, tmp_path):
    told = []
    assert supervise(advance=told.append).do(0) == {"left_out": {}}
    assert made(tmp_path) == ["a", "b", "c", "d"]
    assert told == [1, 1, 1, 1]


def test_what_a_worker_prints_is_kept_for_its_last_task_only(supervise, tmp_path):
    supervisor = supervise()
    for shard in range(3):
        supervisor.do(shard)
    assert os.fstat(supervisor._process._printed.fileno()).st_size == 1001


def test_an_image_that_ends_workers_is_left_out_and_all_others_are_made(supervise, tmp_path):
    supervisor = supervise(deadly=["b"])
    told = supervisor.do(0)
    assert made(tmp_path) == ["a", "c", "d"]
    assert list(told["left_out"]) == ["b"]
    assert "signal SIGSEGV" in told["left_out"]["b"]
    assert supervisor.deaths == 1 + DEADLY
    assert read_attempts(place_of(tmp_path / "place"), 0).quarantined == {}  # the record has them


def test_an_image_that_takes_too_long_is_left_out(supervise, tmp_path):
    supervisor = supervise(Limits(seconds=0.3), slow=["c"])
    told = supervisor.do(0)
    assert made(tmp_path) == ["a", "b", "d"]
    assert "at most 0.3 s" in told["left_out"]["c"]
    assert supervisor.deaths == 2


def test_the_error_of_a_worker_is_raised_here(supervise):
    with pytest.raises(OutputError, match=r"No room\."):
        supervise(error="OutputError").do(0)


def test_a_bug_in_a_worker_is_told_as_one(supervise):
    with pytest.raises(ProcessError, match="A worker ended with an error:\nNo room"):
        supervise(error="").do(0)


def test_a_worker_that_does_not_start_tells_why(supervise):
    with pytest.raises(ProcessError, match=r"A worker ended with an error:[^$]*KeyError: 'made'"):
        supervise(made=None).do(0)


def test_workers_that_die_at_once_end_the_command(supervise):
    with pytest.raises(ProcessError, match="with no image in work"):
        supervise(sick=True).do(0)


def test_what_was_learnt_before_an_interruption_counts(supervise, tmp_path):
    write_attempts(place_of(tmp_path / "place"), 0, Attempts({"b": DEADLY - 1}))
    supervisor = supervise(deadly=["b"])
    assert list(supervisor.do(0)["left_out"]) == ["b"]
    assert supervisor.deaths == 1
    assert made(tmp_path) == ["a", "c", "d"]


def test_a_stopped_supervisor_does_nothing(supervise, tmp_path):
    supervisor = supervise()
    supervisor.stop()
    with pytest.raises(ProcessError, match="the command was ended"):
        supervisor.do(0)
    assert made(tmp_path) == []
