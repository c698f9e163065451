import pytest

from primaps.errors import OutputError
from primaps.progress import Silent, Witness, tell_failures, tell_resumed, tell_warnings
from primaps.runs.counting import Counters, CountingProgress, peak_memory
from primaps.runs.store import atomic_write
from primaps.types import Failure, ReadingNote


@pytest.fixture
def work():
    """Counting progress, what it has kept, and a clock to set."""
    kept, now = [], [0.0]
    progress = CountingProgress(
        Silent(), Counters(), lambda counters: kept.append(counters.record()), lambda: now[0]
    )
    progress.begin(4, 1, ("deep.tif",), resumed=False)
    return progress, kept, now


def test_steps_and_seconds_of_stages(work):
    progress, kept, now = work
    progress.start("proposals", 4, done=1)
    for now[0] in (1.0, 2.0):
        progress.advance()
    progress.finish()
    assert kept[-1]["stages"] == {"proposals": {"done": 3, "total": 4, "reused": 0, "seconds": 2.0}}
    assert (kept[-1]["images"], kept[-1]["failed"], kept[-1]["warned"]) == (4, 1, 1)


def test_kept_now_and_then_while_a_stage_is_at_work(work):
    progress, kept, now = work
    progress.start("proposals", 100)
    before = len(kept)
    for now[0] in range(1, 32):
        progress.advance()
    assert len(kept) - before == 2
    assert kept[-1]["stages"]["proposals"]["done"] == 30


def test_a_stage_of_parts_and_one_with_nothing_to_do(work):
    progress, kept, _ = work
    progress.start("fit", 150)
    progress.start("fit: em", 150)
    progress.advance(150)
    progress.start("label maps", 0)
    progress.finish()
    assert list(kept[-1]["stages"]) == ["fit: em"]


def test_failures_and_warnings(work):
    progress, _, _ = work
    assert isinstance(progress, Witness)
    tell_failures(progress, [Failure("a", "read", "no"), Failure("b", "read", "no")])
    tell_warnings(progress, "b.tif", [ReadingNote("deep", "16 bits")])
    tell_warnings(progress, "b.tif", [ReadingNote("deep", "16 bits")])
    tell_warnings(progress, "c.png", [])
    tell_resumed(progress, "folder")
    progress.keep()
    assert (progress.counters.failed, progress.counters.warned) == (3, 2)


def test_what_counts_on(work, tmp_path):
    progress, kept, now = work
    atomic_write(tmp_path / "file", bytes(1000))
    progress.start("proposals", 2)
    now[0] = 5.0
    progress.finish()
    known = Counters.from_record(kept[-1])
    assert known.bytes_written == 1000
    second = CountingProgress(Silent(), known, lambda _: None, lambda: now[0])
    second.begin(4, 0, (), resumed=True)
    second.start("proposals", 2)
    now[0] = 6.0
    second.finish()
    assert known.resumes == 1
    assert known.stages["proposals"].seconds == 6.0
    assert known.bytes_written == 1000
    third = CountingProgress(Silent(), known, lambda _: None)
    third.begin(4, 0, (), resumed=False)
    assert known.stages == {}


def test_an_error_passes_the_end_of_a_stage():
    def full(_):
        raise OutputError("The disk is full")

    progress = CountingProgress(Silent(), Counters(), full)
    progress.start("proposals", 2)
    progress.finish()
    with pytest.raises(OutputError):
        progress.keep()


def test_peak_memory_is_bytes():
    assert 10_000_000 < peak_memory() < 1 << 40


def test_nothing_on_record():
    assert Counters.from_record(None) == Counters()
