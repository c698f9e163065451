import secrets

import pytest

from primaps.errors import OutputError
from primaps.shards.copying import copy_images, is_copied
from primaps.shards.places import place_of
from primaps.shards.references import list_references
from primaps.shards.tar_files import write_tar


@pytest.fixture
def references(tmp_path):
    """Three images in an object store, one in a tar file, one on disk."""
    place = place_of(f"memory://{secrets.token_hex(8)}/in")
    for name in ("a.jpg", "b/c.jpg"):
        place.write(name, name.encode())
    write_tar(tmp_path / "x.tar", [("d.jpg", b"d.jpg")])
    place.publish("x.tar", tmp_path / "x.tar")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "e.jpg").write_bytes(b"e.jpg")
    return list_references([place.url, tmp_path / "photos"]).references


def test_images_are_copied_under_their_names(references, tmp_path):
    told = []
    assert copy_images(references, tmp_path / "out", told.append) == []
    found = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == {
        "in/a.jpg": b"a.jpg",
        "in/b/c.jpg": b"b/c.jpg",
        "in/x/d.jpg": b"d.jpg",
        "photos/e.jpg": b"e.jpg",
    }
    assert sum(told) == 4
    assert all(is_copied(each, tmp_path / "out" / each.name) for each in references)


def test_what_is_there_stays(references, tmp_path):
    copy_images(references, tmp_path)
    path = tmp_path / references[0].name
    inode = path.stat().st_ino
    (tmp_path / references[1].name).write_bytes(b"other content")
    assert not is_copied(references[1], tmp_path / references[1].name)
    copy_images(references, tmp_path)
    assert path.stat().st_ino == inode
    assert (tmp_path / references[1].name).read_bytes() == b"b/c.jpg"


def test_what_is_gone_is_a_failure(references, tmp_path):
    place_of(references[0].url).remove("")
    (failure,) = copy_images(references, tmp_path / "out")
    assert failure.path == references[0].url
    assert not (tmp_path / "out" / references[0].name).exists()
    assert (tmp_path / "out" / references[1].name).exists()


def test_a_file_in_the_way(references, tmp_path):
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(OutputError):
        copy_images(references, tmp_path / "out")
