"""What browsers are told as it happens."""

import asyncio
import json
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("starlette", reason="the extra studio is not installed")

from primaps.studio.events import WAITING, Events, watch


async def until(condition):
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.01)
    assert condition()


def parsed(message):
    kind, data = message.decode().strip().split("\n")
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_everybody_who_listens_is_told_also_from_other_threads():
    async def scene():
        events = Events()
        listeners = [events.listen() for _ in range(2)]
        for each in listeners:
            assert await anext(each) == b"retry: 1000\n\n"
        name = "a\nb</script>\u00fc"
        threading.Thread(target=events.tell, args=("state", {"name": name})).start()
        for each in listeners:
            assert parsed(await anext(each)) == ("state", {"name": name})
        events.close()
        for each in listeners:
            assert [message async for message in each] == []
        assert [message async for message in events.listen()] == [b"retry: 1000\n\n"]

    asyncio.run(scene())


def test_who_is_slow_misses_the_oldest():
    async def scene():
        events = Events()
        listener = events.listen()
        await anext(listener)
        for number in range(WAITING + 10):
            events.tell("state", {"revision": number})
        await asyncio.sleep(0)
        assert parsed(await anext(listener))[1] == {"revision": 10}
        await listener.aclose()
        assert not events._listeners

    asyncio.run(scene())


def test_in_silence_a_line_shows_who_has_left(monkeypatch):
    monkeypatch.setattr("primaps.studio.events.SILENCE", 0.01)

    async def scene():
        listener = Events().listen()
        await anext(listener)
        assert (await anext(listener)).startswith(b":")
        await listener.aclose()

    asyncio.run(scene())


def test_changes_are_noticed(monkeypatch):
    monkeypatch.setattr("primaps.studio.events.EVERY", 0.01)

    async def scene():
        looks, changes = [1, 1, 2, 2, 3], []
        task = asyncio.create_task(
            watch(lambda: looks.pop(0) if len(looks) > 1 else looks[0], lambda: changes.append(1))
        )
        await until(lambda: len(changes) == 2)
        task.cancel()

    asyncio.run(scene())


def test_what_cannot_be_read_does_not_end_the_watch(monkeypatch, caplog):
    monkeypatch.setattr("primaps.studio.events.EVERY", 0.01)
    looks, changes = [1, 2, 3], []

    def changed():
        changes.append(1)
        raise KeyError("moves")

    async def scene():
        task = asyncio.create_task(
            watch(lambda: looks.pop(0) if len(looks) > 1 else looks[0], changed)
        )
        await until(lambda: len(changes) == 2)
        task.cancel()

    asyncio.run(scene())
    assert "could not be read" in caplog.text


@pytest.fixture
def heard(studio):
    """Events of the studio, as they come."""
    found = []
    tell = studio.served.tell
    studio.served.tell = lambda kind, what: (found.append((kind, what)), tell(kind, what))
    return found


def waited(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_an_edit_is_told(client, heard, make_edit):
    made = make_edit(kind="name", **{"class": 0, "name": "road"})
    assert heard == [("state", {"revision": made["state"]["revision"]})]


@pytest.mark.slow
def test_what_the_command_line_changes_is_told(client, heard, folder):
    before = client.get("/api/state").json()["revision"]
    command = [sys.executable, "-m", "primaps", "classes", str(folder), "--name", "0=road"]
    subprocess.run(command, check=True, capture_output=True)
    waited(lambda: heard)
    state = client.get("/api/state").json()
    assert state["classes"][0]["name"] == "road"
    assert state["revision"] > before
    assert heard[-1] == ("state", {"revision": state["revision"]})


def test_a_mistake_that_comes_from_outside_is_told_and_so_is_its_end(client, heard, folder):
    path = folder / "classes.yaml"
    text = path.read_text("utf-8")
    path.write_text("classes: [", "utf-8")
    waited(lambda: len(heard) == 2)
    assert [kind for kind, _ in heard] == ["state", "problem"]
    assert "classes.yaml" in heard[1][1]["error"]
    answer = client.get("/api/state")
    assert answer.status_code == 400
    assert "classes.yaml" in answer.json()["error"]
    path.write_text(text + "# mended\n", "utf-8")
    waited(lambda: len(heard) == 3)
    assert client.get("/api/state").status_code == 200
    assert path.read_text("utf-8").endswith("# mended\n")


@pytest.mark.slow
def test_a_model_that_is_accepted_elsewhere_is_told(client, heard, make_edit, do_job, folder):
    make_edit(kind="name", **{"class": 0, "name": "hill"})
    make_edit(kind="name", **{"class": 1, "name": "sky"})
    assert do_job(kind="refit")["status"] == "done"
    before = client.get("/api/run").json()["model"]
    command = [sys.executable, "-m", "primaps", "accept", str(folder), "1"]
    subprocess.run(command, check=True, capture_output=True)
    waited(lambda: any(kind == "run" for kind, _ in heard))
    assert client.get("/api/run").json()["model"] != before
    assert client.get("/api/state").json()["accepted"] == 1
