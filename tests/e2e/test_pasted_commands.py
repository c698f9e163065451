"""Each command of a report's "what to do next", pasted into a shell where the run was made."""

import os
import shutil
import signal
import stat
import subprocess
import sys

import pytest
from PIL import Image

from primaps.pipeline.viewing import Viewed
from primaps.runs.store import read_json

FAST = ("--size", "64", "--preset", "fast")
bash = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


@pytest.fixture
def shell(tmp_path):
    """``shell(text)`` in a folder where `primaps` and `python` are these ones."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, module in (("primaps", "-m primaps"), ("python", "")):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    here = tmp_path / "at work"
    here.mkdir()

    def run(text):
        return subprocess.run(
            ["bash", "-c", text],
            cwd=here,
            env={**environment, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    run.here = here
    return run


def advised(run_folder):
    return [each["command"] for each in Viewed(run_folder).record()["advice"] if each["command"]]


def pasted(shell, folder):
    """All commands of a run's report, each on the run as the report found it; not those that serve,
    or need a download.
    """
    commands = advised(folder)
    shutil.copytree(folder, "as it was", symlinks=True)
    for command in commands:
        if command.startswith("primaps studio") or "dinov2" in command:
            continue
        shutil.rmtree(folder)
        shutil.copytree("as it was", folder)
        result = shell(command)
        assert result.returncode == 0, (command, result.stdout, result.stderr)
    return commands


@bash
def test_commands_of_a_usual_run(shell, draw, monkeypatch):
    photos = shell.here / "my photos"
    photos.mkdir()
    for seed in range(3):
        Image.fromarray(draw(seed)).save(photos / f"it's {seed}.png")
    done = shell(
        "primaps segment 'my photos' --out 'a run' --backbone texture --classes 4"
        f" --method clusters {' '.join(FAST)}"
    )
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(shell.here)
    commands = pasted(shell, "a run")
    assert len(commands) == 8
    assert not [each for each in commands if str(shell.here) in each]
    refit = next(each for each in commands if "--overwrite" in each)
    assert shell("primaps classes 'a run' --name 0=road").returncode == 0
    done = shell(refit)
    assert done.returncode == 0, done.stderr
    assert "proposals  " not in done.stderr.replace("fit: proposals", "")  # they are kept
    assert "Names carried over" in done.stderr
    record = read_json(shell.here / "a run/run.json")
    assert record["settings"]["backbone"]["name"] == "texture"
    assert record["config"]["fit"]["method"] == "clusters"


@bash
def test_commands_of_bad_runs(shell, draw, monkeypatch):
    """Far too many classes, two photographs, failures, and more inputs than one types."""
    names = [f"p{number}.png" for number in range(4)]
    for number, name in enumerate(names[:3]):
        Image.fromarray(draw(number)).save(shell.here / name)
    (shell.here / names[3]).write_text("no picture")
    done = shell(
        f"primaps segment {' '.join(names)} --out bad --backbone texture --classes 60"
        f" {' '.join(FAST)}"
    )
    assert done.returncode == 3, done.stderr
    assert "60 classes are many for 3 photographs" in done.stderr
    monkeypatch.chdir(shell.here)
    record = Viewed("bad").record()
    used = {cluster for image in record["images"]["clusters"] for cluster, _ in image} - {255}
    empty = 60 - len(used)
    assert empty > 30
    (warning,) = record["warnings"]
    assert f"Of the 60 classes that were fitted, {empty} have no pixel" in warning
    assert f"{empty} of 60 classes own no part of any image." in done.stderr
    assert any(f"Of 60 classes, {empty} stayed empty." in each["text"] for each in record["advice"])
    assert len(read_json(shell.here / "bad/run.json")["counts"]["dead_clusters"]) == empty
    assert "could not be used: 1" in record["advice"][0]["title"]
    commands = pasted(shell, "bad")
    assert [each for each in commands if "--stored bad" in each]


@bash
def test_the_studio_starts(shell, draw, monkeypatch, tmp_path):
    pytest.importorskip("starlette")
    Image.fromarray(draw(0)).save(shell.here / "p.png")
    run = shell(f"primaps segment p.png --out r --backbone texture --classes 2 {' '.join(FAST)}")
    assert run.returncode == 0, run.stderr
    monkeypatch.chdir(shell.here)
    (command,) = [each for each in advised("r") if "studio" in each]
    environment = {**os.environ, "PATH": f"{tmp_path / 'programs'}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen(
        ["bash", "-c", f"exec {command} --no-browser --port 0"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        assert process.stdout is not None
        assert "http" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in {0, 130}
