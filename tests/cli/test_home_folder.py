from pathlib import Path

import pytest

from primaps.cli.home_folder import at_home


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--out=~/x", "--out=HOME/x"),
        ("~/photos [2023]/*.png", "HOME/photos [2023]/*.png"),
        ("~", "HOME"),
        ("a/~/b", "a/~/b"),
        ("~nobody/x", "~nobody/x"),
        ("--name=3=~/x", "--name=3=~/x"),
        ("3=~/x", "3=~/x"),
        ("--crf", "--crf"),
        ("", ""),
    ],
)
def test_the_home_folder_is_meant_where_a_path_begins(given, expected, monkeypatch, tmp_path):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    assert at_home([given]) == [expected.replace("HOME", str(Path(tmp_path)))]
