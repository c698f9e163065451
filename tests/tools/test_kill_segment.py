"""A few of the kills."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
SOURCE = TOOLS.parent / "src"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="commands are forked, threads counted")
def test_a_few_kills_change_nothing():
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
    found = subprocess.run(
        [
            *(sys.executable, str(TOOLS / "kill_segment.py"), "--kills", "6"),
            *("--images", "4", "--steps", "4"),
        ],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "6 kills in " in found.stdout
    assert "0 wrong" in found.stdout


def test_the_stage_of_a_run_by_its_files(tmp_path):
    sys.path.insert(0, str(TOOLS))
    try:
        from kill_segment import stage_of
    finally:
        sys.path.remove(str(TOOLS))
    seen = [stage_of(tmp_path)]
    for name in ("run.json", "store/manifest.json", "model/model.json", "report.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
        seen.append(stage_of(tmp_path))
    assert seen == ["begin", "proposals", "fit", "label maps and report", "end"]
