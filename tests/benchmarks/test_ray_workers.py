import argparse

import pytest


@pytest.mark.slow
def test_a_run_tells_seconds_and_a_rate(tmp_path):
    import ray_workers

    ray_workers.draw_images(tmp_path / "images", 6)
    given = argparse.Namespace(engine="local", backbone="texture", shards=2)
    found = ray_workers.measure(tmp_path / "images", tmp_path / "out", given, 1)
    assert found.seconds > 0
    assert found.rate > 0
