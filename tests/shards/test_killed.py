"""Writers that are killed at any moment."""

import signal
import subprocess
import sys
import time

import pytest

from primaps.shards.places import place_of

WRITER = """
import sys
from pathlib import Path
from primaps.shards.places import place_of
place, source = place_of(sys.argv[1]), Path(sys.argv[2])
print("begun", flush=True)
while True:
    place.publish("shards/000000.tar", source)
    place.write("shards/000000.json", b"{" + b" " * 1_000_000 + b"}")
"""


@pytest.mark.slow
def test_a_killed_writer_never_leaves_a_readable_half(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 40_000)
    place = place_of(tmp_path / "out")
    for moment in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, place.url, str(source)], stdout=subprocess.PIPE
        ) as writer:
            writer.stdout.readline()
            time.sleep(0.011 * moment)
            writer.send_signal(signal.SIGKILL)
        for name in place.names("shards"):
            if name.endswith(".tar"):
                assert place.read(f"shards/{name}") == source.read_bytes()
            else:
                assert place.size(f"shards/{name}") == 1_000_002
    assert place.names("shards") == ["000000.json", "000000.tar"]
