import os
import secrets

import pytest

from primaps.errors import OutputError
from primaps.shards import places, staging
from primaps.shards.places import place_of
from primaps.shards.references import Reference, list_references
from primaps.shards.staging import stage, time_of
from primaps.shards.tar_files import write_tar
from primaps.types import ImageFile


@pytest.fixture(params=["memory", "s3"])
def remote(request):
    """An empty place in an object store."""
    if request.param == "memory":
        return place_of(f"memory://{secrets.token_hex(8)}/in")
    return place_of(f"{request.getfixturevalue('s3')}/in")


def staged_content(staged):
    return {image.name: image.path.read_bytes() for image in staged.images}


def test_files_on_disk_stay_where_they_are(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"a")
    staged = stage(list_references([tmp_path / "a.jpg"]).references, tmp_path / "scratch")
    assert staged.images == (ImageFile(tmp_path / "a.jpg", "a.jpg"),)
    assert (staged.failures, staged.places) == ((), {})
    assert not (tmp_path / "scratch").exists()


def test_others_are_fetched(remote, tmp_path):
    remote.write("b/1.JPG", b"one")
    remote.write("empty.png", b"")
    write_tar(tmp_path / "x.tar", [(f"{n}.png", bytes([n]) * n) for n in range(20)])
    remote.publish("x.tar", tmp_path / "x.tar")
    references = list_references([remote.url]).references
    staged = stage(references, tmp_path / "scratch")
    expected = {"b/1.JPG": b"one", "empty.png": b""}
    expected |= {f"x/{n}.png": bytes([n]) * n for n in range(20)}
    assert staged_content(staged) == expected
    assert [image.name for image in staged.images] == [each.name for each in references]
    assert staged.failures == ()
    first = staged.images[0].path
    assert first == tmp_path / "scratch" / "000000.jpg"
    assert staged.places[str(first)] == f"{remote.url}/b/1.JPG"
    assert staged.places[str(staged.images[2].path)] == f"{remote.url}/x.tar, member 0.png"


def test_equal_stamps_give_equal_times(remote, tmp_path):
    remote.write("a.jpg", b"a")
    references = list_references([remote.url]).references
    times = {
        stage(references, tmp_path / folder).images[0].path.stat().st_mtime_ns for folder in "ab"
    }
    assert times == {time_of(references[0].stamp)}
    assert time_of("1795961127190770552") == 1795961127190770552
    assert 0 <= time_of("an entity tag") != time_of("another") >= 0


def test_members_of_a_tar_file_on_disk_have_its_time(tmp_path):
    write_tar(tmp_path / "x.tar", [("a.jpg", b"a")])
    os.utime(tmp_path / "x.tar", ns=(5, 1_700_000_000_123_456_789))
    staged = stage(list_references([tmp_path / "x.tar"]).references, tmp_path / "scratch")
    assert staged.images[0].path.stat().st_mtime_ns == 1_700_000_000_123_456_789


def test_neighbours_in_a_tar_file_are_read_together(remote, tmp_path, monkeypatch):
    write_tar(tmp_path / "x.tar", [(f"{n:02d}.png", bytes(1000)) for n in range(40)])
    remote.publish("x.tar", tmp_path / "x.tar")
    references = list_references([remote.url]).references
    asked = []
    original = places.Place.read_range

    def read_range(self, path, start, size):
        asked.append(size)
        return original(self, path, start, size)

    monkeypatch.setattr(places.Place, "read_range", read_range)
    assert len(stage(references, tmp_path / "1").images) == 40
    assert len(asked) == 1
    monkeypatch.setattr(staging, "LARGEST_READ", 10_000)
    assert len(stage(references, tmp_path / "2").images) == 40
    assert len(asked) > 4
    assert max(asked[1:]) <= 10_000


def test_what_is_gone_or_changed_is_a_listed_failure(remote, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "WAITS", (0.0,))
    write_tar(tmp_path / "x.tar", [("1.png", b"1"), ("2.png", b"2")])
    remote.publish("x.tar", tmp_path / "x.tar")
    for name in "abc":
        remote.write(f"{name}.jpg", b"123")
    references = list_references([remote.url]).references
    remote.remove("a.jpg")
    remote.write("b.jpg", b"12345")
    remote.write("x.tar", b"short")
    staged = stage(references, tmp_path / "scratch")
    assert staged_content(staged) == {"c.jpg": b"123"}
    assert [(each.path, each.stage) for each in staged.failures] == [
        (f"{remote.url}/a.jpg", "fetch"),
        (f"{remote.url}/b.jpg", "fetch"),
        (f"{remote.url}/x.tar, member 1.png", "fetch"),
        (f"{remote.url}/x.tar, member 2.png", "fetch"),
    ]
    assert "not there any more" in staged.failures[0].reason
    assert "of 3 bytes" in staged.failures[1].reason
    assert "5" in staged.failures[1].reason


def test_names_of_files_are_our_own(tmp_path):
    place = place_of(f"memory://{secrets.token_hex(8)}")
    place.write("x", b"x")
    references = [
        Reference("a/../../evil.sh", f"{place.url}/x", 1, ""),
        Reference("b", f"{place.url}/x", 1, "", "b.jpg;rm -rf", 0),
    ]
    staged = stage(references, tmp_path / "scratch")
    assert sorted(each.name for each in (tmp_path / "scratch").iterdir()) == ["000000", "000001"]
    assert len(staged.images) == 2


def test_what_is_there_is_not_fetched_again(tmp_path):
    place = place_of(f"memory://{secrets.token_hex(8)}")
    for name in "abc":
        place.write(f"{name}.jpg", b"first")
    references = list_references([place.url]).references
    before = stage(references, tmp_path)
    (tmp_path / "000001.jpg").write_bytes(b"other")
    (tmp_path / "000002.jpg").unlink()
    for name in "abc":
        place.write(f"{name}.jpg", b"later")
    after = stage(references, tmp_path)
    assert after.images == before.images
    assert list(staged_content(after).values()) == [b"first", b"later", b"later"]


def test_nothing_to_do(tmp_path):
    assert stage([], tmp_path / "scratch").images == ()


def test_a_full_disk_is_no_failure_of_an_image(tmp_path, monkeypatch):
    place = place_of(f"memory://{secrets.token_hex(8)}")
    place.write("x.jpg", b"x")
    (tmp_path / "scratch").write_bytes(b"a file, no folder")
    with pytest.raises(OutputError):
        stage(list_references([place.url]).references, tmp_path / "scratch")
