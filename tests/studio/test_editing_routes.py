"""What is changed through a studio."""

import itertools
import json
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

STRANGE = (
    None,
    True,
    -1,
    1.5,
    1e400,
    2**63,
    10**400,
    "",
    "0",
    "x" * 100_000,
    "\0",
    "a\nb",
    "\u202e\u0000",
    [],
    [[]],
    [None],
    {},
    {"kind": "name"},
    [["0.png", 1, 2]],
    [["0.png", "1"]],
    [["../../etc/passwd", 1]],
    [["0.png", -1]],
)
KINDS = {
    "name": {"class": 0, "name": "road"},
    "merge": {"classes": [0, 1], "name": "road"},
    "ignore": {"class": 0, "ignore": True},
    "colour": {"class": 0, "colour": "#102030"},
    "note": {"class": 0, "note": "here"},
    "say": {"proposals": [["0.png", 1]], "class": 0},
    "alike": {"image": "0.png", "proposal": 1, "class": 0},
    "retract": {"proposals": [["0.png", 1]]},
    "cut": {"classes": 2},
    "dataset": {"name": "camvid"},
    "reset": {},
}


@pytest.mark.parametrize("kind", [each for each in KINDS if each != "retract"])
def test_every_kind_of_edit_is_made_and_undone_and_done_again(client, make_edit, kind):
    before = client.get("/api/state").json()
    made = make_edit(kind=kind, **KINDS[kind])
    assert made["made"]
    after = made["state"]
    if made["made"] == "Nothing changed.":
        assert after == before
        return
    assert after["revision"] > before["revision"]
    undone = client.post("/api/undo", json={"revision": after["revision"]}).json()["state"]
    assert undone["classes"] == before["classes"]
    assert undone["corrections"] == before["corrections"]
    again = client.post("/api/redo", json={"revision": undone["revision"]}).json()["state"]
    assert again["classes"] == after["classes"]
    assert again["corrections"] == after["corrections"]


def test_what_was_said_is_taken_back(make_edit):
    make_edit(kind="say", proposals=[["0.png", 1]], **{"class": "stone"})
    made = make_edit(kind="retract", proposals=[["0.png", 1]])
    assert made["state"]["corrections"] == {}


def test_edits_lie_on_disk_at_once(make_edit, folder):
    make_edit(kind="name", **{"class": 0, "name": "Stra\u00dfe"})
    assert "Stra\u00dfe" in (folder / "classes.yaml").read_text("utf-8")


def test_undo_outlives_the_studio(client, make_edit, folder, open_client):
    make_edit(kind="name", **{"class": 0, "name": "road"})
    other = open_client(folder)
    state = other.get("/api/state").json()
    assert state["classes"][0]["name"] == "road"
    undone = other.post("/api/undo", json={"revision": state["revision"]})
    assert undone.json()["state"]["classes"][0]["name"] is None


def test_the_later_of_two_is_told_and_nothing_is_lost(client, make_edit):
    revision = client.get("/api/state").json()["revision"]
    make_edit(kind="name", **{"class": 0, "name": "first"})
    edit = {"kind": "name", "class": 1, "name": "second"}
    late = client.post("/api/edit", json={"revision": revision, "edit": edit})
    assert late.status_code == 409
    assert late.json()["state"]["classes"][0]["name"] == "first"
    again = {"revision": late.json()["state"]["revision"], "edit": edit}
    assert client.post("/api/edit", json=again).status_code == 200
    names = [each["name"] for each in client.get("/api/state").json()["classes"]]
    assert names[:2] == ["first", "second"]


