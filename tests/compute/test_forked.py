import multiprocessing
import subprocess
import sys

import pytest

FORKING = """
import multiprocessing
import sys
import numpy as np
import torch
import primaps as pm

torch.set_num_threads(2)
backbone = pm.load_backbone("texture", device="cpu")
image = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)

def features(threads):
    if threads:
        torch.set_num_threads(threads)
    try:
        return float(backbone.extract(image).sum())
    except pm.PrimapsError as error:
        return type(error).__name__ + str(error)

if __name__ == "__main__":
    if sys.argv[1] == "first":
        features(0)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.map(features, [int(sys.argv[2])])[0])
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.parametrize(
    ("before", "threads", "refused"), [("first", 0, True), ("first", 1, False), ("not", 0, False)]
)
def test_a_forked_worker_ends_with_an_error_instead_of_waiting(tmp_path, before, threads, refused):
    path = tmp_path / "forking.py"
    path.write_text(FORKING)
    command = [sys.executable, str(path), before, str(threads)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    if refused:
        assert "ProcessError" in result.stdout
        assert "get_context('spawn')" in result.stdout
    else:
        assert float(result.stdout)
