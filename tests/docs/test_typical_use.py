"""User code passes a strict type check."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_typical_code_passes_the_strict_type_check(tmp_path):
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path)]
    command += [
        "--config-file",
        str(ROOT / "pyproject.toml"),
        str(Path(__file__).parent / "typical_use.py"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stdout
