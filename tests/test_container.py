"""The Dockerfile, as far as it can be checked without an engine."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = DOCKERFILE.split("\nFROM ")[1:]


def test_a_linter_finds_nothing():
    program = shutil.which("hadolint", path=sysconfig.get_path("scripts")) or shutil.which(
        "hadolint"
    )
    if program is None:
        pytest.skip("hadolint is not on this machine")
    done = subprocess.run(
        [program, "--no-color", str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_what_builds_stays_behind_and_nobody_is_root():
    build, last = STAGES
    assert "pip install" in build
    assert "pip install" not in last
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["1000"]
    assert 'ENTRYPOINT ["primaps"]' in last


def test_the_index_of_pytorch_is_an_argument_without_a_value():
    assert '\nARG TORCH_INDEX=""\n' in DOCKERFILE
    assert not re.search(r"https?:", DOCKERFILE)


def test_what_is_copied_is_what_the_engine_is_given():
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    needed = {name for line in copied for name in line.split()}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == needed
    assert all((ROOT / name).exists() for name in needed)
    assert "*" in ignored