def test_of_two_at_the_same_moment_one_is_told(client):
    revision = client.get("/api/state").json()["revision"]
    answers = []

    def write(number):
        edit = {"kind": "name", "class": number, "name": f"class of {number}"}
        answers.append(client.post("/api/edit", json={"revision": revision, "edit": edit}))

    threads = [threading.Thread(target=write, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.status_code for each in answers) == [200, 409]
    named = [each["name"] for each in client.get("/api/state").json()["classes"] if each["name"]]
    assert len(named) == 1


def test_two_studios_at_one_run_see_each_other(client, make_edit, folder, open_client):
    other = open_client(folder)
    revision = other.get("/api/state").json()["revision"]
    make_edit(kind="name", **{"class": 0, "name": "road"})
    late = other.post("/api/undo", json={"revision": revision})
    assert late.status_code == 409
    assert other.get("/api/state").json()["classes"][0]["name"] == "road"


def test_strange_values_in_every_field_are_refused_in_words(client):
    before = client.get("/api/state").json()
    for kind, fields in KINDS.items():
        for name, strange in itertools.product(["kind", *fields], STRANGE):
            edit = {"kind": kind, **fields, name: strange}
            text = json.dumps({"revision": before["revision"], "edit": edit})
            answer = client.post(
                "/api/edit", content=text, headers={"Content-Type": "application/json"}
            )
            if answer.status_code == 200:  # texts and null are none too strange for some
                text = strange.replace("\n", "") if isinstance(strange, str) else ""
                assert len(text) < 100, edit
                assert text.isprintable() or kind == "note", edit
                before = answer.json()["state"]
                continue
            assert answer.status_code in {400, 404}, (edit, answer.text)
            assert answer.json()["error"].startswith(("Expected", "Unknown")), answer.text
    assert client.get("/api/state").json() == before


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["revision", "edit", "kind", "class", "name", "proposals", "image"])
                | st.text(max_size=3),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_whatever_json_comes_the_answer_is_a_sentence(client, value):
    for path in ("edit", "undo", "redo", "reject", "jobs"):
        answer = client.post(
            f"/api/{path}",
            content=json.dumps(value),
            headers={"Content-Type": "application/json"},
        )
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.json()["error"].startswith("Expected")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (b'{"revision": NaN}', 400),
        (b'{"revision": Infinity}', 400),
        (b'{"revision": 1e999}', 400),
        (b'{"revision": ' + b"9" * 5000 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400),
        (b'{"edit": "\\ud800"}', 400),
        (b'{"revision": 0, "edit": "' + b"x" * 5_000_000 + b'"}', 413),
    ],
    ids=range(13),
)
def test_what_is_no_json_is_refused_in_words(client, content, status):
    for path in ("edit", "undo", "jobs"):
        answer = client.post(
            f"/api/{path}", content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == status, answer.text
        assert answer.json()["error"].startswith("Expected")


def test_forms_of_other_pages_are_refused(client):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = client.post("/api/undo", content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 415, kind


def test_images_of_edits_are_looked_up(client):
    revision = client.get("/api/state").json()["revision"]
    for name in ("../../etc/passwd", "/etc/passwd", "0.png\0", "sub/../0.png"):
        for edit in (
            {"kind": "say", "proposals": [[name, 1]], "class": 0},
            {"kind": "alike", "image": name, "proposal": 1, "class": 0},
        ):
            answer = client.post("/api/edit", json={"revision": revision, "edit": edit})
            assert answer.status_code == 404, answer.text


def test_a_candidate_is_rejected_and_an_accepted_one_is_not(client, make_edit, do_job, folder):
    make_edit(kind="name", **{"class": 0, "name": "hill"})
    make_edit(kind="name", **{"class": 1, "name": "sky"})
    number = do_job(kind="refit")["result"]["candidate"]
    answer = client.post("/api/reject", json={"candidate": number})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"]["candidates"] == []
    assert not (folder / "candidates" / str(number)).exists()
    assert client.post("/api/reject", json={"candidate": number}).status_code == 400
    number = do_job(kind="refit")["result"]["candidate"]
    assert do_job(kind="accept", candidate=number)["status"] == "done"
    refused = client.post("/api/reject", json={"candidate": number})
    assert refused.status_code == 400
    assert "accepted" in refused.json()["error"]


def test_corrections_that_somebody_broke_are_named_by_their_line(client, folder):
    (folder / "corrections.jsonl").write_text("nonsense\n")
    answer = client.get("/api/state")
    assert answer.status_code == 400
    assert "corrections.jsonl" in answer.json()["error"]
    assert (folder / "corrections.jsonl").read_text() == "nonsense\n"
