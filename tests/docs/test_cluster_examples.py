"""The scripts of examples/cluster: they parse, and call what they say they do."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

FOLDER = Path(__file__).parents[2] / "examples" / "cluster"
SCRIPTS = sorted(path for path in FOLDER.iterdir() if path.suffix in {".sh", ".sbatch"})
TELL = """#!/usr/bin/env python3
import json, os, sys
with open(os.environ["TOLD"], "a") as told:
    told.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
print("node-a\\nnode-b")
"""


@pytest.fixture
def calls(tmp_path):
    """Run a script with programs that only note how they are called."""
    programs, told = tmp_path / "bin", tmp_path / "told"
    programs.mkdir()
    for name in ("primaps", "ray", "srun", "scontrol"):
        (programs / name).write_text(TELL)
        (programs / name).chmod(0o755)

    def run(script, *arguments, **environment):
        path = {"PATH": f"{programs}:{os.environ['PATH']}", "TOLD": str(told)}
        done = subprocess.run(
            ["bash", str(FOLDER / script), *arguments],
            env={**os.environ, **path, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []

    return run


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_parse(script):
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_say_what_they_lack(script):
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "1: " in done.stderr


def test_environment_of_jobs_is_yaml():
    found = YAML(typ="safe").load(FOLDER / "ray-job.yaml")
    assert found["pip"] == ["primaps[ray,remote]"]
    assert all(isinstance(value, str) for value in found["env_vars"].values())


def test_ray_job_submits_three_commands(calls):
    told = calls("ray-job.sh", "s3://b/photos", "s3://b/out", RUN="/runs/a", SAMPLE="s3://b/p/1")
    assert [call[:3] for call in told] == [["ray", "job", "submit"]] * 3
    commands = [call[call.index("--") + 1 :] for call in told]
    assert [command[:3] for command in commands] == [
        ["primaps", "proposals", "s3://b/p/1"],
        ["primaps", "fit", "s3://b/out/proposals"],
        ["primaps", "predict", "s3://b/photos"],
    ]
    assert commands[1][3:5] == ["--out", "/runs/a"]
    assert commands[2][3:5] == ["--model", "/runs/a"]


def test_ray_on_slurm_starts_at_the_first_node(calls):
    *_, call = calls(
        "slurm-ray.sbatch",
        "run",
        "photos",
        "out",
        SLURM_JOB_NODELIST="node-[a-b]",
        SLURM_JOB_ID="7",
        SLURM_JOB_NUM_NODES="2",
        SLURM_CPUS_PER_TASK="8",
    )
    assert call[:5] == ["srun", "ray", "symmetric-run", "--address", "node-a:20007"]
    assert call[call.index("--") + 1 :][:3] == ["primaps", "predict", "photos"]


def test_a_fit_on_slurm_has_a_process_per_gpu(calls):
    (call,) = calls("slurm-fit.sbatch", "a run", "--classes", "9", SLURM_GPUS_ON_NODE="4")
    assert call[:5] == ["srun", "torchrun", "--standalone", "--nproc-per-node", "4"]
    assert call[5:] == ["-m", "primaps", "fit", "a run", "--device", "cuda", "--classes", "9"]


def test_tasks_of_an_array_share_the_inputs(calls, tmp_path):
    listed = tmp_path / "inputs.txt"
    listed.write_text("a.tar\nb.tar\nwith space.tar\nd.tar\n")
    where = {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "3", "SLURM_CPUS_PER_TASK": "2"}
    for task in ("1", "2", "3"):
        told = calls(
            "slurm-array.sbatch", "run", str(listed), "out", SLURM_ARRAY_TASK_ID=task, **where
        )
    inputs = [call[2 : call.index("--model")] for call in told]
    assert inputs == [["a.tar", "d.tar"], ["b.tar"], ["with space.tar"]]
    assert [call[call.index("--out") + 1] for call in told] == [
        "out/part-00000",
        "out/part-00001",
        "out/part-00002",
    ]


def test_a_task_without_inputs_ends_well(calls, tmp_path):
    (tmp_path / "inputs.txt").write_text("a.tar\n")
    where = {"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "1", "SLURM_CPUS_PER_TASK": "2"}
    listed = str(tmp_path / "inputs.txt")
    assert not calls("slurm-array.sbatch", "run", listed, "out", SLURM_ARRAY_TASK_ID="1", **where)
