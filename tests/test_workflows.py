"""The workflows: bounded, with as few rights as they need, and nothing by a name that can move."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from ruamel.yaml import YAML

FOLDER = Path(__file__).parents[1] / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
WORKFLOWS = {path.stem: YAML(typ="safe").load(path.read_text(encoding="utf-8")) for path in FILES}
JOBS = [(stem, name) for stem, each in WORKFLOWS.items() for name in each["jobs"]]
# who may write what, beyond reading the code
RIGHTS = {
    ("release", "attest"): {"id-token": "write", "attestations": "write"},
    ("release", "publish"): {"id-token": "write"},
    ("release", "announce"): {"contents": "write"},
}


def job(stem, name):
    return WORKFLOWS[stem]["jobs"][name]


def test_there_are_tests_an_audit_and_a_release():
    assert set(WORKFLOWS) == {"audit", "ci", "release"}


@pytest.mark.parametrize(("stem", "name"), JOBS)
def test_every_job_is_bounded_and_has_the_rights_that_it_needs(stem, name):
    assert WORKFLOWS[stem]["permissions"] == {}
    assert 0 < job(stem, name)["timeout-minutes"] <= 60
    expected = RIGHTS.get((stem, name), {"contents": "read"})
    assert job(stem, name)["permissions"] == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_actions_are_named_by_commit_with_their_version_beside_it(path):
    used = re.findall(r"uses: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert used
    for each in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


def test_one_action_has_one_version():
    versions = {}
    for path in FILES:
        for action, pin in re.findall(r"uses: ([\w/-]+)@(.*)$", path.read_text(), re.MULTILINE):
            assert versions.setdefault(action, pin) == pin, action


@pytest.mark.parametrize(("stem", "name"), JOBS)
def test_tests_and_builds_are_targets_of_the_makefile(stem, name):
    steps = [step["run"] for step in job(stem, name)["steps"] if "run" in step]
    for line in steps:
        assert line.startswith(("make ", "gh release ", "google-chrome --version")), line


@pytest.mark.parametrize(("stem", "name"), JOBS)
def test_no_expression_is_pasted_into_a_command(stem, name):
    for step in job(stem, name)["steps"]:
        assert "${{" not in step.get("run", "")
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_suite_runs_on_three_systems_and_all_versions_of_python():
    quick = job("ci", "quick")["strategy"]["matrix"]
    assert set(quick["os"]) == {"ubuntu-latest", "macos-latest", "windows-latest"}
    tried = job("release", "try")["strategy"]["matrix"]
    assert set(tried["os"]) == set(quick["os"])
    project = (FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    stated = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    assert quick["python"] == stated


def test_nothing_is_published_before_it_was_tried():
    jobs = WORKFLOWS["release"]["jobs"]
    order = {name: each.get("needs") for name, each in jobs.items()}
    assert order == {
        "build": None,
        "try": "build",
        "attest": "try",
        "publish": "attest",
        "announce": "publish",
    }
    assert jobs["publish"]["environment"] == "release"
    assert "secrets." not in (FOLDER / "release.yml").read_text(encoding="utf-8")


def test_an_auditor_of_workflows_finds_nothing():
    program = shutil.which("zizmor", path=sysconfig.get_path("scripts")) or shutil.which("zizmor")
    if program is None:
        pytest.skip("zizmor is not on this machine")
    done = subprocess.run(
        [program, "--offline", "--no-progress", "--format", "plain", str(FOLDER)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
