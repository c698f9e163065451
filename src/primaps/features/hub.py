"""Whether the Hugging Face hub can be reached at all."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def hub_is_known() -> bool:
    """False where the hub's name cannot be looked up: then only its cache is asked, instead of half
    a minute of retries.
    """
    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    host, proxies = str(address.hostname), getproxies()  # among which no_proxy, as "no"
    if {address.scheme, "all"} & proxies.keys() and not proxy_bypass(host):
        return True  # a proxy looks names up itself
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True
