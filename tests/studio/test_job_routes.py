"""Jobs over HTTP: refit, split, accept, export and what is taken away."""

import io
import json
import shutil
import threading
import zipfile

import pytest


@pytest.fixture
def named(make_edit):
    make_edit(kind="name", **{"class": 0, "name": "hill"})
    make_edit(kind="name", **{"class": 1, "name": "sky"})


def test_a_refit_is_a_candidate_and_changes_nothing_else(client, named, do_job):
    before = client.get("/api/run").json()
    job = do_job(kind="refit")
    assert (job["status"], job["result"]) == ("done", {"candidate": 1}), job
    (found,) = client.get("/api/state").json()["candidates"]
    assert (found["number"], found["kind"]) == (1, "names")
    assert client.get("/api/run").json() == before


def test_a_refit_without_names_says_what_is_missing(do_job):
    job = do_job(kind="refit")
    assert job["status"] == "failed"
    assert "two or more classes with names" in job["error"]


def test_a_split_is_a_candidate(client, do_job):
    (largest,) = [client.get("/api/state").json()["classes"][0]["id"]]
    job = do_job(kind="split", **{"class": largest}, parts=2)
    assert job["status"] in {"done", "failed"}
    if job["status"] == "done":
        assert client.get("/api/state").json()["candidates"][0]["kind"] == "split"
    else:
        assert job["error"].startswith("Expected")


def test_an_accepted_candidate_is_what_is_shown_until_it_is_taken_back(
    client, studio, named, do_job
):
    events = []
    studio.served.tell = lambda kind, what: events.append(kind)
    before = client.get("/api/run").json()
    number = do_job(kind="refit")["result"]["candidate"]
    job = do_job(kind="accept", candidate=number)
    assert (job["status"], job["result"]) == ("done", {"candidate": number}), job
    after = client.get("/api/run").json()
    assert after["model"] != before["model"]
    assert after["num_clusters"] == 2
    assert client.get("/api/state").json()["accepted"] == number
    assert "run" in events
    assert do_job(kind="back")["status"] == "done"
    assert client.get("/api/run").json()["model"] == before["model"]


def test_nobody_edits_while_the_model_is_exchanged(client, studio):
    revision = client.get("/api/state").json()["revision"]
    edit = {"kind": "name", "class": 0, "name": "road"}
    with studio.served.exchanging("accept"):
        answer = client.post("/api/edit", json={"revision": revision, "edit": edit})
        assert answer.status_code == 409
        assert "'accept' exchanges the model" in answer.json()["error"]
        assert answer.json()["state"]["revision"] == revision
    assert client.post("/api/edit", json={"revision": revision, "edit": edit}).status_code == 200


def test_a_job_is_asked_for_and_stopped(client, studio):
    started = threading.Event()

    def work(progress):
        progress.start("turning", 4)
        started.set()
        while True:
            progress.advance(0)

    job = studio.jobs.begin("refit", work)
    started.wait(10)
    assert client.get("/api/jobs").json()["job"]["id"] == job.id
    assert client.get(f"/api/jobs/{job.id}").json()["stage"] == "turning"
    busy = client.post("/api/jobs", json={"kind": "export", "format": "coco"})
    assert busy.status_code == 409
    assert client.delete(f"/api/jobs/{job.id}").status_code == 202
    while client.get(f"/api/jobs/{job.id}").json()["status"] == "running":
        pass
    assert client.get(f"/api/jobs/{job.id}").json()["status"] == "cancelled"


def test_unknown_jobs_are_said_to_be(client):
    for name in ("7", "x", "..", "%2e%2e", "%00", "1" * 5000):
        assert client.get(f"/api/jobs/{name}").status_code == 404
        assert client.delete(f"/api/jobs/{name}").status_code == 404
    assert client.get("/api/jobs").json() == {"job": None}


