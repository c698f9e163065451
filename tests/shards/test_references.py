import hashlib
import io
import json
import os
import secrets
import tarfile
from typing import ClassVar

import fsspec
import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from primaps.data.scanning import scan
from primaps.errors import CheckpointError, DatasetError
from primaps.shards.places import place_of
from primaps.shards.references import (
    Reference,
    expand_braces,
    from_record,
    list_references,
)
from primaps.shards.staging import stage
from primaps.shards.tar_files import write_tar


@pytest.fixture(params=["memory", "s3"])
def remote(request):
    """An empty place in an object store."""
    if request.param == "memory":
        return place_of(f"memory://{secrets.token_hex(8)}/in")
    return place_of(f"{request.getfixturevalue('s3')}/in")


def names(listing):
    return [each.name for each in listing.references]


def grow(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(path.encode())


def pack(path, *members):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tar(path, [(name, name.encode()) for name in members])
    return path


def content(reference):
    place = place_of(reference.url)
    if reference.member is None:
        return place.read("")
    return place.read_range("", reference.offset, reference.size)


def test_folders_on_disk_are_as_a_scan_finds_them(tmp_path):
    grow(tmp_path, "in/b/2.jpg", "in/a.png", "in/x.txt", "in/.hidden.jpg")
    listing = list_references([tmp_path / "in"])
    found = scan([tmp_path / "in"])
    assert names(listing) == [image.name for image in found.images] == ["a.png", "b/2.jpg"]
    assert listing.passed_over == found.passed_over
    first = listing.references[0]
    status = (tmp_path / "in" / "a.png").stat()
    assert first == Reference(
        "a.png", str(tmp_path / "in" / "a.png"), status.st_size, str(status.st_mtime_ns)
    )
    assert first.place == first.url


def test_paths_are_absolute(tmp_path, monkeypatch):
    grow(tmp_path, "in/a.png")
    monkeypatch.chdir(tmp_path)
    assert list_references(["in"]).references[0].url == str(tmp_path / "in" / "a.png")
    assert (
        list_references([f"file://{tmp_path}/in"]).references == list_references(["in"]).references
    )


def test_folders_in_an_object_store_follow_the_same_rules(remote, tmp_path):
    paths = ("b/2.JPG", "a.png", "x.txt", ".hidden.jpg", ".git/c.jpg", "none")
    grow(tmp_path / "in", *paths)
    for path in paths:
        remote.write(path, path.encode())
    listing, local = list_references([remote.url]), list_references([tmp_path / "in"])
    assert names(listing) == names(local) == ["a.png", "b/2.JPG"]
    assert listing.passed_over == local.passed_over == {"": 1, ".txt": 1}
    assert [content(each) for each in listing.references] == [b"a.png", b"b/2.JPG"]
    assert all(each.stamp and each.url.startswith(remote.url) for each in listing.references)
    assert list_references([remote.url + "/"]) == listing


def test_single_objects_and_patterns(remote):
    for path in ("a/1.jpg", "a/2.jpg", "a/3.odd", "b/1.jpg"):
        remote.write(path, path.encode())
    assert names(list_references([f"{remote.url}/a/3.odd"])) == ["3.odd"]
    assert names(list_references([f"{remote.url}/a/*.jpg"])) == ["1.jpg", "2.jpg"]
    assert names(list_references([f"{remote.url}/a/{{1..2}}.jpg"])) == ["1.jpg", "2.jpg"]
    assert names(list_references([f"{remote.url}/a", f"{remote.url}/b"])) == [
        "a/1.jpg",
        "a/2.jpg",
        "b/1.jpg",
    ]


def test_disk_and_object_store_together(remote, tmp_path):
    grow(tmp_path, "photos/1.jpg", "more/1.jpg")
    remote.write("1.jpg", b"")
    listing = list_references([tmp_path / "photos", remote.url, tmp_path / "more"])
    assert names(listing) == ["in/1.jpg", "more/1.jpg", "photos/1.jpg"]
    assert listing == list_references([remote.url, tmp_path / "more", tmp_path / "photos"])
    assert names(list_references([tmp_path / "photos", tmp_path / "photos", remote.url])) == [
        "in/1.jpg",
        "photos/1.jpg",
    ]


def test_tar_files_on_disk(tmp_path):
    pack(tmp_path / "in" / "x-000.tar", "b/1.jpg", "a.jpg", "a.json", ".hidden.jpg")
    listing = list_references([tmp_path / "in" / "x-000.tar"])
    assert names(listing) == ["x-000/a.jpg", "x-000/b/1.jpg"]
    assert listing.passed_over == {".json": 1}
    assert [content(each) for each in listing.references] == [b"a.jpg", b"b/1.jpg"]
    first = listing.references[0]
    assert first.place == f"{tmp_path}/in/x-000.tar, member a.jpg"
    pack(tmp_path / "in" / "deep" / "x-001.tar", "a.jpg")
    grow(tmp_path / "in", "photo.jpg", ".git/x.jpg")
    pack(tmp_path / "in" / ".hidden.tar", "h.jpg")
    everything = ["deep/x-001/a.jpg", "photo.jpg", "x-000/a.jpg", "x-000/b/1.jpg"]
    assert names(list_references([tmp_path / "in"])) == everything
    assert list_references([tmp_path / "in"]).passed_over == {".json": 1}
    assert names(list_references([f"{tmp_path}/in/x-{{000..000}}.tar"])) == names(listing)
    assert names(list_references([f"{tmp_path}/in/*.tar"])) == names(listing)
    assert names(list_references([tmp_path / "in", tmp_path / "in" / "x-000.tar"])) == everything


def test_tar_files_in_an_object_store(remote, tmp_path):
    for number in range(3):
        path = pack(tmp_path / "x.tar", "a.jpg", f"{number}.png")
        remote.publish(f"x-{number:03d}.tar", path)
    remote.write("photo.jpg", b"photo.jpg")
    listing = list_references([remote.url])
    assert names(listing)[:3] == ["photo.jpg", "x-000/0.png", "x-000/a.jpg"]
    assert len(listing.references) == 7
    assert content(listing.references[1]) == b"0.png"
    assert names(list_references([f"{remote.url}/x-{{001..002}}.tar"])) == [
        "x-001/1.png",
        "x-001/a.jpg",
        "x-002/2.png",
        "x-002/a.jpg",
    ]
    one = list_references([f"{remote.url}/x-001.tar"])
    assert [each.stamp for each in one.references] == [
        each.stamp for each in listing.references if each.url == one.references[0].url
    ]


def test_a_large_tar_file_is_listed_in_few_requests(remote, tmp_path, monkeypatch):
    from primaps.shards import references

    members = [(f"{number:04d}.jpg", bytes(3000)) for number in range(300)]
    write_tar(tmp_path / "x.tar", [*members, ("last.jpg", bytes(9_000_000)), ("z.jpg", b"z")])
    remote.publish("x.tar", tmp_path / "x.tar")
    asked = []
    inner = references._Buffered.__init__

    def counted(self, read, size):
        inner(self, lambda start, count: asked.append(count) or read(start, count), size)

    monkeypatch.setattr(references._Buffered, "__init__", counted)
    listing = list_references([f"{remote.url}/x.tar"])
    assert len(listing.references) == 302
    assert len(asked) == 2
    assert sum(asked) < 9_000_000  # what no header needs is not fetched


def hostile(path):
    """A tar file with everything that must not be followed."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:

        def add(name, kind=tarfile.REGTYPE, target="", body=b"x"):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = len(body) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(body))

        add("../../evil.jpg")
        add("/etc/evil.jpg")
        add("good.jpg", body=b"good")
        add("link.jpg", tarfile.SYMTYPE, "/etc/passwd")
        add("hard.jpg", tarfile.LNKTYPE, "good.jpg")
        add("device.jpg", tarfile.CHRTYPE)
        add("folder.jpg", tarfile.DIRTYPE)
        add("link", tarfile.SYMTYPE, "/")
        add("good.jpg", body=b"other")
        add("GOOD.jpg", body=b"upper")
        add("a\nb.jpg")
        add("a\\b.jpg")
        add("con.jpg", body=b"con")
        add("run.py")
    return path


def test_hostile_members_are_listed_failures(tmp_path, remote):
    remote.publish("x.tar", hostile(tmp_path / "x.tar"))
    for url in (tmp_path / "x.tar", f"{remote.url}/x.tar"):
        listing = list_references([url])
        assert names(listing) == ["x/GOOD.jpg", "x/con.jpg", "x/good.jpg"]
        assert [content(each) for each in listing.references] == [b"upper", b"con", b"good"]
        told = {each.path.split("member ")[1].split(" at ")[0]: each for each in listing.failures}
        assert set(told) == {
            "../../evil.jpg",
            "/etc/evil.jpg",
            "link.jpg",
            "hard.jpg",
            "device.jpg",
            "good.jpg",
            "a\nb.jpg",
            "a\\b.jpg",
        }
        assert {each.stage for each in listing.failures} == {"scan"}
        assert "a symbolic link" in told["link.jpg"].reason
        assert "comes again" in told["good.jpg"].reason
        assert "inside its folder" in told["../../evil.jpg"].reason
        assert listing.passed_over == {".py": 1}
    assert list(tmp_path.iterdir()) == [tmp_path / "x.tar"]


def test_a_truncated_tar_file_gives_what_is_whole(tmp_path):
    whole = pack(tmp_path / "x.tar", "a.jpg", "b.jpg").read_bytes()
    (tmp_path / "x.tar").write_bytes(whole[:1100])
    listing = list_references([tmp_path / "x.tar"])
    assert names(listing) == ["x/a.jpg"]
    (failure,) = listing.failures
    assert failure.path == str(tmp_path / "x.tar")
    assert "at byte 1024" in failure.reason


def test_what_cannot_be_used_is_listed(tmp_path, remote):
    grow(tmp_path, "in/a.jpg", "in/no.tar")
    remote.write("b.jpg", b"")
    remote.write("c.tar.gz", b"\x1f\x8b")
    remote.write("d.tar", b"\x1f\x8b" + bytes(600))
    listing = list_references(
        [tmp_path / "in", remote.url, f"{remote.url}-none", tmp_path / "none", tmp_path / "n.tar"]
    )
    assert sorted(name.rpartition("/")[2] for name in names(listing)) == ["a.jpg", "b.jpg"]
    told = {each.path: each.reason for each in listing.failures}
    assert set(told) == {
        f"{remote.url}-none",
        f"{remote.url}/c.tar.gz",
        f"{remote.url}/d.tar",
        str(tmp_path / "in" / "no.tar"),
        str(tmp_path / "none"),
        str(tmp_path / "n.tar"),
    }
    assert "nothing at this address" in told[f"{remote.url}-none"]
    assert "not compressed" in told[f"{remote.url}/d.tar"]


def test_names_of_tar_files_are_checked_too(tmp_path, s3):
    path = pack(tmp_path / "good.tar", "a.jpg")
    place = place_of(f"{s3}/in")
    for name in ("good.tar", "b\\c.tar", "d\te.tar"):
        place.publish(name, path)
    place.write("x\ty.jpg", b"")
    listing = list_references([place.url])
    assert names(listing) == ["good/a.jpg"]
    assert len(listing.failures) == 3
    try:
        path.rename(tmp_path / os.fsdecode(b"bad\xff.tar"))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    pack(tmp_path / "good.tar", "a.jpg")
    listing = list_references([tmp_path])
    assert names(listing) == ["good/a.jpg"]
    assert listing.failures[0].path.endswith("bad\\xff.tar")


def test_nothing_at_all(tmp_path, remote):
    remote.write("x.txt", b"")
    with pytest.raises(DatasetError, match=r"found none[\s\S]*1 \.txt"):
        list_references([remote.url])
    with pytest.raises(DatasetError, match=r"found none[\s\S]*nothing at this"):
        list_references([f"{remote.url}/none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="found none"):
        list_references([tmp_path / "empty"])
    pack(tmp_path / "x.tar", "x.txt")
    with pytest.raises(DatasetError, match=r"found none[\s\S]*1 \.txt"):
        list_references([tmp_path / "x.tar"])


RUN = json.dumps({"format": 1, "settings": {}, "versions": {"primaps": "0"}}).encode()


def test_outputs_are_not_taken_for_inputs(tmp_path, remote):
    path = pack(tmp_path / "shards" / "0.tar", "a.jpg.png")
    for folder in ("done", "out"):
        remote.publish(f"{folder}/shards/0.tar", path)
        remote.write(f"{folder}/labels/a.jpg.png", b"")
    remote.write("done/run.json", RUN)
    remote.write("other/run.json", b"{}")
    remote.write("other/b.jpg", b"")
    listing = list_references([remote.url], exclude=f"{remote.url}/out")
    assert names(listing) == ["other/b.jpg"]
    assert listing.runs == (f"{remote.url}/done",)
    local = tmp_path / "in"
    for folder in ("done", "out"):
        pack(local / folder / "shards" / "0.tar", "a.jpg.png")
    (local / "done" / "run.json").write_bytes(RUN)
    pack(local / "x.tar", "b.jpg")
    listing = list_references([local], exclude=local / "out")
    assert names(listing) == ["x/b.jpg"]
    assert listing.runs == (str(local / "done"),)


def test_two_images_of_one_name(tmp_path):
    grow(tmp_path, "in/x/a.jpg")
    pack(tmp_path / "in" / "x.tar", "a.jpg", "b.jpg")
    listing = list_references([tmp_path / "in"])
    assert names(listing) == ["x/a.jpg", "x/b.jpg"]
    (failure,) = listing.failures
    assert "has the name 'x/a.jpg' too" in failure.reason


def test_braces():
    assert expand_braces("photos") == ["photos"]
    assert expand_braces("s3://b/{a,b}/x-{9..11}.tar") == [
        f"s3://b/{name}/x-{number}.tar" for name in "ab" for number in (9, 10, 11)
    ]
    assert expand_braces("x{0..2") == ["x{0..2"]
    assert expand_braces("{3..1}") == []
    for text in ("{0..99999999}", "{0..999}{0..9999}"):
        with pytest.raises(DatasetError, match="at most 1000000"):
            expand_braces(text)


def test_a_file_with_braces_in_its_name(tmp_path):
    grow(tmp_path, "x{1..2}.jpg")
    assert names(list_references([tmp_path / "x{1..2}.jpg"])) == ["x{1..2}.jpg"]


def test_records():
    for reference in (
        Reference("a.jpg", "/in/a.jpg", 3, "17"),
        Reference("x/a.jpg", "s3://b/x.tar", 3, "tag", "a.jpg", 512),
    ):
        assert from_record(json.loads(json.dumps(reference.record()))) == reference
    for damaged in (
        {},
        {"name": "a", "url": "b", "size": "3", "stamp": ""},
        {"name": "a", "url": "b", "size": 3, "stamp": "", "more": 1},
        {"name": "a", "url": "b", "size": 3, "stamp": "", "member": "m"},
    ):
        with pytest.raises(CheckpointError, match="reference to an image"):
            from_record(damaged)


class StandIn(MemoryFileSystem):
    """In the place of the file system of a protocol whose package need not be installed."""

    store: ClassVar = {}
    pseudo_dirs: ClassVar = [""]
    cachable = False
    forbidden = False

    def info(self, path, **kwargs):
        if self.forbidden:
            raise PermissionError("403 Forbidden: storage.objects.get denied")
        entry = super().info(path, **kwargs)
        if entry["type"] == "file":  # as the protocol's listings tell it
            content = hashlib.sha1(self.store[entry["name"]].getvalue()).hexdigest()
            entry[self.told] = content
        return entry

    def find(self, path, *args, **kwargs):
        return AbstractFileSystem.find(self, path, *args, **kwargs)

    def ls(self, path, detail=True, **kwargs):
        found = super().ls(path, detail=True, **kwargs)
        entries = [each if each["type"] != "file" else self.info(each["name"]) for each in found]
        return entries if detail else [each["name"] for each in entries]


class Google(StandIn):
    protocol: ClassVar = ("gs", "gcs")
    told = "etag"
    store: ClassVar = {}


class HuggingFace(StandIn):
    protocol: ClassVar = ("hf",)
    told = "blob_id"
    store: ClassVar = {}


@pytest.fixture(params=["gs://bucket/photos", "hf://datasets/me/photos"])
def far(request, monkeypatch):
    """A folder of a protocol that a stand-in serves, and the stand-in's class."""
    scheme = request.param.partition(":")[0]
    served = {"gs": Google, "hf": HuggingFace}[scheme]
    monkeypatch.setattr(fsspec, "filesystem", lambda asked: {scheme: served}[asked]())
    monkeypatch.setattr(served, "store", {})
    monkeypatch.setattr(served, "pseudo_dirs", [""])
    place = place_of(request.param)
    for name, text in {"a.png": b"one", "b/2.jpg": b"two", "b/x.txt": b"no image"}.items():
        place.write(name, text)
    return place, served


def test_other_object_stores_are_listed_and_read_alike(far, tmp_path):
    place, _ = far
    listing = list_references([place.url])
    assert names(listing) == ["a.png", "b/2.jpg"]
    assert [each.url for each in listing.references] == [place.at("a.png"), place.at("b/2.jpg")]
    assert listing.passed_over == {".txt": 1}
    assert all(len(each.stamp) == 40 for each in listing.references)  # tells versions apart
    assert [content(each) for each in listing.references] == [b"one", b"two"]
    assert names(list_references([f"{place.url}/*/*.jpg"])) == ["b/2.jpg"]
    staged = stage(listing.references, tmp_path / "staged")
    assert [image.path.read_bytes() for image in staged.images] == [b"one", b"two"]
    place.write("a.png", b"another")
    later = list_references([place.url]).references[0]
    assert later != listing.references[0]
    place.remove("b/2.jpg")
    (gone,) = stage([listing.references[1]], tmp_path / "gone").failures
    assert (gone.path, gone.stage) == (place.at("b/2.jpg"), "fetch")
    assert "not there any more" in gone.reason


def test_what_is_forbidden_says_so(far, monkeypatch):
    place, served = far
    monkeypatch.setattr(served, "forbidden", True)
    with pytest.raises(DatasetError, match=r"PermissionError: 403 Forbidden.*your rights"):
        list_references([place.url])


def test_nothing_there_is_told(far):
    place, _ = far
    with pytest.raises(DatasetError, match=r"Expected images in .*/not-there, but found none"):
        list_references([place.at("not-there")])


def test_a_repository_of_the_hub(hub, tmp_path):
    """With the protocol of the hub itself, and the package that speaks it."""
    from huggingface_hub import HfFileSystem

    HfFileSystem.clear_instance_cache()  # those of other addresses
    hub.put("me/photos", {"a.png": b"one", "b/2.jpg": b"two", "README.md": b"about"})
    listing = list_references(["hf://me/photos"])
    assert names(listing) == ["a.png", "b/2.jpg"]
    assert [each.size for each in listing.references] == [3, 3]
    staged = stage(listing.references, tmp_path / "staged", threads=1)
    assert [image.path.read_bytes() for image in staged.images] == [b"one", b"two"]
    hub.put("me/photos", {"a.png": b"another"})
    assert list_references(["hf://me/photos"]).references[0] != listing.references[0]
    HfFileSystem.clear_instance_cache()
