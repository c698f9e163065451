"""The page and what it loads."""

import re


def test_the_page_allows_its_own_scripts_only(client):
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    (nonce,) = re.findall(r"'nonce-(\w+)'", policy)
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    for script in re.findall(r"<script[^>]*>", answer.text):
        assert f'nonce="{nonce}"' in script
    assert nonce not in client.get("/").headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_the_title_is_text(folder, open_client):
    odd = folder.rename(folder.with_name("<b>&'\""))
    text = open_client(odd).get("/").text
    assert "&lt;b&gt;&amp;" in text
    assert "<b>" not in text


def test_nothing_comes_from_elsewhere(client):
    for address in re.findall(r"""(?:src|href)=["']([^"']+)""", client.get("/").text):
        assert address.startswith(("/web/", "data:")), address
        assert client.get(address).status_code == 200 if address.startswith("/") else True


def test_modules_are_served_as_what_they_are(client):
    answer = client.get("/web/dom.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "no-cache"
    again = client.get("/web/dom.js", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_nothing_outside_the_folder_of_modules_is_served(client):
    for path in (
        "../page.py",
        "%2e%2e/page.py",
        "..%2f..%2f..%2ferrors.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "studio/../../page.py",
        "..\\page.py",
        "dom.js%00",
        "%00",
        "",
        "studio",
        "x" * 5000,
    ):
        answer = client.get(f"/web/{path}")
        assert answer.status_code in {404, 405}, path
        assert "import" not in answer.text
