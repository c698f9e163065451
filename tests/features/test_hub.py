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
