import datetime as dt
import json
import re
import shutil

import numpy as np
import pytest
import typer
from PIL import Image
from rich.console import Console

from primaps.cli import terminal
from primaps.cli.log_json import JsonLog, present_log
from primaps.cli.terminal import TerminalProgress

OPTIONS = ("--backbone", "texture", "--size", "64", "--preset", "fast", "--classes", "3")


def events(text):
    return [json.loads(line) for line in text.splitlines()]


def without_numbers(words):
    lines = [line for line in words.splitlines() if not line.startswith("Compiling")]
    return [re.sub(r"[\d.]+", "1", line) for line in lines]


def kinds(found):
    return [each["event"] for each in found]


@pytest.fixture
def folder(tmp_path, draw):
    """Three photographs, one of them of 16 bits, and a file that is none."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(2):
        Image.fromarray(draw(seed)).save(photos / f"{seed}.png")
    Image.fromarray(draw(2)[..., 0].astype(np.uint16) * 200).save(photos / "deep.png")
    (photos / "text.jpg").write_text("no picture")
    return photos


def test_a_run_in_events(run, folder, tmp_path):
    log = tmp_path / "logs" / "run.jsonl"
    arguments = ("segment", folder, "--out", tmp_path / "run", *OPTIONS)
    plain = run(*arguments)
    shutil.rmtree(tmp_path / "run")
    result = run(*arguments, "--log-json", log)
    assert result.exit_code == plain.exit_code == 3
    assert without_numbers(result.stderr) == without_numbers(plain.stderr)
    found = events(log.read_text(encoding="ascii"))
    assert found[0]["command"] == "primaps segment"
    assert found[-1]["event"] == "end"
    assert found[-1]["exit_code"] == 3
    assert found[-1]["level"] == "warning"
    begun = [each["stage"] for each in found if each["event"] == "stage_begin"]
    ended = [each["stage"] for each in found if each["event"] == "stage_end"]
    assert begun == ended
    assert {"proposals", "label maps", "report"} <= set(begun)
    (failed,) = [each for each in found if each["event"] == "image_failed"]
    assert failed["image"] == str(folder / "text.jpg")
    assert failed["level"] == "warning"
    warned = [each for each in found if each["event"] == "image_warning"]
    assert [each["image"] for each in warned] == ["deep.png"]
    done = next(each for each in found if each["event"] == "stage_end")
    assert (done["done"], done["total"]) == (4, 4)
    for each in found:
        assert dt.datetime.fromisoformat(each["time"]).utcoffset() == dt.timedelta(0)
        assert each["level"] in {"info", "warning", "error"}


def test_standard_error_holds_nothing_else(run, folder, tmp_path):
    result = run("segment", folder, "--out", tmp_path / "run", *OPTIONS, "--log-json", "-")
    assert result.exit_code == 3
    assert kinds(events(result.stderr))[-1] == "end"
    assert "Report:" in result.stdout


def test_errors_are_events_and_further_runs_are_appended(run, folder, tmp_path):
    log = tmp_path / "log"
    for _ in range(2):
        result = run("segment", folder, "--out", folder, *OPTIONS, "--log-json", log)
        assert result.exit_code == 2
    found = events(log.read_text(encoding="ascii"))
    assert kinds(found) == ["start", "error", "end"] * 2
    assert "another folder than the images" in found[1]["text"]
    assert found[2]["exit_code"] == 2
    assert found[2]["level"] == "error"


def test_a_log_that_cannot_be_written_is_refused_first(run, folder, tmp_path):
    result = run("segment", folder, "--out", tmp_path / "run", *OPTIONS, "--log-json", tmp_path)
    assert result.exit_code == 1
    assert "Give --log-json another file" in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()


def test_no_log_without_the_option(run, folder, tmp_path):
    run("segment", folder, "--out", tmp_path / "run", *OPTIONS, "--log-json", tmp_path / "log")
    before = (tmp_path / "log").read_bytes()
    run("report", tmp_path / "run")
    assert (tmp_path / "log").read_bytes() == before
    assert present_log() is None


def test_a_stage_at_work_tells_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(terminal, "present_log", lambda: JsonLog(stream))
    with (tmp_path / "log").open("w+") as stream, (tmp_path / "words").open("w") as words:
        now = [0.0]
        progress = TerminalProgress(Console(file=words), clock=lambda: now[0])
        progress.start("proposals", 100, done=3)
        for now[0] in (1.0, 14.0, 15.5, 20.0, 31.0):
            progress.advance()
        progress.finish()
        stream.seek(0)
        found = events(stream.read())
    assert kinds(found) == ["stage_begin", "progress", "progress", "stage_end"]
    assert [each.get("done") for each in found] == [3, 6, 8, 8]
    assert found[1]["seconds"] == 15.5


def test_a_full_disk_ends_the_log_only(capsys):
    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

    log = JsonLog(Full())
    log.write("note", text="a")
    log.write("note", text="b")
    log.end(0)
    assert capsys.readouterr().err.count("The log of --log-json ends here") == 1


def test_every_long_command_has_it():
    from primaps.cli import app

    commands = typer.main.get_command(app).commands
    for name in ("segment", "proposals", "fit", "predict", "export", "evaluate", "benchmark"):
        assert "log_json" in {each.name for each in commands[name].params}, name
