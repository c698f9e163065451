"""The exit codes are told where people look."""

from typer.testing import CliRunner

from primaps.cli import app
from primaps.cli.exit_codes import MEANINGS


def test_the_help_tells_all_of_them():
    text = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    for code, meaning in MEANINGS.items():
        assert f"{code} {meaning}" in text
