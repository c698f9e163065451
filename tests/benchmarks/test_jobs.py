import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MEASURE = """
import sys
from jobs import run_job
for program in ("print('done')", "b = bytearray(3 * 10**8); b[::4096] = b[::4096]", ""):
    usage = run_job([sys.executable, "-c", program])
    print(round(usage.peak_mib), 0 < usage.cpu_seconds < 60, usage.output.strip())
"""


def test_a_job_is_measured_by_itself():
    """In a process of its own: this one is large, and its children are counted from its size on."""
    path = {"PYTHONPATH": str(Path(__file__).parents[2] / "benchmarks")}
    printed = subprocess.run(
        [sys.executable, "-c", MEASURE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **path},
    )
    small, large, again = (line.split(" ") for line in printed.stdout.splitlines())
    assert small[1:] == ["True", "done"]
    assert int(large[0]) > int(small[0]) + 200
    assert int(again[0]) < int(large[0]) - 200  # not the largest of all children so far


def test_a_failing_job_shows_what_it_said():
    from jobs import run_job

    with pytest.raises(SystemExit, match="ended with 3:\nwhy"):
        run_job([sys.executable, "-c", "print('why'); raise SystemExit(3)"])


def test_drawn_photographs_differ_and_are_drawn_again_alike(tmp_path):
    from jobs import draw_photographs, drawn

    draw_photographs(tmp_path / "few", 3, 32, 48)
    files = sorted((tmp_path / "few").iterdir())
    assert len({file.read_bytes() for file in files}) == 3
    assert drawn(1, 32, 48).shape == (32, 48, 3)
    np.testing.assert_array_equal(drawn(1, 32, 48), drawn(1, 32, 48))
