"""Photographs that are dropped in: tried, and kept away from everything."""

import io
import struct
import threading
import time
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

BINARY = {"Content-Type": "application/octet-stream"}


def as_file(pixels, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind)
    return buffer.getvalue()


def bomb(width=30_000, height=30_000):
    """A PNG of a few hundred bytes that says it is very large."""

    def chunk(name, data):
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("../../x.png", b"x")
    return buffer.getvalue()


@pytest.fixture
def send(client):
    """``send(content, **parameters)``: the answer to a photograph."""
    return lambda content, **parameters: client.post(
        "/api/try", content=content, params=parameters, headers=BINARY
    )


@pytest.fixture
def left(monkeypatch, tmp_path):
    """Files that lie where temporary ones are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return lambda: list(folder.iterdir())


def files_in(folder):
    return {
        path.relative_to(folder): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_photograph_is_segmented_and_leaves_nothing_behind(
    client, send, draw, folder, left, kind
):
    before = files_in(folder)
    made = send(as_file(draw(1), kind), name="my photo.png").json()
    assert (made["width"], made["height"]) == (80, 60)
    assert made["proposals"] >= 1
    assert made["seconds"] > 0
    photo = client.get(f"/api/try/{made['id']}/photo")
    assert photo.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(photo.content)).size == (80, 60)
    maps = client.get(f"/api/try/{made['id']}/maps")
    assert (maps.headers["x-width"], maps.headers["x-height"]) == ("80", "60")
    labels, proposals = np.frombuffer(zlib.decompress(maps.content), "<u2").reshape(2, 60, 80)
    assert set(np.unique(labels)) <= {0, 1, 2, 3, 255}
    assert proposals.max() == made["proposals"]
    assert files_in(folder) == before
    assert left() == []


def test_threshold_and_backbone_are_tried(send, draw):
    content = as_file(draw(1))
    few, many = (send(content, threshold=value).json()["proposals"] for value in (0.99, 0.05))
    assert few != many
    other = send(content, backbone="mini").json()
    assert other["proposals"] >= 1
    assert send(content, backbone="texture").status_code == 200


def test_the_last_few_are_kept(client, send, draw):
    made = [send(as_file(draw(seed))).json()["id"] for seed in range(5)]
    assert client.get(f"/api/try/{made[0]}/photo").status_code == 404
    assert client.get(f"/api/try/{made[1]}/photo").status_code == 200
    for name in ("0", "x", "%2e%2e%2f", "%00"):
        assert client.get(f"/api/try/{name}/maps").status_code == 404


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (SVG, 415, "is an SVG drawing"),
        (b"just text", 415, "is none of these"),
        (b"%PDF-1.7", 415, "is a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "is none of these"),
        (archive(), 415, "is a ZIP archive"),
        (b"\x89PNG\r\n\x1a\n", 415, "photo.png"),
        (b"", 400, "empty"),
        (bomb(), 400, "usual size"),
        (bomb(12_000, 12_000), 413, "megapixels"),
        (bomb(60, 80), 400, "damaged"),
        (b"\xff\xd8\xff\xe0" + bytes(200), 415, "photo.png"),
    ],
    ids=["svg", "text", "pdf", "eps", "zip", "cut", "empty", "bomb", "large", "short", "jpeg"],
)
def test_what_is_no_photograph_is_refused_in_words(send, left, content, status, words):
    answer = send(content, name="photo.png")
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]
    assert "primaps-try" not in answer.text
    assert left() == []


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a\0b", "<script>", "\u202ex", "x" * 5000, ""]
)
def test_a_name_is_only_spoken_of(send, folder, left, name):
    before = files_in(folder)
    answer = send(b"no photograph", name=name)
    assert answer.status_code == 415
    assert len(answer.json()["error"]) < 600
    assert "\0" not in answer.json()["error"]
    assert files_in(folder) == before
    assert left() == []


def test_too_large_a_file_is_refused(send, monkeypatch):
    monkeypatch.setattr("primaps.studio.trying.BYTES", 1000)
    answer = send(b"x" * 1001)
    assert answer.status_code == 413
    assert "larger" in answer.json()["error"]


def test_a_length_that_lies_is_noticed(client, monkeypatch):
    monkeypatch.setattr("primaps.studio.trying.BYTES", 1000)
    for length in ("5000", "-1", "99999999999999999999999", "x"):
        answer = client.post(
            "/api/try", content=b"x" * 2000, headers={**BINARY, "Content-Length": length}
        )
        assert answer.status_code == 413, length


def test_a_sender_who_takes_too_long_is_told(client, monkeypatch):
    monkeypatch.setattr("primaps.studio.asking.PATIENCE", 0.0)
    answer = client.post("/api/try", content=b"x", headers=BINARY)
    assert answer.status_code in {408, 415}


@pytest.mark.parametrize(
    "parameters",
    [
        {"threshold": "0"},
        {"threshold": "1.1"},
        {"threshold": "nan"},
        {"threshold": "inf"},
        {"threshold": "-1"},
        {"threshold": "x"},
        {"backbone": "nothing"},
        {"backbone": "../mini"},
        {"backbone": "timm:resnet50"},
        {"backbone": "dinov3_vits16"},
    ],
)
def test_wrong_settings_are_refused_in_words(send, draw, parameters):
    answer = send(as_file(draw(1)), **parameters)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"].startswith("Expected")


def test_forms_are_refused(client):
    for kind in ("multipart/form-data; boundary=x", "image/png", "application/json", ""):
        answer = client.post("/api/try", content=b"x", headers={"Content-Type": kind})
        assert answer.status_code == 415


def test_one_at_a_time(client, send, draw, monkeypatch):
    from primaps.studio import segmenting

    at_work, most, real = [0], [0], segmenting.try_photo

    def slow(*arguments):
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        time.sleep(0.2)
        at_work[0] -= 1
        return real(*arguments)

    monkeypatch.setattr(segmenting, "try_photo", slow)
    answers = []
    content = as_file(draw(1))
    threads = [
        threading.Thread(target=lambda: answers.append(send(content).status_code)) for _ in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 3
    assert most == [1]


def test_who_waits_for_long_is_told(send, draw, monkeypatch):
    from primaps.studio import segmenting, trying

    monkeypatch.setattr(trying, "SECONDS", 0.05)
    monkeypatch.setattr(trying, "WAITING", 0.05)
    real, go_on = segmenting.try_photo, threading.Event()

    def stuck(*arguments):
        assert go_on.wait(20)
        return real(*arguments)

    monkeypatch.setattr(segmenting, "try_photo", stuck)
    content = as_file(draw(1))
    late = send(content)
    assert (late.status_code, "takes longer" in late.json()["error"]) == (408, True)
    busy = send(content)
    assert (busy.status_code, "one photograph at a time" in busy.json()["error"]) == (409, True)
    go_on.set()
    monkeypatch.setattr(trying, "WAITING", 20.0)
    monkeypatch.setattr(trying, "SECONDS", 20.0)
    assert send(content).status_code == 200
