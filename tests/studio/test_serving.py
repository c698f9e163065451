"""The studio as a process: what it prints, how it ends, what it leaves when it is killed."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the extra studio is not installed")

from primaps.errors import ConfigError
from primaps.studio import serving
from primaps.studio.guarding import Door
from primaps.studio.serving import PORT, Told, address, listening, tunnel

TOKEN = "the-token-of-this-test"
MARK = {"X-Primaps": "1"}


def test_the_usual_port_is_taken_if_it_is_free():
    with listening("127.0.0.1", None) as first:
        if first.getsockname()[1] == PORT:
            first.listen()
        with listening("127.0.0.1", 0) as second:
            assert second.getsockname()[1] not in {0, first.getsockname()[1]}


def test_a_port_that_is_taken_is_said_to_be():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}, but got"):
            listening("127.0.0.1", port).__enter__()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "\u00fc" * 100, "203.0.113.1"])
def test_a_host_that_is_not_this_machine_is_said_to_be(host):
    with pytest.raises(ConfigError, match="Expected"):
        listening(host, None).__enter__()


def test_addresses_are_those_to_open():
    for host, shown in (
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("localhost", "localhost"),  # which may be ::1, or 127.0.0.1
        ("::1", "[::1]"),
        ("::", "[::1]"),
        ("192.168.1.7", "192.168.1.7"),
        ("fe80::1", "[fe80::1]"),
    ):
        door = Door("t", 9, host)
        assert address(door, "t") == f"http://{shown}:9/?token=t"
        assert tunnel(door).startswith(f"ssh -L 9:{shown}:9 ")
        assert door.knows(f"{shown}:9")


def test_a_browser_is_opened_by_a_ticket_as_command_lines_can_be_read(monkeypatch):
    opened, said = [], []
    monkeypatch.setattr(serving, "_is_remote", lambda: False)
    monkeypatch.setattr(serving, "_open", lambda address: opened.append(address) or True)
    told = Told(said.append, said.append)
    serving._welcome(Door("secret", 9), lambda: "once", told)
    assert opened == ["http://127.0.0.1:9/?token=once"]
    assert said[0] == "http://127.0.0.1:9/?token=secret"
    serving._welcome(Door("secret", 9), None, told)
    assert len(opened) == 1


@contextlib.contextmanager
def begun(folder, *options):
    """The command, with pipes; killed at the end if it has not ended."""
    path = str(Path(__file__).parents[2] / "src")
    variables = {**os.environ, "PYTHONPATH": path, "COLUMNS": "20"}
    with subprocess.Popen(
        [sys.executable, "-m", "primaps", "studio", str(folder), "--no-browser", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=variables,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def rest(process):
    """What it prints until it ends."""
    process.wait(30)
    return process.stdout.read(), process.stderr.read()


def asked(url, path, **options):
    """An answer, with the token in its header."""
    import httpx2

    address, token = url.strip().split("/?token=")
    headers = {"Authorization": f"Bearer {token}", **MARK}
    method = "POST" if options else "GET"
    return httpx2.request(method, address + path, headers=headers, timeout=60, **options)


@pytest.mark.slow
def test_the_address_comes_alone_on_its_line_through_a_pipe_and_ctrl_c_ends_it(folder):
    """A terminal of 20 columns breaks no address."""
    with begun(folder) as process:
        line = process.stdout.readline()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{40,}\n", line)
        assert asked(line, "/api/state").status_code == 200  # at once
        assert asked(line.replace("token=", "token=x"), "/api/state").status_code == 401
        process.send_signal(signal.SIGINT)
        out, err = rest(process)
    assert (process.returncode, err) == (0, "")
    assert re.search(r"^ssh -L (\d+):127\.0\.0\.1:\1 \S+$", out, re.MULTILINE)


@pytest.mark.slow
def test_elsewhere_it_warns_and_still_wants_the_token(folder):
    with begun(folder, "--host", "0.0.0.0", "--port", "0") as process:
        line = process.stdout.readline()
        assert asked(line, "/api/state").status_code == 200
        assert asked(line.replace("token=", "token=x"), "/api/state").status_code == 401
        process.send_signal(signal.SIGTERM)
        out, err = rest(process)
    assert process.returncode == 0
    assert "whoever reaches this machine" in err
    assert "ssh -L" in out


@pytest.mark.slow
def test_ctrl_c_ends_it_though_somebody_listens_and_a_job_is_running(folder):
    import httpx2

    with begun(folder) as process:
        line = process.stdout.readline()
        address, token = line.strip().split("/?token=")
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.stream("GET", f"{address}/api/events", headers=headers, timeout=60) as events:
            assert events.headers["content-type"].startswith("text/event-stream")
            job = asked(line, "/api/jobs", json={"kind": "export", "format": "coco"})
            assert job.status_code == 202
            process.send_signal(signal.SIGINT)
            for _ in events.iter_bytes():
                pass
        _, err = rest(process)
    assert (process.returncode, err) == (0, "")


@pytest.mark.slow
def test_killed_while_it_writes_it_leaves_whole_files_and_the_next_one_has_all(
    folder, running_studio
):
    """Whatever was answered is there; files are whole at any moment."""
    import httpx2

    said, process_ended = [], threading.Event()
    with running_studio(folder) as studio:

        def write():
            revision = asked(studio.url, "/api/state").json()["revision"]
            for number in range(10_000):
                edit = {"kind": "name", "class": number % 4, "name": f"name {number}"}
                try:
                    answer = asked(
                        studio.url, "/api/edit", json={"revision": revision, "edit": edit}
                    )
                except httpx2.HTTPError:
                    process_ended.set()
                    return
                assert answer.status_code == 200, answer.text
                revision = answer.json()["state"]["revision"]
                said.append((number % 4, f"name {number}"))

        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(2.0)
        studio.kill()
        writer.join(30)
    assert process_ended.is_set()
    assert len(said) > 3
    expected = dict(said)
    with running_studio(folder) as studio:
        state = asked(studio.url, "/api/state").json()
        for class_id, name in expected.items():
            known = state["classes"][class_id]["name"]
            later = known != name  # the last one may be written and not answered
            assert not later or int(known.split()[1]) == int(said[-1][1].split()[1]) + 1
        assert state["undo"]
        revision = state["revision"]
        undone = asked(studio.url, "/api/undo", json={"revision": revision})
        assert undone.status_code == 200
    for path in folder.rglob("*.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            json.loads(line)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for memory")
def test_a_large_upload_is_refused_and_memory_stays_flat(folder, running_studio):
    """200 MB arrive; what is sent without a length as well."""
    piece = bytes(1_000_000)
    with running_studio(folder) as studio:
        headers = {"Content-Type": "application/octet-stream", **MARK}

        def sent(content):
            import httpx2

            address, token = studio.url.split("/?token=")
            allowed = {"Authorization": f"Bearer {token}", **headers}
            return httpx2.post(f"{address}/api/try", content=content, headers=allowed, timeout=60)

        asked(studio.url, "/api/run")
        before = studio.memory_mib()
        answer = sent(piece for _ in range(200))
        assert answer.status_code == 413
        assert "32 MB" in answer.json()["error"]
        assert studio.memory_mib() < before + 100
        assert asked(studio.url, "/api/state").status_code == 200


@pytest.mark.slow
def test_slow_clients_hold_nobody_up(folder, running_studio):
    with running_studio(folder) as studio:
        slow = [socket.create_connection(("127.0.0.1", studio.port)) for _ in range(50)]
        for each in slow:
            each.sendall(b"POST /api/try HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % studio.port)
        started = time.monotonic()
        assert asked(studio.url, "/api/state").status_code == 200
        assert time.monotonic() - started < 10
        for each in slow:
            each.close()
