import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


@pytest.fixture(scope="module")
def tool():
    path = ROOT / "tools" / "kill_workers.py"
    spec = importlib.util.spec_from_file_location("kill_workers", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def outputs(tmp_path):
    """Two folders with equal outputs of two images."""
    for name in ("a", "b"):
        folder = tmp_path / name
        (folder / "shards").mkdir(parents=True)
        (folder / "shards" / "000000.tar").write_bytes(b"tar")
        (folder / "run.json").write_text(name)
        lines = [json.dumps({"name": f"{number}.png"}) for number in range(2)]
        (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "a", tmp_path / "b"


def test_equal_outputs_pass_whatever_their_times(tool, outputs):
    tool.compare(*outputs, images=2)


def test_another_byte_is_found(tool, outputs):
    (outputs[1] / "shards" / "000000.tar").write_bytes(b"tat")
    with pytest.raises(SystemExit, match=r"1 files differ: shards/000000\.tar"):
        tool.compare(*outputs, images=2)


def test_a_lost_image_is_found(tool, outputs):
    with pytest.raises(SystemExit, match="2 lines, 2 names, 3 images"):
        tool.compare(*outputs, images=3)


@pytest.mark.slow
@LINUX
def test_a_command_that_is_killed_and_begun_again_changes_nothing(tool, capsys):
    given = ["--engine", "local", "--kill", "command", "--kills", "1"]
    tool.main([*given, "--images", "60", "--shards", "10"])
    assert "all outputs equal, every image once" in capsys.readouterr().out
