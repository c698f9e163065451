"""Who is let in."""

import socket

import pytest

TOKEN, PORT = "the-token-of-this-test", 8765
GETS = (
    "run",
    "state",
    "photo",
    "maps",
    "certainty",
    "card",
    "suggestions",
    "alike",
    "candidate",
    "formats",
    "backbones",
    "jobs",
    "jobs/1",
    "export",
    "try/1/photo",
    "events",
    "",
    "nothing/of/this/kind",
)
POSTS = ("edit", "undo", "redo", "reject", "jobs", "try", "nothing")


@pytest.fixture
def door():
    from primaps.studio.guarding import Door

    return lambda host="127.0.0.1": Door(TOKEN, PORT, host)


@pytest.mark.parametrize("path", GETS)
def test_nothing_is_read_without_the_token(stranger, path):
    for headers in (
        {},
        {"Authorization": "Bearer something"},
        {"Authorization": "Bearer "},
        {"Authorization": TOKEN},
        {"Cookie": f"primaps-{PORT}=something"},
        {"Cookie": f"primaps-{PORT + 1}={TOKEN}"},
        {"Cookie": f"primaps-{PORT}="},
        {"Cookie": f"primaps={TOKEN}"},
    ):
        answer = stranger.get(f"/api/{path}", headers=headers)
        assert answer.status_code == 401, headers
        assert "token" in answer.json()["error"]
        assert answer.headers["cache-control"] == "no-store"
    assert stranger.get(f"/api/{path}?token={TOKEN}").status_code == 401
    assert stranger.head(f"/api/{path}").status_code == 401
    assert stranger.options(f"/api/{path}").status_code == 401


@pytest.mark.parametrize("path", POSTS)
def test_nothing_is_changed_without_the_token(stranger, path):
    answer = stranger.post(f"/api/{path}", json={}, headers={"X-Primaps": "1"})
    assert answer.status_code == 401
    assert stranger.delete("/api/jobs/1", headers={"X-Primaps": "1"}).status_code == 401


def test_the_page_takes_the_token_once_and_gives_a_cookie(stranger):
    answer = stranger.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert answer.headers["cache-control"] == "no-store"
    parts = {each.strip().lower() for each in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= parts
    assert answer.headers["set-cookie"].startswith(f"primaps-{PORT}=")
    assert stranger.get("/").status_code == 200
    assert stranger.get("/api/state").status_code == 200


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", "\u00fc", "%00", "%ff"])
def test_a_wrong_token_opens_nothing(stranger, token):
    answer = stranger.get(f"/?token={token}")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert stranger.get("/").status_code == 401


def test_a_ticket_opens_once(studio, stranger):
    ticket = studio.app.ticket()
    assert ticket != TOKEN
    assert stranger.get("/?token=" + ticket[:-1]).status_code == 401
    answer = stranger.get(f"/?token={ticket}")
    assert answer.status_code == 303
    assert ticket not in answer.headers["set-cookie"]
    assert stranger.get("/api/state").status_code == 200
    stranger.cookies.clear()
    assert stranger.get(f"/?token={ticket}").status_code == 401


def test_the_token_may_come_as_a_header(stranger):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert stranger.get("/api/state", headers=headers).status_code == 200


def test_the_page_and_its_modules_are_closed_too(stranger):
    assert stranger.get("/").status_code == 401
    assert stranger.get("/web/types.js").status_code == 401


def test_who_is_led_here_by_another_page_asks_once_more(stranger):
    """The cookie does not come along from there."""
    led = stranger.get("/", headers={"Sec-Fetch-Site": "cross-site"})
    assert 'http-equiv="refresh"' in led.text
    assert "refresh" not in stranger.get("/", headers={"Sec-Fetch-Site": "same-origin"}).text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost:80",
        f"127.0.0.1:{PORT}.evil.example",
        f"x@127.0.0.1:{PORT}",
        f"127.0.0.1:{PORT}/x",
        f"127.0.0.2:{PORT}",
        f"[::2]:{PORT}",
        f"localhost.:{PORT}",
        "[::1",
        "127.0.0.1:99999999",
        "",
    ],
)
def test_other_hosts_are_refused(client, host):
    for path in ("/", "/api/state", "/web/types.js", f"/?token={TOKEN}"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 403, path
        assert "set-cookie" not in answer.headers
        assert "another host" in answer.json()["error"]


@pytest.mark.parametrize("host", [f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"])
def test_the_own_names_are_known(client, host):
    assert client.get("/api/state", headers={"Host": host}).status_code in {200, 401}


def test_a_bound_host_is_known_and_its_neighbours_are_not(door):
    assert door("192.168.1.7").knows(f"192.168.1.7:{PORT}")
    assert not door("192.168.1.7").knows(f"192.168.1.8:{PORT}")
    assert not door().knows(f"192.168.1.7:{PORT}")


def test_bound_everywhere_addresses_are_known_and_names_of_others_are_not(door):
    """Nobody can make an address mean another machine."""
    everywhere = door("0.0.0.0")
    assert everywhere.knows(f"192.168.1.7:{PORT}")
    assert everywhere.knows(f"{socket.gethostname()}:{PORT}")
    assert not everywhere.knows(f"evil.example:{PORT}")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": f"http://127.0.0.1:{PORT + 1}"},
        {"Origin": f"https://127.0.0.1:{PORT}"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": f"http://127.0.0.1:{PORT}", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"X-Primaps": None},
    ],
)
def test_pages_of_others_change_nothing(client, headers):
    before = client.get("/api/state").json()
    edit = {"revision": before["revision"], "edit": {"kind": "name", "class": 0, "name": "x"}}
    sent = {"X-Primaps": "1", "Content-Type": "application/json"} | headers
    if headers.get("X-Primaps", "1") is None:
        del client.headers["X-Primaps"], sent["X-Primaps"]
    answer = client.post("/api/edit", json=edit, headers=sent)
    assert answer.status_code == 403
    assert "Expected" in answer.json()["error"]
    assert client.get("/api/state").json() == before


def test_pages_of_others_read_nothing(client):
    for site in ("cross-site", "same-site"):
        assert client.get("/api/state", headers={"Sec-Fetch-Site": site}).status_code == 403
        assert client.get("/web/types.js", headers={"Sec-Fetch-Site": site}).status_code == 403


def test_the_own_page_is_let_through(client):
    headers = {"Origin": f"http://127.0.0.1:{PORT}", "Sec-Fetch-Site": "same-origin"}
    answer = client.post("/api/undo", json={"revision": 0}, headers=headers)
    assert answer.status_code == 400  # nothing to undo


def test_every_answer_has_the_headers_that_keep_others_away(client):
    for path in ("/", "/api/state", "/api/nothing", "/web/types.js", "/web/nothing.js"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "no-referrer", path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["cross-origin-resource-policy"] == "same-origin", path
        assert "access-control-allow-origin" not in headers, path
        assert "server" not in headers, path


def test_options_allow_nothing_to_others(client):
    answer = client.options("/api/edit", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_other_connections_are_not_answered(client):
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/events"):
        pass
