"""Killed at a random moment while names are changed: files are whole, old or new, and what had been
said before is there.
"""

import os
import random
import signal
import sys
import time

import pytest

from primaps.naming.corrections import parse_corrections
from primaps.naming.table_text import parse_classes
from primaps.pipeline.classes import default_colours

SEED = int(os.environ.get("PRIMAPS_KILL_SEED", "0"))
NAMING = """
import sys, primaps as pm
from primaps.runs.named_files import NamedFolder
root, start = sys.argv[1], int(sys.argv[2])
pm.classes(root)
print("begun", flush=True)
for number in range(start, start + 100000):
    pm.classes(root, name={number % 3: f"name {number}"}, merge={} if number % 7 else {(3,): "x"})
    named = NamedFolder.find(__import__("pathlib").Path(root))
    with named.lock():
        named.append_corrections(
            '{"id": %d, "image": "a.jpg", "proposal": 1, "class": 1}\\n' % (number + 1)
        )
    print(number, flush=True)
"""


@pytest.fixture
def model_folder(tmp_path):
    import torch

    from primaps.runs.model import Model
    from primaps.types import FitResult

    prototypes = torch.eye(4)
    fit = FitResult(
        prototypes, prototypes.clone(), cosine=False, usage=torch.ones(4, dtype=torch.int64)
    )
    Model(fit, {"name": "texture"}, None, 64, {}, "abc").save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.slow
def test_killed_while_naming(model_folder):
    import subprocess

    generator, done = random.Random(SEED), -1
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", NAMING, str(model_folder), str(done + 1)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "begun\n"
        time.sleep(generator.uniform(0.2, 1.2))
        process.kill()
        told, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL
        numbers = [int(line) for line in told.split("\n")[:-1]]
        before, done = done, max([done, *numbers])
        text = (model_folder / "classes.yaml").read_text()
        names = {each.name for each in parse_classes(text, "F", default_colours()).table.classes}
        for number in range(max(0, done - 2), done + 1):
            assert {f"name {number}", f"name {number + 3}"} & names, (SEED, before, names)
        journal = parse_corrections((model_folder / "corrections.jsonl").read_text(), "F")
        ids = {entry.id for entry in journal.entries}
        assert ids >= set(range(1, done + 2)), (SEED, before)
        done = max(ids) - 1
        for path in (model_folder / "classes-history").glob("*.yaml"):
            parse_classes(path.read_text(), "F", default_colours())
    assert done > 10
