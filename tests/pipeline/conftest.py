"""A small finished run that many tests need, made once."""

import shutil

import pytest


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, segment_four):
    """Folder of a run over four photographs with four clusters."""
    return segment_four(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def named_run(finished_run, tmp_path):
    """A copy of it to name things in."""
    return shutil.copytree(finished_run, tmp_path / "run")
