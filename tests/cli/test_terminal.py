import io
import re

import pytest
import typer
from rich.console import Console

from primaps.cli.durations import Durations
from primaps.cli.terminal import TerminalProgress, exit_with, make_console, reported_errors
from primaps.errors import (
    BackboneError,
    CheckpointError,
    ConfigError,
    DatasetError,
    ImageError,
    MissingExtraError,
    OutputError,
    PrimapsError,
)
from primaps.types import Failure


class Clock:
    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


@pytest.fixture
def written():
    return io.StringIO()


@pytest.fixture
def pipe(written):
    """A console that is no terminal, such as a log file."""
    return Console(file=written, force_terminal=False, width=80)


@pytest.fixture
def terminal(written):
    return Console(
        file=written,
        force_terminal=True,
        force_interactive=True,
        width=100,
        _environ={"TERM": "xterm"},
    )


def screen_text(written):
    """What was written, without control sequences; frames stand one after the other."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue())


def work(progress, stage, total):
    progress.start(stage, total)
    for _ in range(total):
        progress.advance()
    progress.finish()


def test_without_a_terminal_one_line_per_stage(pipe, written):
    progress = TerminalProgress(pipe)
    work(progress, "proposals", 3)
    work(progress, "fit: em", 2)
    lines = written.getvalue().split("\n")
    assert re.fullmatch(r"proposals {8}3 in \d+\.\d s", lines[0])
    assert re.fullmatch(r"fit: em {10}2 in \d+\.\d s", lines[1])
    assert lines[2:] == [""]


def test_a_stage_ends_when_the_next_one_starts(pipe, written):
    progress = TerminalProgress(pipe)
    progress.start("proposals", 4)
    progress.advance(4)
    progress.start("label maps", 4)
    assert written.getvalue().startswith("proposals        4 in")
    assert written.getvalue().count("\n") == 1


def test_finishing_twice_or_too_early_says_nothing(pipe, written):
    progress = TerminalProgress(pipe)
    progress.finish()
    work(progress, "report", 1)
    progress.finish()
    assert written.getvalue().count("\n") == 1


def test_a_stage_without_work_is_passed_over(pipe, written):
    work(TerminalProgress(pipe), "proposals", 0)
    assert not written.getvalue()


def test_an_unfinished_stage_says_how_far_it_came(pipe, written):
    progress = TerminalProgress(pipe)
    progress.start("proposals", 10)
    progress.advance(3)
    progress.finish()
    assert written.getvalue().startswith("proposals        3 in")


def last_frame(progress, written):
    progress._bars.refresh()
    return " ".join(screen_text(written).replace("\r", "\n").splitlines()[-1].split())


def test_a_terminal_shows_a_bar_with_rate_and_remaining_time_and_then_one_line(terminal, written):
    clock = Clock()
    progress = TerminalProgress(terminal, clock)
    progress.start("proposals", 40)
    assert re.fullmatch(r"proposals [━╸╺ ]+ 0/40 job 0:00", last_frame(progress, written))
    for _ in range(11):
        progress.advance()
        clock.now += 2
    bar = last_frame(progress, written)
    assert re.fullmatch(r"proposals [━╸╺ ]+ 11/40 2.2 s each · 1 min left · job 0:22", bar), bar
    before = screen_text(written)
    progress.finish()
    last = screen_text(written).removeprefix(before).splitlines()[-1]
    assert last == "proposals        11 in 22.0 s"
    # the frame is wiped before the line is written, and the cursor comes back
    assert "\x1b[2K" in written.getvalue()
    assert written.getvalue().rindex("\x1b[?25h") > written.getvalue().rindex("\x1b[?25l")


def test_a_job_of_several_stages_tells_numbers_and_what_is_left_of_it(terminal, written, tmp_path):
    clock, durations = Clock(), Durations(tmp_path / "durations.json")
    durations.keep("kind", 10, {"proposals": 100.0, "fit": 300.0})
    progress = TerminalProgress(terminal, clock, durations)
    progress.plan(("proposals", "fit"), "kind", 10)
    progress.start("proposals", 10)
    clock.now += 3
    frame = last_frame(progress, written)
    assert re.fullmatch(r"1 of 2 proposals [━╸╺ ]+ 0/10 job 0:03, about 7 min left", frame), frame
    progress.advance(10)
    progress.start("fit: em", 200)
    clock.now += 3700
    frame = last_frame(progress, written)
    assert re.fullmatch(r"2 of 2 fit: em [━╸╺ ]+ 0/200 job 1:01:43", frame), frame
    progress.finish()


@pytest.mark.parametrize("compiled", [False, True])
def test_a_job_in_which_loops_were_compiled_is_not_remembered(
    pipe, tmp_path, monkeypatch, compiled
):
    monkeypatch.setattr("primaps.cli.terminal.compilation_was_told", lambda: compiled)
    clock, durations = Clock(), Durations(tmp_path / "durations.json")
    progress = TerminalProgress(pipe, clock, durations)
    progress.plan(("proposals", "report"), "kind", 3)
    for stage in ("proposals", "report"):
        progress.start(stage, 3)
        clock.now += 4
        progress.advance(3)
        progress.finish()
    assert durations.expected("kind", 3) == ({} if compiled else {"proposals": 4.0, "report": 4.0})


def test_a_narrow_terminal_takes_from_the_bar(written, tmp_path):
    narrow = Console(
        file=written,
        force_terminal=True,
        force_interactive=True,
        width=80,
        _environ={"TERM": "xterm"},
    )
    clock, durations = Clock(), Durations(tmp_path / "durations.json")
    durations.keep("kind", 10, {"proposals": 100.0, "fit": 300.0})
    progress = TerminalProgress(narrow, clock, durations)
    progress.plan(("proposals", "fit"), "kind", 10)
    progress.start("proposals", 30000)
    for _ in range(101):
        clock.now += 0.5
        progress.advance(120)
    frame = last_frame(progress, written)
    assert re.fullmatch(
        r"1 of 2 proposals [━╸╺ ]+ 12120/30000 24\d/s · 1 min left · job 0:50, about 6 min left",
        frame,
    ), frame
    progress.finish()


def test_resumed_steps_fill_the_bar_but_make_no_rate(terminal, written):
    clock = Clock()
    progress = TerminalProgress(terminal, clock)
    progress.start("fit: em", 200, 150)
    assert re.fullmatch(r"fit: em [━╸╺ ]+ 150/200 job 0:00", last_frame(progress, written))
    for _ in range(5):
        clock.now += 1
        progress.advance()
    assert "155/200 1/s · 45 s left" in last_frame(progress, written)
    progress.finish()
    assert screen_text(written).splitlines()[-1].endswith("fit: em          5 in 5.0 s")


def test_without_a_terminal_lines_carry_the_number_of_the_stage(pipe, written):
    progress = TerminalProgress(pipe, Clock())
    progress.plan(("proposals", "fit", "report"))
    for stage in ("proposals", "fit: pca", "fit: em", "report", "another"):
        work(progress, stage, 3)
    assert written.getvalue().splitlines() == [
        "1 of 3 proposals        3 in 0.0 s",
        "2 of 3 fit: pca         3 in 0.0 s",
        "2 of 3 fit: em          3 in 0.0 s",
        "3 of 3 report           3 in 0.0 s",
        "another                 3 in 0.0 s",
    ]


def test_notes_stay_on_one_line_and_are_taken_literally(pipe, written):
    note = "12 images to do; [about] " + "very " * 40 + "many"
    TerminalProgress(pipe).note(note)
    assert written.getvalue() == note + "\n"


def test_a_note_during_a_stage_appears_above_the_bar(terminal, written):
    progress = TerminalProgress(terminal)
    progress.start("fit", 2)
    progress.note("3 classes own nothing")
    progress.finish()
    assert "3 classes own nothing\n" in screen_text(written)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError, 2),
        (BackboneError, 2),
        (CheckpointError, 2),
        (MissingExtraError, 2),
        (PrimapsError, 1),
        (DatasetError, 1),
        (ImageError, 1),
        (OutputError, 1),
    ],
)
def test_errors_for_the_user_become_a_message_and_an_exit_code(error, code, pipe, written):
    with pytest.raises(typer.Exit) as caught, reported_errors(pipe):
        raise error("Expected [size] to be 1 or more, but got 0.")
    assert caught.value.exit_code == code
    assert written.getvalue() == "Error: Expected [size] to be 1 or more, but got 0.\n"


def test_interruption_is_130_and_says_how_to_go_on(pipe, written):
    with pytest.raises(typer.Exit) as caught, reported_errors(pipe):
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130
    assert written.getvalue() == "Stopped; resumable: run the same command again to resume.\n"


def test_bugs_are_not_hidden(pipe, written):
    with pytest.raises(ZeroDivisionError), reported_errors(pipe):
        raise ZeroDivisionError
    assert not written.getvalue()


def test_success_and_chosen_exit_codes_pass_through(pipe, written):
    with reported_errors(pipe):
        pass
    with pytest.raises(typer.Exit) as caught, reported_errors(pipe):
        raise typer.Exit(3)
    assert caught.value.exit_code == 3
    assert not written.getvalue()


def test_file_names_that_are_no_text_can_be_printed(pipe, written):
    with pytest.raises(typer.Exit), reported_errors(pipe):
        raise ImageError("caf\udce9.jpg cannot be read")
    assert written.getvalue() == "Error: caf\\udce9.jpg cannot be read\n"


def test_the_console_writes_to_standard_error(capsys):
    make_console().print("words")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "words\n")


def test_failures_end_with_exit_code_3_and_the_first_ones_are_named(capsys):
    failures = [Failure(f"{number}.png", "read", f"reason {number}") for number in range(12)]
    with pytest.raises(typer.Exit) as ended:
        exit_with(failures, "; see failures.jsonl")
    assert ended.value.exit_code == 3
    printed = capsys.readouterr().err
    assert printed.startswith("12 inputs could not be used; see failures.jsonl:")
    assert "9.png: reason 9" in printed
    assert "10.png" not in printed


def test_one_failure_is_one_input(capsys):
    with pytest.raises(typer.Exit):
        exit_with([Failure("x.png", "read", "reason")])
    assert capsys.readouterr().err.startswith("1 input could not be used:")


def test_no_failure_no_exit(capsys):
    exit_with([])
    assert capsys.readouterr().err == ""
