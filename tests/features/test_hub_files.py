"""Files from the hub, against a stand-in that speaks its protocol and fails in every way that the
hub, its storage and what lies between do.
"""

import errno
import hashlib
import os
import shutil
import sys

import numpy as np
import pytest

from primaps.errors import OutputError
from primaps.features.hub_files import HubFile, NotFetchedError, fetch_file, known_checksum

REPO = "them/weights"
NAME = "model.safetensors"
FILE = HubFile(REPO, NAME)
DATA = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()


@pytest.fixture
def Fault(hub):  # noqa: N802 - a class
    return sys.modules[type(hub).__module__].Fault


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Nobody waits; what would have been waited."""
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)


@pytest.fixture
def weights(hub):
    hub.put(REPO, {NAME: DATA, "config.json": b'{"a": 1}'})
    return hub


def asked(hub, what):
    return [each for each in hub.requests if each.startswith(what)]


def blobs(tmp_path):
    return sorted(path.name for path in (tmp_path / "hub-cache").rglob("blobs/*"))


def test_a_large_and_a_small_file_arrive_once(weights, tmp_path):
    for _ in range(2):
        path = fetch_file(FILE)
        assert path.read_bytes() == DATA
        assert known_checksum(path) == hashlib.sha256(DATA).hexdigest()
        assert len(asked(weights, "GET /cdn")) == 1
    small = fetch_file(HubFile(REPO, "config.json"))
    assert small.read_bytes() == b'{"a": 1}'
    assert known_checksum(small) is None
    assert not [name for name in blobs(tmp_path) if "incomplete" in name]


def test_other_programs_find_it(weights, monkeypatch):
    from huggingface_hub import hf_hub_download

    path = fetch_file(FILE)
    assert hf_hub_download(REPO, NAME) == str(path)
    assert hf_hub_download(REPO, NAME, local_files_only=True) == str(path)


def test_the_token_goes_to_the_hub_alone(weights, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", weights.token)
    weights.repositories[REPO].private = True
    assert fetch_file(FILE).read_bytes() == DATA
    assert not weights.authorised


def test_a_repository_that_was_renamed(weights):
    weights.renamed["they/old"] = REPO
    assert fetch_file(HubFile("they/old", NAME)).read_bytes() == DATA


def test_a_revision(weights):
    first = weights.repositories[REPO].commits[-1][0]
    weights.repositories[REPO].tags["v1"] = first
    weights.put(REPO, {NAME: DATA[::-1]})
    assert fetch_file(FILE).read_bytes() == DATA[::-1]
    for revision in ("v1", first):
        assert fetch_file(HubFile(REPO, NAME, revision)).read_bytes() == DATA


def test_the_other_storage_of_the_hub_is_left_alone(weights, monkeypatch):
    """The hub announces Xet for nearly all large files, and its library would use it."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    weights.xet = True
    assert fetch_file(FILE).read_bytes() == DATA
    assert not [each for each in weights.requests if "xet" in each]


def test_a_connection_that_is_cut_goes_on_by_itself(weights, Fault):
    weights.faults.append(Fault("GET /cdn", cut=100_000, times=2))
    assert fetch_file(FILE).read_bytes() == DATA
    first, second = weights.starts
    assert 0 < first <= 100_000 < second <= 200_000


def test_what_another_command_has_fetched_is_not_fetched_again(weights, Fault, tmp_path):
    weights.faults += [
        Fault("GET /cdn", cut=200_000),
        Fault("GET /cdn", status=503, times=9),
    ]
    with pytest.raises(NotFetchedError, match=r"again later \(503\), it goes on after the 0\.2 of"):
        fetch_file(FILE)
    (partial,) = blobs(tmp_path)
    assert partial.endswith(".primaps.incomplete")
    size = (tmp_path / "hub-cache" / "models--them--weights" / "blobs" / partial).stat().st_size
    assert 100_000 < size <= 200_000
    weights.faults.clear()
    weights.starts.clear()
    assert fetch_file(FILE).read_bytes() == DATA
    assert weights.starts == [size]
    assert blobs(tmp_path) == [hashlib.sha256(DATA).hexdigest()]


def test_a_cut_that_lasts_is_told_with_what_is_there(weights, Fault):
    weights.faults.append(Fault("GET /cdn", cut=0, times=99))
    with pytest.raises(NotFetchedError, match=r"cut after 0\.0 of 0\.3 MB .*goes on where it stop"):
        fetch_file(FILE)


def test_a_storage_that_knows_no_ranges_begins_anew(weights, Fault):
    weights.ranges = False
    weights.faults.append(Fault("GET /cdn", cut=100_000))
    assert fetch_file(FILE).read_bytes() == DATA
    assert len(asked(weights, "GET /cdn")) == 2
    assert not weights.starts


def test_changed_bytes_are_never_used(weights, Fault, tmp_path):
    weights.faults.append(Fault("GET /cdn", garbled=True))
    with pytest.raises(NotFetchedError, match=r"checksum .* instead of .* Nothing of it was kept"):
        fetch_file(FILE)
    assert blobs(tmp_path) == []
    assert fetch_file(FILE).read_bytes() == DATA


@pytest.mark.parametrize("size", ["299999", "300001"])
def test_a_wrong_size_is_not_believed(weights, Fault, size):
    weights.faults.append(Fault("HEAD /them", headers={"X_Linked_Size": size}, times=9))
    with pytest.raises(NotFetchedError):
        fetch_file(FILE)
    weights.faults.clear()
    assert fetch_file(FILE).read_bytes() == DATA


