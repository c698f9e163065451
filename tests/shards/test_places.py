import contextlib
import pickle
import secrets
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from primaps.errors import ConfigError, MissingExtraError, OutputError, PlaceError
from primaps.runs import store
from primaps.shards import places
from primaps.shards.places import ATTEMPTS, Place, is_url, listed, place_of


@pytest.fixture(params=["disk", "memory", "s3"])
def place(request, tmp_path):
    """An empty place of each kind."""
    if request.param == "disk":
        return place_of(tmp_path / "out")
    if request.param == "memory":
        return place_of(f"memory://{secrets.token_hex(8)}/out")
    return place_of(f"{request.getfixturevalue('s3')}/out")


@pytest.fixture
def hasty(monkeypatch):
    """No waiting between attempts."""
    monkeypatch.setattr(places, "WAITS", (0.0,))


class FlakyFileSystem(MemoryFileSystem):
    """Fails as many times as it is told to."""

    protocol = "flaky"
    cachable = False
    store: ClassVar = {}
    pseudo_dirs: ClassVar = [""]
    failures: ClassVar = []
    requests = 0

    def _perhaps(self):
        type(self).requests += 1
        if self.failures:
            raise self.failures.pop(0)

    def cat_file(self, path, **options):
        self._perhaps()
        return super().cat_file(path, **options)

    def pipe_file(self, path, value, **options):
        self._perhaps()
        super().pipe_file(path, value, **options)


@pytest.fixture
def flaky(hasty):
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
    FlakyFileSystem.requests = 0
    FlakyFileSystem.failures = []
    yield place_of("flaky://there")
    FlakyFileSystem.failures = []


