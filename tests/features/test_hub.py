"""Whether the hub can be reached."""

import socket
import urllib.request

import pytest

from primaps.features import hub as module


@pytest.mark.parametrize(
    ("known", "proxies", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (False, {"https": "http://proxy"}, True),
        (False, {"all": "http://proxy"}, True),
        (False, {"no": "localhost"}, False),
        (False, {"ftp": "http://proxy"}, False),
        (False, {"https": "http://proxy", "no": "huggingface.co"}, False),
    ],
)
def test_a_name_that_cannot_be_looked_up_is_not_known_unless_a_proxy_does_it(
    monkeypatch, known, proxies, expected
):
    def look_up(*_):
        if not known:
            raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(module, "getproxies", lambda: proxies)
    monkeypatch.setattr(
        module, "proxy_bypass", lambda host: urllib.request.proxy_bypass_environment(host, proxies)
    )
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert module.hub_is_known() is expected


@pytest.fixture
def by_proxy(monkeypatch):
    def settle(proxy):
        monkeypatch.setattr(module, "getproxies", lambda: {"https": proxy})
        monkeypatch.setattr(module, "proxy_bypass", lambda _: False)

    return settle


def test_a_proxy_that_does_not_answer_is_no_network(by_proxy):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        by_proxy(f"http://me:secret@127.0.0.1:{port}")
        assert module.hub_is_known()
    assert not module.hub_is_known()
    told = module.no_network("them")
    assert f"by the proxy 127.0.0.1:{port}, which does not answer" in told
    assert "secret" not in told


@pytest.mark.parametrize("proxy", ["127.0.0.1", "http://[::1]", "http://x:port", "http://[broken"])
def test_a_proxy_of_another_form_is_left_to_who_uses_it(by_proxy, proxy):
    by_proxy(proxy)
    assert module.hub_is_known()


def test_what_lies_between_is_named(by_proxy):
    import httpx2

    by_proxy("http://me:secret@proxy:3128")
    told = module.why_refused(httpx2.ProxyError("403 Forbidden"), "them/weights")
    assert told == (
        "the download failed (ProxyError: 403 Forbidden): look at the proxy proxy:3128, and at"
        " HTTPS_PROXY"
    )
    error = httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    assert module.why_refused(error, "them/weights").endswith("by SSL_CERT_FILE")
    assert (
        module.why_refused(OSError("odd"), "them/weights") == "the download failed (OSError: odd)"
    )
