from __future__ import annotations

import glob
from pathlib import Path

import pytest

from primaps.data.patterns import expand, has_wildcard, split_pattern
from primaps.errors import DatasetError


def _listing(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.fixture
def tree(tmp_path):
    for name in (
        "a.jpg",
        "b.png",
        "sub/c.jpg",
        "sub/deep/d.jpg",
        "sub/deep/e.txt",
        ".hidden/f.jpg",
        ".g.jpg",
        "other/[1].jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    [
        "*.jpg",
        "*",
        "*/*.jpg",
        "**/*.jpg",
        "**/deep/*",
        "sub/**/*.jpg",
        "s?b/*",
        "[ab].*",
        "*/deep/*",
        ".*",
        ".hidden/*",
        "nothing*",
        "**/*",
    ],
)
def test_same_as_the_standard_library_where_there_are_no_loops(tree, pattern):
    full = str(tree / pattern)
    root, parts = split_pattern(full)
    expected = glob.glob(full, recursive=True)  # noqa: PTH207  hidden files are skipped by this one only
    assert sorted(str(path) for path in expand(root, parts, _listing)) == sorted(
        path.rstrip("/") for path in expected
    )


def test_last_double_star_is_the_folder(tree):
    assert list(expand(tree, ("**",), _listing)) == [tree]


def test_loops_of_links_end(tree):
    (tree / "sub" / "loop1").symlink_to(tree)
    (tree / "sub" / "loop2").symlink_to(tree)
    found = list(expand(tree, ("**", "*.jpg"), _listing))
    assert found == [
        tree / "a.jpg",
        tree / "other" / "[1].jpg",
        tree / "sub" / "c.jpg",
        tree / "sub" / "deep" / "d.jpg",
    ]


def test_root_is_the_part_before_the_first_wildcard():
    assert split_pattern("x/y/*/z.jpg") == (Path("x/y"), ("*", "z.jpg"))
    assert split_pattern("*.jpg") == (Path(), ("*.jpg",))
    assert split_pattern("/a/b[0]/**") == (Path("/a"), ("b[0]", "**"))
    assert split_pattern("../x/*")[0] == Path("../x")


def test_parent_step_after_a_wildcard_is_refused():
    with pytest.raises(DatasetError, match=r"without '\.\.' after a wildcard, but got '\*/\.\./x'"):
        split_pattern("*/../x")


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.jpg", False), ("a?.jpg", True), ("[ab]", True), ("a/*", True), ("a]b", False)],
)
def test_has_wildcard(path, expected):
    assert has_wildcard(path) is expected


def test_folders_with_brackets_in_their_names_are_meant_as_they_are(tmp_path):
    for name in ("photos [2023]/a.png", "photos [2023]/b [1].png", "photos 2/c.png", "x?/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def found(pattern):
        root, parts = split_pattern(str(tmp_path / pattern))
        return [path.name for path in expand(root, parts, lambda folder: sorted(folder.iterdir()))]

    assert found("photos [2023]/*.png") == ["a.png", "b [1].png"]
    assert found("*/b [1].png") == ["b [1].png"]
    assert found("*[2023]/*.png") == ["c.png"]
    assert found("x?/*.png") == ["d.png"]
    assert found("photos [2023]/none.png") == []
    assert found("photos [12]/*.png") == ["c.png"]
