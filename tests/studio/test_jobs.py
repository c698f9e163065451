"""Jobs: one at a time, with progress, to be stopped."""

import threading
import time

import pytest

from primaps.errors import ConfigError

pytest.importorskip("starlette", reason="the extra studio is not installed")

from primaps.studio.answering import Refused
from primaps.studio.jobs import REMEMBERED, Cancelled, Jobs


@pytest.fixture
def told():
    return []


@pytest.fixture
def jobs(told):
    made = Jobs(told.append)
    yield made
    assert made.close(10)


def ended(jobs, job):
    until = time.monotonic() + 10
    while jobs.find(job.id).status == "running" and time.monotonic() < until:
        time.sleep(0.005)
    return jobs.find(job.id)


def endless(started=None):
    def work(progress):
        progress.start("turning", 10)
        if started is not None:
            started.set()
        while True:
            time.sleep(0.005)
            progress.advance(0)

    return work


def test_a_job_ends_with_its_result(jobs, told):
    def work(progress):
        progress.plan(("one",))
        progress.start("one", 3, done=1)
        progress.advance()
        progress.advance()
        progress.note("by the way")
        progress.finish()
        return {"answer": 42}

    job = ended(jobs, jobs.begin("export", work))
    assert (job.status, job.stage, job.done, job.total) == ("done", "one", 3, 3)
    assert (job.result, job.error, job.notes) == ({"answer": 42}, None, ("by the way",))
    assert told[-1] == job.record()
    assert told[0]["status"] == "running"


def test_one_at_a_time(jobs):
    started = threading.Event()
    first = jobs.begin("refit", endless(started))
    started.wait(10)
    with pytest.raises(Refused, match="'refit' is running") as caught:
        jobs.begin("export", endless())
    assert caught.value.status == 409
    with pytest.raises(Refused, match="running"):
        jobs.between(lambda: None)
    jobs.stop(first.id)
    assert ended(jobs, first).status == "cancelled"
    assert jobs.between(lambda: 7) == 7
    assert jobs.latest() is first


def test_a_job_that_was_stopped_says_so_and_no_more(jobs, told):
    job = jobs.begin("refit", endless())
    jobs.stop(job.id)
    assert ended(jobs, job).record() | {"status": "cancelled", "error": None} == job.record()
    assert told[-1]["status"] == "cancelled"
    jobs.stop(job.id)  # twice is once
    second = jobs.begin("export", lambda progress: {})
    assert ended(jobs, second).status == "done"


def test_to_the_pipeline_a_stop_is_an_interruption():
    assert issubclass(Cancelled, KeyboardInterrupt)


def test_errors_are_sentences(jobs, caplog):
    def wrong(progress):
        raise ConfigError("Expected two classes, but got one.")

    job = ended(jobs, jobs.begin("refit", wrong))
    assert (job.status, job.error) == ("failed", "Expected two classes, but got one.")
    assert not caplog.records

    def broken(progress):
        raise ZeroDivisionError("by nothing")

    job = ended(jobs, jobs.begin("refit", broken))
    assert (job.status, job.error) == (
        "failed",
        "Something went wrong: ZeroDivisionError: by nothing",
    )
    assert "broken" in caplog.text


def test_an_unknown_job_is_said_to_be(jobs):
    for act in (jobs.find, jobs.stop):
        with pytest.raises(Refused, match="id of a job") as caught:
            act("7")
        assert caught.value.status == 404


def test_closing_stops_what_runs_and_starts_nothing(told):
    jobs, started = Jobs(told.append), threading.Event()
    job = jobs.begin("refit", endless(started))
    started.wait(10)
    assert jobs.close(10)
    assert job.status == "cancelled"
    with pytest.raises(Refused, match="about to end"):
        jobs.begin("refit", endless())


def test_a_job_that_does_not_listen_is_left_alone(told):
    jobs, go_on = Jobs(told.append), threading.Event()
    jobs.begin("refit", lambda progress: {"waited": go_on.wait(10)})
    assert not jobs.close(0.05)
    go_on.set()
    assert jobs.close(10)


def test_old_jobs_are_forgotten(jobs):
    first = jobs.begin("export", lambda progress: {})
    ended(jobs, first)
    for _ in range(REMEMBERED):
        ended(jobs, jobs.begin("export", lambda progress: {}))
    with pytest.raises(Refused):
        jobs.find(first.id)