def test_an_export_lies_in_the_run_and_comes_as_one_file(client, named, do_job, folder):
    job = do_job(kind="export", format="coco", options={"split": [], "min_area": 0})
    result = job["result"]
    assert (result["folder"], result["failures"]) == (str(folder / "exports/coco"), [])
    answer = client.get("/api/export", params={"name": "coco"})
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="coco.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        data = json.loads(archive.read("coco/annotations/instances.json"))
    assert len(names) == result["files"]
    assert all(name.startswith("coco/") and ".." not in name for name in names)
    assert {each["name"] for each in data["categories"]} >= {"hill", "sky"}
    assert len(data["images"]) == 4


def test_an_export_has_a_name_and_options(do_job, folder):
    options = {
        "name": "my-set_2",
        "split": [0.5, 0.5],
        "seed": 3,
        "min_area": 2,
        "unknown_below": 0.1,
        "polygons": True,
    }
    job = do_job(kind="export", format="coco", options=options)
    assert job["status"] == "done", job
    assert (folder / "exports/my-set_2/annotations").is_dir()
    again = do_job(kind="export", format="voc", options={"name": "my-set_2"})
    assert again["status"] == "failed"
    assert "in the format coco" in again["error"]


@pytest.mark.parametrize(
    "name",
    ["..", ".", "/etc", "a/b", "a\\b", "A", "a.b", "x" * 65, "a b", "\u00e9", "a\0", 7, [], True],
)
def test_other_names_of_exports_are_refused(client, folder, name):
    asked = {"kind": "export", "format": "coco", "options": {"name": name}}
    answer = client.post("/api/jobs", json=asked)
    assert answer.status_code == 400, answer.text
    assert not (folder / "exports").exists()
    if isinstance(name, str):
        assert client.get("/api/export", params={"name": name}).status_code == 400


def test_an_export_that_is_not_there_is_said_to_be(client):
    answer = client.get("/api/export", params={"name": "coco"})
    assert (answer.status_code, answer.json()["error"][:8]) == (404, "Expected")


def test_links_are_not_followed(client, folder, tmp_path, do_job):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.txt").write_text("secret")
    (folder / "exports").mkdir()
    (folder / "exports" / "out").symlink_to(tmp_path / "elsewhere")
    (folder / "exports" / "in").mkdir()
    (folder / "exports" / "in" / "a.txt").symlink_to(tmp_path / "elsewhere" / "secret.txt")
    for name in ("out", "in"):
        answer = client.get("/api/export", params={"name": name})
        assert answer.status_code == 409
        assert "links" in answer.json()["error"]
    job = do_job(kind="export", format="coco", options={"name": "out"})
    assert job["status"] == "failed"
    assert "is a link" in job["error"]
    assert [each.name for each in (tmp_path / "elsewhere").iterdir()] == ["secret.txt"]
    shutil.rmtree(folder / "exports")
    (folder / "exports").symlink_to(tmp_path)
    assert client.get("/api/export", params={"name": "elsewhere"}).status_code == 409


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"kind": None},
        {"kind": ["refit"]},
        {"kind": "cards"},
        {"kind": "split"},
        {"kind": "split", "class": 0, "parts": 1},
        {"kind": "split", "class": 0, "parts": 10**9},
        {"kind": "split", "class": "0", "parts": 2},
        {"kind": "split", "class": True, "parts": 2},
        {"kind": "accept"},
        {"kind": "accept", "candidate": "1"},
        {"kind": "accept", "candidate": -1},
        {"kind": "accept", "candidate": 1.0},
        {"kind": "export"},
        {"kind": "export", "format": "../coco"},
        {"kind": "export", "format": "coco", "options": []},
        {"kind": "export", "format": "coco", "options": {"split": [0.5]}},
        {"kind": "export", "format": "coco", "options": {"split": ["x"]}},
        {"kind": "export", "format": "coco", "options": {"split": [0.25] * 4}},
        {"kind": "export", "format": "coco", "options": {"seed": -1}},
        {"kind": "export", "format": "coco", "options": {"min_area": "1"}},
        {"kind": "export", "format": "coco", "options": {"unknown_below": 2}},
        {"kind": "export", "format": "coco", "options": {"polygons": 1}},
    ],
)
def test_other_jobs_are_refused_in_words(client, asked):
    answer = client.post("/api/jobs", json=asked)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"].startswith("Expected")
    assert client.get("/api/jobs").json() == {"job": None}