def test_what_is_written_is_read(place, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)))
    place.write("a/b.json", b"{}")
    place.publish("a/c.tar", source)
    place.write("a/c.tar.json", b"")
    place.write("a/deeper/d", b"d")
    assert place.read("a/b.json") == b"{}"
    assert place.read("a/c.tar.json") == b""
    assert place.read_range("a/c.tar", 3, 2) == b"\3\4"
    assert place.read_range("a/c.tar", 3, 0) == b""
    assert place.names("a") == ["b.json", "c.tar", "c.tar.json"]
    assert place.names("none") == []
    assert (place.size("a/c.tar"), place.size("a"), place.size("a/none")) == (256, None, None)
    assert place.exists("a/b.json")
    assert not place.exists("a")
    assert place.below("a").read("deeper/d") == b"d"
    place.fetch("a/c.tar", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == source.read_bytes()
    place.fetch("a/c.tar.json", tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""
    assert source.exists()


def test_written_again_it_is_replaced_and_removed_it_is_gone(place):
    place.write("x", b"first")
    assert place.names() == ["x"]
    place.write("x", b"second, longer")
    assert place.read("x") == b"second, longer"
    place.write("y", b"")
    assert place.names() == ["x", "y"]  # no listing is remembered
    place.remove("x")
    place.remove("x")
    assert place.names() == ["y"]
    assert place.size("x") is None


def test_a_file_that_is_not_there(place, tmp_path):
    for call in (
        lambda: place.read("none"),
        lambda: place.read_range("none", 0, 1),
        lambda: place.fetch("none", tmp_path / "x"),
    ):
        with pytest.raises(PlaceError, match="none") as caught:
            call()
        assert caught.value.missing
    assert not (tmp_path / "x").exists()


def test_a_file_that_ends_too_early(place):
    place.write("x", b"123")
    with pytest.raises(PlaceError, match=r"ends\s+before"):
        place.read_range("x", 1, 3)


def test_nothing_outside_is_reached(place):
    for path in ("../x", "a/../../x", "/etc/passwd", "a\0b"):
        with pytest.raises(ConfigError, match="inside a folder"):
            place.at(path)


def test_it_travels_between_processes(place):
    assert pickle.loads(pickle.dumps(place)) == place
    error = pickle.loads(pickle.dumps(PlaceError("x", missing=True)))
    assert error.missing


def test_what_is_a_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_url("s3://bucket/x")
    assert not is_url("photos")
    assert not is_url("C:\\photos")
    assert place_of("photos") == Place(str(tmp_path / "photos"))
    assert place_of(f"file://{tmp_path}/photos") == Place(str(tmp_path / "photos"))
    assert place_of("S3://bucket/x//") == Place("s3://bucket/x")
    assert place_of("s3://bucket/x").at("a/b") == "s3://bucket/x/a/b"
    assert place_of("photos").folder == tmp_path / "photos"
    with pytest.raises(ConfigError, match="on disk"):
        _ = place_of("s3://bucket/x").folder


def test_urls_that_are_refused():
    for url in ("simplecache::s3://bucket/x", "zip://*.png::s3://bucket/x.zip"):
        with pytest.raises(ConfigError, match="single URL"):
            place_of(url)
    with pytest.raises(ConfigError, match="without a password") as caught:
        place_of("ftp://me:secret@host/x")
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="of a kind that fsspec knows"):
        place_of("nothing-of-this-kind://x").read("y")


def test_a_missing_package_is_named(monkeypatch):
    def no_package(*_):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", no_package)
    with pytest.raises(MissingExtraError, match=r"primaps\[remote\]"):
        place_of("s3://bucket/x").read("y")
    with pytest.raises(MissingExtraError, match="pip install gcsfs"):
        place_of("gs://bucket/x").read("y")
    with pytest.raises(MissingExtraError, match="pip install huggingface_hub"):
        place_of("hf://datasets/me/photos").read("y")


def test_failures_that_pass_are_tried_again(flaky):
    FlakyFileSystem.failures = [ConnectionError("cut")] * (ATTEMPTS - 1)
    flaky.write("x", b"content")
    FlakyFileSystem.failures = [TimeoutError()] * (ATTEMPTS - 1)
    assert flaky.read("x") == b"content"
    assert FlakyFileSystem.requests == 2 * ATTEMPTS


def test_failures_that_stay_are_told_with_their_number(flaky):
    FlakyFileSystem.failures = [ConnectionError("cut")] * 99
    with pytest.raises(PlaceError, match=r"after 4 attempts: ConnectionError: cut\."):
        flaky.read("x")
    assert FlakyFileSystem.requests == ATTEMPTS == 4
    with pytest.raises(OutputError, match=r"Could not write flaky://there/x.*after 4 attempts"):
        flaky.write("x", b"")


def test_what_is_forbidden_is_asked_once(flaky):
    FlakyFileSystem.failures = [PermissionError("Access Denied")] * 99
    with pytest.raises(PlaceError, match="PermissionError: Access Denied"):
        flaky.read("x")
    assert FlakyFileSystem.requests == 1


@contextlib.contextmanager
def server_that(answers):
    """Address of a server that does this with every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    answers(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("answers", [lambda _: None, lambda _: time.sleep(1)], ids=["cut", "slow"])
def test_a_store_that_cuts_or_does_not_answer(answers, s3, hasty, monkeypatch):
    monkeypatch.setattr(places, "TIMEOUT", 0.2)
    with server_that(answers) as address:
        monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": address})
        with pytest.raises(PlaceError, match="after 4 attempts"):
            place_of(f"{s3}/x").read("y")


def test_threads_share_connections(s3):
    place = place_of(f"{s3}/x")
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: id(places.file_system(place.url)), range(20)))
    assert found == {id(places.file_system(place.url))}


def test_a_bucket_that_is_not_there(s3, hasty):
    place = place_of(f"{s3}-none/x")
    assert place.size("y") is None
    assert place.names() == []
    with pytest.raises(PlaceError) as caught:
        place.read("y")
    assert caught.value.missing
    with pytest.raises(
        OutputError, match=r"Could not write .*y\. Its bucket is not there: make it"
    ):
        place.write("y", b"")


def test_a_writer_on_disk_that_is_killed_leaves_no_half(tmp_path, monkeypatch):
    place = place_of(tmp_path)
    place.write("shards/0.tar", b"old")

    def killed(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store.os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        place.write("shards/0.tar", b"new and longer")
    assert place.read("shards/0.tar") == b"old"
    assert place.names("shards") == ["0.tar"]


def test_a_read_only_folder(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store.Path, "mkdir", refused)
    with pytest.raises(OutputError, match="read-only"):
        place_of(tmp_path / "x").write("y", b"")


def test_listing(s3):
    place = place_of(f"{s3}/in")
    for path in ("b/2.jpg", "a.jpg", "b/1.jpg", "b.jpg/3.jpg"):
        place.write(path, path.encode())
    assert [each.path for each in listed(place.url)[1]] == [
        "a.jpg",
        "b.jpg/3.jpg",
        "b/1.jpg",
        "b/2.jpg",
    ]
    root, (found,) = listed(f"{s3}/in/a.jpg")
    assert (root, found.path, found.size) == (place.url, "a.jpg", 5)
    assert found.stamp == listed(f"{s3}/in/a.jpg")[1][0].stamp != ""
    place.write("a.jpg", b"other")
    assert found.stamp != listed(f"{s3}/in/a.jpg")[1][0].stamp
    root, files = listed(f"{s3}/in/b/*.jpg")
    assert (root, [each.path for each in files]) == (f"{s3}/in/b", ["1.jpg", "2.jpg"])
    assert listed(f"{s3}/in/none") == (f"{s3}/in/none", [])
