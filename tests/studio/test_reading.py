"""What is read from a studio."""

import io
import json
import zlib

import numpy as np
import pytest
from PIL import Image

ODD_NAMES = (
    "",
    ".",
    "..",
    "../run.json",
    "../../etc/passwd",
    "..%2f..%2fetc/passwd",
    "/etc/passwd",
    "C:\\Windows\\win.ini",
    "0.png/../0.png",
    "sub/../0.png",
    "./0.png",
    "0.png\0",
    "0.png\0.jpg",
    "\0",
    "\u202e0.png",
    "0.png ",
    "0.PNG",
    "\ufffd",
    "\u00e9" * 5000,
    "<script>alert(1)</script>",
    "run.json",
    "~/.ssh/id_rsa",
    "labels/0.png",
)


def decoded(answer, number):
    shape = int(answer.headers["x-height"]), int(answer.headers["x-width"])
    found = np.frombuffer(zlib.decompress(answer.content), "<u2")
    return found.reshape(number, *shape)


def test_the_record_is_that_of_the_viewer(client, folder):
    answer = client.get("/api/run")
    record = answer.json()
    assert record["images"]["name"] == ["0.png", "2.png", "sub/1.png", "sub/3.png"]
    assert record["num_clusters"] == 4
    tag = answer.headers["etag"]
    assert client.get("/api/run", headers={"If-None-Match": tag}).status_code == 304
    assert client.get("/api/run", headers={"If-None-Match": '"x"'}).status_code == 200


def test_the_state_is_not_kept_by_browsers(client):
    answer = client.get("/api/state")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert [each["id"] for each in answer.json()["classes"]] == [0, 1, 2, 3]


def test_photographs_come_at_the_size_that_is_asked_for(client):
    answer = client.get("/api/photo", params={"image": "sub/1.png", "side": 32})
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (32, 24)
    assert client.get("/api/photo", params={"image": "sub/1.png"}).status_code == 200


def test_maps_hold_clusters_and_proposals(client, folder):
    answer = client.get("/api/maps", params={"image": "0.png", "v": "7"})
    labels, proposals = decoded(answer, 2)
    assert (labels == np.array(Image.open(folder / "labels/0.png.png"))).all()
    assert proposals.shape == (48, 64)
    assert proposals.max() >= 1
    small = client.get("/api/maps", params={"image": "0.png", "side": 16})
    assert decoded(small, 2).shape == (2, 12, 16)


def test_certainty_comes_where_there_is_some(client, folder):
    answer = client.get("/api/certainty", params={"image": "0.png"})
    assert len(zlib.decompress(answer.content)) == 48 * 64
    (folder / "certainty/0.png.png").unlink()
    gone = client.get("/api/certainty", params={"image": "0.png"})
    assert (gone.status_code, gone.content) == (204, b"")


def test_a_card_shows_one_proposal(client):
    answer = client.get("/api/card", params={"image": "0.png", "proposal": 1})
    assert Image.open(io.BytesIO(answer.content)).format == "JPEG"
    missing = client.get("/api/card", params={"image": "0.png", "proposal": 60000})
    assert missing.status_code == 404
    assert "60000" in missing.json()["error"]


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("photo", {"image": "0.png", "side": 20}),
        ("maps", {"image": "0.png"}),
        ("certainty", {"image": "0.png"}),
        ("card", {"image": "0.png", "proposal": 1}),
    ],
)
def test_pictures_are_kept_until_their_files_change(client, folder, path, parameters):
    first = client.get(f"/api/{path}", params=parameters)
    assert first.headers["cache-control"] == "private, no-cache"
    given = {"If-None-Match": f'W/"x", {first.headers["etag"]}'}
    again = client.get(f"/api/{path}", params=parameters, headers=given)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    head = client.head(f"/api/{path}", params=parameters)
    assert head.status_code == 200
    for changed in (folder.parent / "run").rglob("0.png.png"):
        Image.open(changed).copy().save(changed.with_name("new.png"))
        changed.with_name("new.png").replace(changed)
    if path in {"maps", "card"}:
        later = client.get(f"/api/{path}", params=parameters, headers=given)
        assert later.headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize("path", ["photo", "maps", "certainty", "card", "alike"])
def test_names_are_looked_up_and_never_become_paths(client, path):
    for name in ODD_NAMES:
        answer = client.get(f"/api/{path}", params={"image": name, "proposal": 1})
        assert answer.status_code == 404, name
        assert answer.json()["error"].startswith("Expected the name of an image")
        assert answer.headers["content-type"] == "application/json"


def test_wrong_sizes_are_refused_in_words(client):
    for query in (
        "image=0.png&side=0",
        "image=0.png&side=-1",
        "image=0.png&side=1e3",
        "image=0.png&side=99999999999999999999999",
        "image=0.png&side=x",
        "image=0.png&side=",
        "image=0.png&side=NaN",
        "image=0.png&side=%00",
        "image=0.png&side=\u0663",
        "side=20",
        "",
    ):
        for path in ("photo", "maps"):
            answer = client.get(f"/api/{path}?{query}")
            assert answer.status_code == 400, answer.text
            assert "Expected" in answer.json()["error"]


