from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.data.image_names import Namer, absolute

_FOLDERS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(
    lambda parts: Path("/", *parts)
)


def test_one_root_gives_relative_paths():
    root = Path("/data/photos")
    assert Namer([root], [root]).name(root, root / "a" / "b.jpg") == "a/b.jpg"


def test_several_roots_are_told_apart_by_their_folder_names():
    roots = [Path("/data/street"), Path("/data/forest")]
    namer = Namer(roots, roots)
    assert namer.name(roots[0], roots[0] / "a.jpg") == "street/a.jpg"
    assert namer.name(roots[1], roots[1] / "a.jpg") == "forest/a.jpg"


def test_equal_folder_names_get_more_parents_and_others_do_not():
    roots = [Path("/x/one/images"), Path("/x/two/images"), Path("/x/other")]
    namer = Namer(roots, roots)
    assert [namer.name(root, root / "a.jpg") for root in roots] == [
        "one/images/a.jpg",
        "two/images/a.jpg",
        "other/a.jpg",
    ]


def test_root_inside_an_input_folder_belongs_to_it():
    outer, inner = Path("/x/outer"), Path("/x/outer/sub/inner")
    assert Namer([outer, inner], [outer]).name(inner, inner / "a.jpg") == "sub/inner/a.jpg"


def test_file_system_root_has_a_label():
    roots = [Path("/"), Path("/x")]
    assert Namer(roots, []).name(roots[0], Path("/a.jpg")) == "root/a.jpg"


def test_label_that_begins_with_another_label_is_told_apart():
    # "p/b" (of /1/p/b, beside /2/b) and "p" (of /3/p) would both give p/b/x.jpg
    roots = [Path("/1/p/b"), Path("/2/b"), Path("/3/p")]
    namer = Namer(roots, [])
    names = {
        namer.name(roots[0], roots[0] / "x.jpg"),
        namer.name(roots[2], roots[2] / "b" / "x.jpg"),
    }
    assert len(names) == 2


@settings(deadline=None)
@given(st.lists(_FOLDERS, min_size=1, max_size=8), st.data())
def test_names_are_unique_relative_and_independent_of_the_order(roots, data):
    folders = data.draw(st.lists(st.sampled_from(roots), unique=True))
    found = [(root, root / rest) for root in roots for rest in ("x.jpg", "a/x.jpg", "b/c/x.jpg")]
    namer, shuffled = Namer(roots, folders), Namer(data.draw(st.permutations(roots)), folders)
    owners: dict[str, Path] = {}
    for root, path in found:
        name = namer.name(root, path)
        assert owners.setdefault(name, path) == path
        assert name == shuffled.name(root, path)
        assert not name.startswith("/")
        assert name.endswith("/x.jpg") or name == "x.jpg"


def test_absolute_has_no_parent_steps(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    assert absolute(Path("../a/./b")) == (tmp_path / "a" / "b").resolve()
    assert absolute(Path()) == tmp_path / "a"


def test_absolute_follows_links_before_it_steps_up(tmp_path):
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    assert absolute(tmp_path / "link" / ".." / "x") == (tmp_path / "real" / "x").resolve()
    assert absolute(tmp_path / "link" / "x") == tmp_path / "link" / "x"
