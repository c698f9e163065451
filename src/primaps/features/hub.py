"""Whether the Hugging Face hub can be reached at all."""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

_PATIENCE: Final = 3.0
"""Seconds in which a proxy has to answer."""


def hub_is_known() -> bool:
    """False where the hub's name cannot be looked up, or the proxy does not answer: then only its
    cache is asked, instead of half a minute of retries.
    """
    address, proxy = _hub(), hub_proxy()
    try:
        if proxy is None:
            socket.getaddrinfo(address.hostname, None)
            return True
        place = urlsplit(f"//{proxy}")
        if place.port is not None:  # the proxy looks names up itself
            socket.create_connection((place.hostname, place.port), timeout=_PATIENCE).close()
    except OSError:
        return False
    return True


def hub_proxy() -> str | None:
    """Host, and port if one is given, of the proxy by which the hub is reached; None = by none."""
    address, proxies = _hub(), getproxies()  # among which no_proxy, as "no"
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if proxy is None or proxy_bypass(str(address.hostname)):
        return None
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        port = parts.port
    except ValueError:  # who uses it will say what is wrong
        return proxy.rpartition("@")[2].partition(":")[0]
    host = str(parts.hostname)
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"


def no_network(what: str) -> str:
    """Why something of the hub cannot be had where `hub_is_known` is false.

    Args:
        what: "it" or "them".
    """
    proxy = hub_proxy()
    by = "" if proxy is None else f" by the proxy {proxy}, which does not answer"
    return f"there is no network{by}, and the cache of the hub does not hold {what}"


def _hub() -> SplitResult:
    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT)