def test_what_is_not_there_is_said_in_words(client):
    for query in (
        "candidate?number=1",
        "candidate?number=../1",
        "candidate?number=0",
        "candidate",
        "maps?image=0.png&candidate=7",
        "maps?image=0.png&candidate=../../x",
        "card?image=0.png&proposal=0",
        "card?image=0.png&proposal=99999",
        "card?image=0.png",
        "suggestions?round=-1",
        "suggestions?groups=0",
        "suggestions?round=1.5",
        "alike?image=0.png&proposal=x",
    ):
        answer = client.get(f"/api/{query}")
        assert answer.status_code in {400, 404}, answer.text
        assert answer.json()["error"].startswith("Expected")


def test_unknown_addresses_are_said_to_be(client):
    for path in ("/api/nothing", "/api", "/api/jobs/1/2", "/nothing", "/api/%2e%2e/run.json"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "there is nothing at" in answer.json()["error"]


def test_other_methods_are_refused(client):
    for method, path in (
        ("GET", "/api/edit"),
        ("GET", "/api/undo"),
        ("GET", "/api/reject"),
        ("GET", "/api/try"),
        ("POST", "/api/state"),
        ("POST", "/api/photo?image=0.png"),
        ("PUT", "/api/edit"),
        ("PATCH", "/api/edit"),
        ("DELETE", "/api/run"),
        ("TRACE", "/api/run"),
        ("OPTIONS", "/api/run"),
        ("POST", "/"),
    ):
        answer = client.request(method, path)
        assert answer.status_code == 405, (method, path)
        assert "another method" in answer.json()["error"]


def test_a_script_in_a_class_name_is_text(client, make_edit):
    name = "<script>alert('1')</script>"
    made = make_edit(kind="name", **{"class": 0, "name": name})
    assert made["state"]["classes"][0]["name"] == name
    answer = client.get("/api/state")
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.text)["classes"][0]["name"] == name
    assert "alert" not in client.get("/").text


def test_a_photograph_that_is_gone_is_said_to_be(folder, open_client):
    manifest = folder / "store" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("/0.png", "/gone.png"))
    client = open_client(folder)
    answer = client.get("/api/photo", params={"image": "0.png"})
    assert answer.status_code == 400
    assert "gone.png" in answer.json()["error"]
    assert client.get("/api/maps", params={"image": "0.png"}).status_code == 200


def test_a_folder_of_predict_has_pictures_and_names(folder, tmp_path, open_client):
    from primaps import pipeline

    pipeline.predict_from_store(pipeline.reopen(folder, {}), tmp_path / "out", folder / "model")
    client = open_client(tmp_path / "out")
    assert client.get("/api/run").json()["total_images"] == 4
    for path in ("photo", "maps"):
        assert client.get(f"/api/{path}", params={"image": "0.png"}).status_code == 200, path
    edit = {"kind": "name", "class": 0, "name": "road"}
    assert client.post("/api/edit", json={"revision": 0, "edit": edit}).status_code == 200
    for path in ("card?image=0.png&proposal=1", "suggestions", "alike?image=0.png&proposal=1"):
        answer = client.get(f"/api/{path}")
        assert answer.status_code in {400, 404}, path
        assert answer.json()["error"].startswith("Expected")


def test_candidates_are_compared_with_the_run(client, make_edit, do_job):
    make_edit(kind="name", **{"class": 0, "name": "hill"})
    make_edit(kind="name", **{"class": 1, "name": "sky"})
    job = do_job(kind="refit")
    assert job["status"] == "done", job
    number = job["result"]["candidate"]
    found = client.get("/api/candidate", params={"number": number}).json()
    assert found["candidate"]["number"] == number
    assert [each["name"] for each in found["classes"]] == ["hill", "sky"]
    assert [sum(pixels for _, pixels in row) for row in found["images"]] == [48 * 64] * 4
    maps = client.get("/api/maps", params={"image": "0.png", "candidate": number})
    assert set(np.unique(decoded(maps, 2)[0])) <= {0, 1}


def test_pixels_of_a_split_are_counted_by_class(client, make_edit, do_job):
    """The new cluster has the number of another class here."""
    make_edit(kind="say", proposals=[["0.png", 1]], **{"class": "lost"})
    make_edit(kind="retract", proposals=[["0.png", 1]])
    lost = next(
        each for each in client.get("/api/state").json()["classes"] if each["name"] == "lost"
    )
    job = do_job(kind="split", parts=2, **{"class": 0})
    assert job["status"] == "done", job
    found = client.get("/api/candidate", params={"number": job["result"]["candidate"]}).json()
    owner = {cluster: each["id"] for each in found["classes"] for cluster in each["clusters"]}
    assert owner[lost["id"]] != lost["id"]  # as a cluster and as a class
    counted = {class_id for row in found["images"] for class_id, _ in row}
    assert lost["id"] not in counted
    assert counted <= {*owner.values(), 255}