def test_a_damaged_cache_is_found(weights):
    path = fetch_file(FILE)
    path.resolve().write_bytes(DATA[:1000])
    with pytest.raises(NotFetchedError, match=r"cache is damaged .*remove this file, and run"):
        fetch_file(FILE)
    path.resolve().unlink()
    assert fetch_file(FILE).read_bytes() == DATA


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_is_busy_is_asked_again(weights, Fault, status, pauses):
    weights.faults.append(Fault("HEAD /them", status=status, times=2))
    assert fetch_file(FILE).read_bytes() == DATA
    assert pauses == [1.0, 2.0]


def test_a_hub_that_wants_a_pause_gets_it_unless_it_is_long(weights, Fault, pauses):
    weights.faults.append(Fault("HEAD /them", status=429, headers={"Retry_After": "7"}))
    assert fetch_file(FILE).read_bytes() == DATA
    assert pauses == [7.0]
    weights.faults.append(Fault("HEAD /them", status=429, headers={"Retry_After": "600"}))
    with pytest.raises(NotFetchedError, match=r"no more requests .*run again later.* \(429\)"):
        fetch_file(HubFile(REPO, "config.json"))
    assert pauses == [7.0]


def test_a_hub_with_a_fault_that_lasts(weights, Fault):
    weights.faults.append(Fault("HEAD /them", status=500, times=99))
    with pytest.raises(NotFetchedError, match=r"a fault of its own: run again later \(500\)"):
        fetch_file(FILE)


def test_a_slow_storage_is_waited_for_again(weights, Fault, monkeypatch):
    import threading

    gate = threading.Event()
    monkeypatch.setattr("time.sleep", lambda seconds: gate.wait(min(seconds, 0.9)))
    weights.faults.append(Fault("GET /cdn", seconds=0.9))
    assert fetch_file(FILE).read_bytes() == DATA


@pytest.mark.parametrize("with_token", [False, True])
def test_gated_weights_say_where_to_accept_the_licence(weights, monkeypatch, with_token):
    weights.repositories[REPO].gated = True
    token = weights.token if with_token else None
    with pytest.raises(NotFetchedError) as caught:
        fetch_file(HubFile(REPO, NAME, token=token))
    told = str(caught.value)
    assert f"accept the licence: accept it at {weights.endpoint}/{REPO}" in told
    assert ("`hf auth login`, or set HF_TOKEN" in told) is not with_token
    assert ("with the account of your token" in told) is with_token
    weights.accepted.add(REPO)
    assert fetch_file(HubFile(REPO, NAME, token=weights.token)).read_bytes() == DATA


def test_what_is_not_there(weights):
    for file, told in (
        (HubFile("them/nothing", NAME), "knows no them/nothing"),
        (HubFile(REPO, "other.bin"), "no such file"),
        (HubFile(REPO, NAME, "v9"), "no such revision"),
    ):
        with pytest.raises(NotFetchedError, match=told) as caught:
            fetch_file(file)
        assert caught.value.missing is (told == "no such file")


def test_a_token_that_nobody_knows(weights, Fault):
    headers = {"X_Error_Message": "Invalid credentials in Authorization header"}
    weights.faults.append(Fault("HEAD /them", status=401, headers=headers, times=9))
    with pytest.raises(NotFetchedError, match="does not know the token: log in again"):
        fetch_file(HubFile(REPO, NAME, token="hf_old"))


def test_a_proxy_that_wants_a_password(weights, Fault):
    weights.faults.append(Fault("HEAD /them", status=407, times=9))
    with pytest.raises(NotFetchedError, match="HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT"):
        fetch_file(FILE)


def test_something_else_than_a_hub(weights, Fault):
    weights.faults.append(Fault("HEAD /them", status=200, times=9))
    with pytest.raises(NotFetchedError, match=r"is no Hugging Face hub .*check HF_ENDPOINT"):
        fetch_file(FILE)


def test_without_network_the_cache_serves(weights, monkeypatch):
    from huggingface_hub import constants

    path = fetch_file(FILE)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    weights.requests.clear()
    assert fetch_file(FILE) == path
    with pytest.raises(NotFetchedError, match="HF_HUB_OFFLINE is set, and the cache"):
        fetch_file(HubFile(REPO, "config.json"))
    assert not weights.requests


def test_a_hub_that_has_gone_is_not_missed(weights, monkeypatch):
    from huggingface_hub import constants

    path = fetch_file(FILE)
    gone = "http://127.0.0.1:9"
    monkeypatch.setattr(constants, "ENDPOINT", gone)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", gone + "/{repo_id}/resolve/{revision}/{filename}"
    )
    assert fetch_file(FILE) == path
    with pytest.raises(NotFetchedError, match="the download failed"):
        fetch_file(HubFile(REPO, "config.json"))


def test_too_little_room_is_told_before(weights, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OutputError, match=r"Expected 0 MB of free disk .* or set HF_HOME"):
        fetch_file(FILE)
    assert not asked(weights, "GET /cdn")


@pytest.mark.parametrize(
    ("code", "told"), [(errno.ENOSPC, "Make room, or set HF_HOME"), (errno.EROFS, "cannot be writ")]
)
def test_a_cache_that_cannot_be_written(weights, monkeypatch, code, told):
    import huggingface_hub.file_download

    def full(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(huggingface_hub.file_download, "http_get", full)
    with pytest.raises(OutputError, match=told):
        fetch_file(FILE)
