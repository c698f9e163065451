import pytest

from primaps.cli.pace import Pace, in_words


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def work(pace, clock, steps, seconds):
    for _ in range(steps):
        clock.now += seconds
        pace.advance(1)


def test_nothing_is_said_before_something_is_known(clock):
    pace = Pace(10, 0, clock)
    assert pace.rate() is pace.remaining() is None
    work(pace, clock, 1, 20.0)  # the first step, in which loops are compiled
    clock.now += 5
    assert pace.rate() is None
    work(pace, clock, 1, 0.0)
    assert pace.rate() == pytest.approx(1 / 5)
    assert pace.remaining() == pytest.approx(8 * 5)


def test_two_steps_at_once_give_no_rate(clock):
    pace = Pace(60, 0, clock)
    work(pace, clock, 3, 0.0001)
    assert pace.rate() is None


def test_steps_of_an_earlier_run_do_not_count(clock):
    pace = Pace(100, 90, clock)
    work(pace, clock, 5, 1.0)
    assert pace.rate() == pytest.approx(1.0)
    assert pace.remaining() == pytest.approx(5.0)


def test_the_rate_is_that_of_the_last_half_minute(clock):
    pace = Pace(1000, 0, clock)
    work(pace, clock, 100, 0.1)
    work(pace, clock, 35, 1.0)
    assert pace.rate() == pytest.approx(1.0)
    assert pace.remaining() == pytest.approx(865)


def test_the_rate_falls_while_nothing_happens(clock):
    pace = Pace(100, 0, clock)
    work(pace, clock, 21, 0.5)
    seen = []
    for _ in range(4):
        seen.append(pace.rate())
        clock.now += 5
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < seen[0] / 2


def test_steps_longer_than_the_window_have_a_rate_too(clock):
    pace = Pace(10, 0, clock)
    work(pace, clock, 4, 60.0)
    assert pace.rate() == pytest.approx(1 / 60)
    clock.now += 45
    assert pace.rate() == pytest.approx(3 / 225)
    assert pace.elapsed() == pytest.approx(285)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (7.4, "7 s"),
        (38, "40 s"),
        (58, "1 min"),
        (95, "2 min"),
        (3550, "59 min"),
        (3700, "1 h"),
        (4900, "1 h 20 min"),
    ],
)
def test_durations_as_one_says_them(seconds, words):
    assert in_words(seconds) == words


def test_long_durations_are_round():
    assert in_words(11.6 * 3600) == "12 h"
