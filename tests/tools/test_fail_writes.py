"""A slice of the writes that fail, and the words for what is right."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
SOURCE = TOOLS.parent / "src"


@pytest.fixture(scope="module", autouse=True)
def tools():
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="commands are forked, threads counted")
def test_some_writes_of_some_commands_fail():
    names = ("segment", "export coco", "classes --merge", "corrections", "studio: say")
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
    found = subprocess.run(
        [
            *(sys.executable, str(TOOLS / "fail_writes.py"), "--images", "2"),
            *("--most", "4", "--only", *names),
        ],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert all(f"{name}: " in found.stdout for name in names)


@pytest.mark.parametrize(
    ("kind", "number", "operation", "expected"),
    [
        ("full", 2, "write", None),
        ("full", 3, "write", errno.ENOSPC),
        ("full", 9, "mkdir", errno.ENOSPC),
        ("full", 9, "unlink", None),
        ("read-only", 9, "unlink", errno.EROFS),
        ("broken", 3, "replace", errno.EIO),
        ("broken", 4, "replace", None),
    ],
)
def test_which_operations_fail(kind, number, operation, expected):
    from write_faults.operations import Fault

    assert Fault(3, kind).error(number, operation) == expected


def test_every_operation_is_struck():
    from fail_writes import faults

    told = ("mkdir a", "open b", "write b", "fsync b", "replace c", "unlink b")
    assert {each.number for each in faults(told, every=False)} == set(range(1, 7))
    every = [(each.number, each.kind) for each in faults(told, every=True)]
    assert (3, "full inside") in every
    assert (6, "full") not in every
    assert len(every) == len(set(every))


@pytest.mark.parametrize(
    ("name", "data", "whole"),
    [
        ("a.json", b'{"a": 1}', True),
        ("a.json", b'{"a": ', False),
        ("a.jsonl", b'{"a": 1}\n{"a"', False),
        ("a.png", b"\x89PNG", False),
        ("store/a.safetensors", b"half", False),
        (".0123.primaps-tmp", b"half", True),
    ],
)
def test_halves_are_seen(name, data, whole):
    from fail_writes import is_whole

    assert is_whole(name, data) is whole


def test_files_that_differ():
    from fail_writes import differing

    now = {"a": b"1", "b": b"2", ".x.primaps-tmp": b""}
    assert differing(now, {"a": b"1", "b": b"3", "c": b""}) == ["b", "c"]
