"""Whether the Hugging Face hub can be reached at all, and why it does not give what is wanted."""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

_PATIENCE: Final = 3.0
"""Seconds in which a proxy has to answer."""
_STATUS: Final = {
    401: "the hub does not know the token: log in again (`hf auth login`), or set another HF_TOKEN",
    407: "the proxy wants a name and a password: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT",
    429: "the hub takes no more requests from here for now: run again later, or after a login",
    500: "the hub has a fault of its own: run again later",
}
"""What answers of the hub mean, as clauses."""


def hub_is_known() -> bool:
    """False where the hub is switched off, its name cannot be looked up, or the proxy does not
    answer: then only its cache is asked, instead of half a minute of retries.
    """
    if _switched_off():
        return False
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
    if _switched_off():
        return f"HF_HUB_OFFLINE is set, and the cache of the hub does not hold {what}"
    proxy = hub_proxy()
    by = "" if proxy is None else f" by the proxy {proxy}, which does not answer"
    return f"there is no network{by}, and the cache of the hub does not hold {what}"


def why_refused(error: BaseException, repo_id: str, token: str | None = None) -> str:
    """Why the hub did not give something, and what to do about it, as a clause.

    Args:
        error: What `huggingface_hub` raised.
        repo_id: ``owner/name``.
        token: That was sent; None = the one that is stored, if there is one.
    """
    from huggingface_hub import get_token, utils

    page = f"{_hub().geturl()}/{repo_id}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, utils.GatedRepoError):
        login = "then log in here with `hf auth login`, or set HF_TOKEN"
        if (token or get_token()) is not None:
            login = "with the account of your token"
        return (
            f"its owner gives it only to those who accept the licence: accept it at {page},"
            f" {login}, and run again"
        )
    hidden = (
        f"the hub knows no {repo_id}, or shows it only to those who may read it (log in with"
        " `hf auth login`, or set HF_TOKEN)"
    )
    kinds = (
        (utils.RevisionNotFoundError, f"{page} has no such revision"),
        (utils.EntryNotFoundError, f"{page} has no such file"),
        (utils.RepositoryNotFoundError, hidden),
    )
    told = next((words for kind, words in kinds if isinstance(error, kind)), None)
    if told is None and status is not None:
        told = _STATUS.get(status, _STATUS[500] if status >= 500 else None)
    if told is not None:
        return f"{told} ({status})"
    return f"the download failed ({brief(error)}){_way(error)}"


def _way(error: BaseException) -> str:
    """What to look at where something between here and the hub is the matter; may be empty."""
    if "Proxy" in type(error).__name__:
        return f": look at the proxy {hub_proxy()}, and at HTTPS_PROXY"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            ": if a proxy of your house opens connections, name the file of its certificate by"
            " SSL_CERT_FILE"
        )
    return ""


def brief(error: BaseException) -> str:
    """Kind and first line of an error, for the end of a clause."""
    # those of uploading threads say only that something failed
    while type(error) is RuntimeError and error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"


def _switched_off() -> bool:
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def _hub() -> SplitResult:
    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT)
