"""What the tests of commands share."""

import pytest
from typer.testing import CliRunner

from primaps.cli import app

FAST = ("--size", "64", "--preset", "fast", "--classes", "3")


@pytest.fixture(scope="session")
def run():
    """Calls the command line: ``run("segment", folder, "--out", out)``."""
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def text():
    """Both streams of a result in one line of words, so that line breaks do not matter."""
    return lambda result: " ".join((result.stdout + result.stderr).split())


@pytest.fixture(scope="session")
def fast():
    """Options that make every stage take well under a second."""
    return FAST
