import subprocess
import sys

import pytest

from primaps.engine.limits import Limits
from primaps.errors import ConfigError

GREEDY = """
import numpy as np
from primaps.engine.limits import limit_memory
limit_memory(50_000_000)
np.ones(2_000_000)
try:
    np.ones(20_000_000)
except MemoryError:
    print("refused")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="enforced by Linux")
def test_an_allocation_beyond_the_limit_fails():
    done = subprocess.run(
        [sys.executable, "-c", GREEDY], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("refused\n", "")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"seconds": 0}, "--max-seconds above 0"),
        ({"memory": 100_000}, r"--max-memory to be 0\.03 \(GB\) or more, but got 0\.0001"),
    ],
)
def test_impossible_limits_are_refused(values, told):
    with pytest.raises(ConfigError, match=told):
        Limits(**values)


def test_memory_is_not_limited_where_the_system_cannot(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError, match="Expected Linux for --max-memory"):
        Limits(memory=10**9)
