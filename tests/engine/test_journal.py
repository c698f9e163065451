import pytest

from primaps.engine.journal import (
    DEADLY,
    IDLE_DEATHS,
    Attempts,
    Death,
    read_attempts,
    write_attempts,
)
from primaps.errors import CheckpointError, ProcessError
from primaps.shards.places import place_of

ALONE = Death(("a.png",), "signal SIGSEGV")


def test_images_in_work_when_a_worker_dies_are_suspects():
    known = Attempts().after(Death(("b.png", "a.png"), "signal SIGKILL"))
    assert known.suspects == {"a.png": 0, "b.png": 0}
    assert not known.quarantined


def test_a_suspect_that_ends_workers_alone_is_set_aside():
    known = Attempts().after(ALONE)
    for _ in range(DEADLY - 1):
        known = known.after(ALONE)
        assert "a.png" in known.suspects
    known = known.after(ALONE)
    assert not known.suspects
    assert f"{DEADLY} times" in known.quarantined["a.png"]
    assert "signal SIGSEGV" in known.quarantined["a.png"]


def test_suspects_that_die_with_others_are_not_blamed():
    both = Death(("a.png", "b.png"), "signal SIGKILL")
    assert Attempts().after(both).after(both).suspects == {"a.png": 0, "b.png": 0}


def test_an_image_beyond_a_limit_is_set_aside_when_it_is_alone():
    slow = Death(("a.png",), "too slow", "It took longer.")
    known = Attempts().after(slow)
    assert known.suspects == {"a.png": 0}
    assert known.after(slow).quarantined == {"a.png": "It took longer."}


def test_deaths_with_nothing_in_work_end_the_command():
    idle, known = Death((), "signal SIGKILL"), Attempts()
    for _ in range(IDLE_DEATHS - 1):
        known = known.after(idle)
    with pytest.raises(ProcessError, match=r"12 times with no image in work \(signal SIGKILL\)"):
        known.after(idle)


def test_an_image_in_work_ends_the_row_of_idle_deaths():
    known = Attempts().after(Death((), "signal SIGKILL")).after(ALONE)
    assert known.idle == 0


def test_attempts_are_kept_and_read(tmp_path):
    place = place_of(tmp_path)
    known = Attempts({"ä.png": 1}, {"b.png": "It ended the worker."})
    write_attempts(place, 7, known)
    assert read_attempts(place, 7) == known
    assert read_attempts(place, 8) == Attempts()


def test_damaged_attempts_are_refused(tmp_path):
    place = place_of(tmp_path)
    place.write("attempts/000000.json", b'{"format": "other"}')
    with pytest.raises(CheckpointError, match=r"earlier attempts.*Delete it"):
        read_attempts(place, 0)
