"""A studio without a network, and one that is a process of its own."""

import contextlib
import shutil
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
TOKEN = "the-token-of-this-test"
PORT = 8765
ADDRESS = f"http://127.0.0.1:{PORT}"
MARK = {"X-Primaps": "1"}


@pytest.fixture(scope="session")
def finished(tmp_path_factory, segment_four):
    """Folder of a run over four photographs with four clusters; not to be changed."""
    from primaps.pipeline.labelling import Extras

    return segment_four(tmp_path_factory.mktemp("studio"), extras=Extras(certainty=True))


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of the run to change."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def studio(folder):
    """The studio of the copy."""
    pytest.importorskip("starlette", reason="the extra studio is not installed")
    from primaps.studio.app import Studio
    from primaps.studio.guarding import Door

    return Studio(folder, Door(TOKEN, PORT))


@pytest.fixture
def stranger(studio):
    """A client without token or cookie."""
    from starlette.testclient import TestClient

    with TestClient(studio.app, base_url=ADDRESS, follow_redirects=False) as client:
        yield client


@pytest.fixture
def client(stranger):
    """A client that came with the token, as the page: with the header that it sends."""
    assert stranger.get(f"/?token={TOKEN}").status_code == 303
    stranger.headers.update(MARK)
    return stranger


@pytest.fixture
def open_client():
    """``open_client(folder)``: a client of another studio that came with the token."""
    pytest.importorskip("starlette", reason="the extra studio is not installed")
    from starlette.testclient import TestClient

    from primaps.studio.app import Studio
    from primaps.studio.guarding import Door

    with contextlib.ExitStack() as stack:

        def opened(folder):
            app = Studio(folder, Door(TOKEN, PORT)).app
            client = stack.enter_context(
                TestClient(app, base_url=ADDRESS, headers=MARK, follow_redirects=False)
            )
            assert client.get(f"/?token={TOKEN}").status_code == 303
            return client

        yield opened


@pytest.fixture
def make_edit(client):
    """``make_edit(kind="name", ...)`` on the newest state; gives the answer's JSON."""

    def edit(**asked):
        revision = client.get("/api/state").json()["revision"]
        answer = client.post("/api/edit", json={"revision": revision, "edit": asked})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return edit


@pytest.fixture
def do_job(client):
    """``do_job(kind="refit")``: the job when it has ended."""
    import time

    def job(**asked):
        answer = client.post("/api/jobs", json=asked)
        assert answer.status_code == 202, answer.text
        found = answer.json()
        until = time.monotonic() + 60
        while found["status"] == "running" and time.monotonic() < until:
            time.sleep(0.02)
            found = client.get(f"/api/jobs/{found['id']}").json()
        return found

    return job


@pytest.fixture(scope="session")
def running_studio():
    """``with running_studio(folder) as studio:``, of `tools/studio_scripts`."""
    pytest.importorskip("uvicorn", reason="the extra studio is not installed")
    sys.path.insert(0, str(TOOLS))
    try:
        from studio_scripts.running import running_studio
    finally:
        sys.path.remove(str(TOOLS))
    return running_studio
