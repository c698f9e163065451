"""The targets of the Makefile: all of them explained, and none called that does not exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PHONY = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split())
EXPLAINED = set(re.findall(r"^([a-z-]+):.*## \S", MAKEFILE, re.MULTILINE))


def test_help_lists_every_target():
    assert EXPLAINED == PHONY


@pytest.mark.parametrize(
    ("page", "pattern"),
    [
        (".github/workflows/ci.yml", r"run: make ([a-z-]+)"),
        (".github/workflows/audit.yml", r"run: make ([a-z-]+)"),
        (".github/workflows/release.yml", r"run: make ([a-z-]+)"),
        ("docs/how-to/release.md", r"^ *make ([a-z-]+)"),
        (".ci/run", r"exec make ([a-z-]+)"),
        ("README.md", r"^make ([a-z-]+)"),
        ("CONTRIBUTING.md", r"^    make ([a-z-]+)"),
        (".github/pull_request_template.md", r"`make ([a-z-]+)"),
    ],
)
def test_targets_that_are_called_exist(page, pattern):
    called = re.findall(pattern, (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert called
    assert set(called) <= PHONY


def test_hooks_fetch_nothing():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"repo: (\S+)", hooks) == ["local"]
    assert set(re.findall(r"language: (\S+)", hooks)) == {"system"}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not on this machine")
def test_without_npm_the_types_of_the_javascript_are_passed_over_and_it_is_said():
    done = subprocess.run(
        ["make", "javascript", "NPM=no-such-npm", "TSC=no-such-tsc"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "The types of the JavaScript are NOT checked: npm is missing" in done.stdout
