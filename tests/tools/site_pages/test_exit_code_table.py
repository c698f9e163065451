"""All exit codes in the reference."""

from primaps.cli.exit_codes import MEANINGS


def test_all_are_there(site_pages):
    lines = site_pages("exit_code_table").exit_codes().splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == list(map(str, MEANINGS))
