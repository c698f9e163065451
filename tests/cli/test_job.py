import pytest

from primaps.cli.durations import Durations
from primaps.cli.job import Job

STAGES = ("proposals", "fit", "report")


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def durations(tmp_path):
    return Durations(tmp_path / "cache" / "durations.json")


def do(job, clock, **seconds):
    for stage, duration in seconds.items():
        job.start(stage, resumed=False)
        clock.now += duration
        job.finish(typical=True)


def test_stages_have_numbers_and_their_parts_too(clock):
    job = Job(clock)
    job.plan(STAGES)
    assert job.numbered("fit: em") == "2 of 3 fit: em"
    assert job.numbered("crops") == "crops"
    assert job.indent == len("2 of 3 ")


@pytest.mark.parametrize("stages", [(), ("label maps",)])
def test_a_single_stage_has_no_number(clock, stages):
    job = Job(clock)
    job.plan(stages)
    assert job.numbered("label maps") == "label maps"
    assert job.indent == 0


def test_the_first_job_knows_its_last_stage_only(clock, durations):
    job = Job(clock, durations)
    job.plan(STAGES, "kind", 10)
    job.start("proposals", resumed=False)
    assert job.remaining(5.0) is None
    job.start("report", resumed=False)
    assert job.remaining(None) is None
    assert job.remaining(5.0) == 5.0


def test_a_job_of_the_same_kind_tells_how_long_the_next_one_takes(clock, durations):
    first = Job(clock, durations)
    first.plan(STAGES, "kind", 10)
    do(first, clock, proposals=20.0, fit=40.0, report=2.0)
    job = Job(clock, durations)
    job.plan(STAGES, "kind", 20)
    job.start("proposals", resumed=False)
    assert job.remaining(None) == pytest.approx(40 + 80 + 4)
    assert job.remaining(10.0) == pytest.approx(10 + 80 + 4)
    clock.now += 15
    assert job.elapsed() == pytest.approx(15)
    job.finish(typical=True)
    job.start("fit: pca", resumed=False)
    clock.now += 30
    # the rate of a part says nothing about the rest of its stage
    assert job.remaining(1.0) == pytest.approx(50 + 4)
    job.start("fit: em", resumed=False)
    clock.now += 60
    assert job.remaining(None) is None  # longer than the other job, and nobody knows how much
    assert job.remaining(7.0) == pytest.approx(7 + 4)


@pytest.mark.parametrize(
    ("kind", "images"), [("other", 10), ("kind", 31), ("kind", 3), ("kind", 0), ("", 10)]
)
def test_jobs_that_are_not_alike_tell_nothing(clock, durations, kind, images):
    first = Job(clock, durations)
    first.plan(STAGES, "kind", 10)
    do(first, clock, proposals=20.0, fit=40.0, report=2.0)
    job = Job(clock, durations)
    job.plan(STAGES, kind, images)
    job.start("proposals", resumed=False)
    assert job.remaining(1.0) is None


def test_resumed_and_unfinished_jobs_are_not_remembered(clock, durations):
    resumed = Job(clock, durations)
    resumed.plan(STAGES, "kind", 10)
    do(resumed, clock, proposals=1.0)
    resumed.start("fit: em", resumed=True)
    resumed.finish(typical=True)
    do(resumed, clock, report=1.0)
    unfinished = Job(clock, durations)
    unfinished.plan(STAGES, "kind", 10)
    do(unfinished, clock, proposals=1.0, fit=1.0)
    unfinished.start("report", resumed=False)
    unfinished.finish(typical=False)
    passing = Job(clock, durations)
    passing.plan(STAGES, "kind", 10)
    do(passing, clock, report=1.0)
    assert durations.expected("kind", 10) == {}
