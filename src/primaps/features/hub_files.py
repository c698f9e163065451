"""Files of the Hugging Face hub: what was cut goes on where it stopped, also in another process,
and no byte is used before the checksum is right.

`huggingface_hub` fetches anew what was cut, and compares no checksum of what comes by HTTP. So the
file is fetched here, put where that library keeps it, and linked by that library. Large files have
the SHA-256 of their bytes as ETag, small ones their git object. The hub's other storage (Xet) has
no part in it: that library keeps nothing of what was cut there.
"""

from __future__ import annotations

import errno
import hashlib
import math
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from primaps.errors import BackboneError, OutputError
from primaps.features.hub import brief, hub_is_known, no_network, why_refused

_PAUSES: Final = (1.0, 2.0, 4.0)
"""Seconds before the hub is asked again that had a fault of its own, or was asked too often."""
_LONGEST_PAUSE: Final = 30.0
"""Seconds; if the hub wants a longer one, the user is told."""
_PASSING: Final = (408, 429, 500, 502, 503, 504)
_MEGABYTE: Final = 1e6
_FULL: Final = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # no quota on Windows


class NotFetchedError(BackboneError):
    """A file of the hub cannot be had; the message is the reason, as a clause.

    Args:
        reason: What was in the way, and what to do.
        missing: The repository is there, but not the file.
    """

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing


@dataclass(frozen=True)
class HubFile:
    """A file on the hub.

    Attributes:
        repo_id: ``owner/name``.
        name: Path in the repository.
        revision: Branch, tag or commit; None = the newest.
        token: Of the user; None = the stored one.
    """

    repo_id: str
    name: str
    revision: str | None = None
    token: str | None = None


def fetch_file(file: HubFile) -> Path:
    """A file of the hub in the hub's cache; downloaded if it is not there yet.

    Args:
        file: Which. The cache is not compared with a newer version on the hub.

    Returns:
        Its path, with the right checksum.

    Raises:
        NotFetchedError: If it cannot be had, or the one in the cache is damaged.
        OutputError: If the cache cannot be written, or the disk is full.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(file.repo_id, file.name, revision=file.revision)
    if isinstance(cached, str):
        return _whole(Path(cached))
    if not hub_is_known():
        raise NotFetchedError(no_network("them"))
    try:
        _fill_cache(file)
        linked = hf_hub_download(
            file.repo_id,
            file.name,
            revision=file.revision,
            token=file.token,
            library_name="primaps",
        )
    except (NotFetchedError, OutputError):
        raise
    except Exception as error:  # of three HTTP libraries, by the version of the hub's
        raise _not_fetched(error, file) from error
    return Path(linked)


def known_checksum(path: Path) -> str | None:
    """The SHA-256 that a file in the hub's cache must have; None = not known.

    Args:
        path: As `fetch_file` returns it. The cache calls large files by their checksum.
    """
    name = path.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else None


def _whole(path: Path) -> Path:
    expected = known_checksum(path)
    if expected is not None:
        found = _checksum(path, expected)
        if found != expected:
            raise NotFetchedError(
                f"{path.resolve()} in the hub's cache is damaged (SHA-256 {found[:12]}... instead"
                f" of {expected[:12]}...): remove this file, and run again"
            )
    return path


def _fill_cache(file: HubFile) -> None:
    """Bring the bytes to where the cache keeps them; linking them is the hub's library's matter."""
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import WeakFileLock

    url = hf_hub_url(file.repo_id, file.name, revision=file.revision)
    about = _metadata(url, file.token)
    etag = about.etag
    if etag is None or about.commit_hash is None or not re.fullmatch(r"[0-9A-Za-z._-]+", etag):
        raise NotFetchedError(
            f"what answers at {url} is no Hugging Face hub (no commit, no ETag): check HF_ENDPOINT,"
            " proxy and firewall"
        )
    cache = Path(constants.HF_HUB_CACHE)
    folder = repo_folder_name(repo_id=file.repo_id, repo_type="model")
    blob = cache / folder / "blobs" / etag
    lock = cache / ".locks" / folder / f"{etag}.lock"
    for parent in (blob.parent, lock.parent):
        parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):  # of several processes, one fetches
        if not blob.exists():
            # of this very commit, also if there is a newer one by now
            url = hf_hub_url(file.repo_id, file.name, revision=about.commit_hash)
            _download(url, blob, about.size, file)


def _metadata(url: str, token: str | None) -> Any:
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.utils import HfHubHTTPError

    for pause in (*_PAUSES, math.inf):
        try:
            return get_hf_file_metadata(url, token=token, library_name="primaps")
        except HfHubHTTPError as error:
            answer = getattr(error, "response", None)
            wanted = getattr(answer, "headers", {}).get("Retry-After", "")
            seconds = max(pause, float(wanted) if wanted.isdecimal() else 0.0)
            passing = getattr(answer, "status_code", None) in _PASSING
            if not passing or seconds > _LONGEST_PAUSE:
                raise
        time.sleep(seconds)
    raise AssertionError


def _download(url: str, blob: Path, size: int | None, file: HubFile) -> None:
    """Fetch what is missing of a file, compare its checksum, and give it its name."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    partial = blob.with_name(f"{blob.name}.primaps.incomplete")
    there = partial.stat().st_size if partial.exists() else 0
    if size is not None and there > size:
        partial.unlink()
        there = 0
    _check_space(blob.parent, size, there)
    headers = build_hf_headers(token=file.token, library_name="primaps")
    try:
        with partial.open("ab") as stream:
            http_get(
                url,
                stream,
                resume_size=there,
                headers=headers,
                expected_size=size,
                displayed_filename=file.name,
            )
    except Exception as error:
        raise _not_fetched(error, file, partial, size) from error
    found = _checksum(partial, blob.name)
    if found != blob.name:
        partial.unlink()
        raise NotFetchedError(
            f"what came for {file.name} of {file.repo_id} has the checksum {found[:12]}... instead"
            f" of {blob.name[:12]}...: something on the way changed it. Nothing of it was kept; run"
            " again"
        )
    partial.replace(blob)


def _check_space(folder: Path, size: int | None, there: int) -> None:
    free = shutil.disk_usage(folder).free
    if size is not None and size - there > free:
        raise _no_space(folder, f"{(size - there) / _MEGABYTE:.0f} MB", free)


def _no_space(folder: Path, needed: str, free: int) -> OutputError:
    return OutputError(
        f"Expected {needed} of free disk in {folder} for weights from the hub, but there are"
        f" {free / _MEGABYTE:.0f} MB. Make room, or set HF_HOME to a folder on another disk; what"
        " is there already stays."
    )


def _not_fetched(
    error: Exception, file: HubFile, partial: Path | None = None, size: int | None = None
) -> NotFetchedError | OutputError:
    """The error for the user: what was in the way, and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.utils import EntryNotFoundError

    code = error.errno if isinstance(error, OSError) else None
    cache = Path(constants.HF_HUB_CACHE)
    if code in _FULL:
        return _no_space(cache, "more", shutil.disk_usage(cache).free)
    if code in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return OutputError(
            f"Expected the hub's cache {cache} to take weights, but it cannot be written"
            f" ({brief(error)}). Set HF_HOME to a folder that can."
        )
    missing = isinstance(error, EntryNotFoundError)
    there = partial.stat().st_size if partial is not None and partial.exists() else 0
    amount = f"{there / _MEGABYTE:.1f}{'' if size is None else f' of {size / _MEGABYTE:.1f}'} MB"
    if getattr(error, "response", None) is None and partial is not None:
        return NotFetchedError(
            f"the connection was cut after {amount} ({brief(error)}): run again, it goes on where"
            " it stopped"
        )
    kept = f", it goes on after the {amount} that are here" if there else ""
    return NotFetchedError(why_refused(error, file.repo_id, file.token) + kept, missing=missing)


def _checksum(path: Path, like: str) -> str:
    """Of the kind that an ETag has: SHA-256, the git object, or, if neither, the ETag itself."""
    if re.fullmatch(r"[0-9a-f]{64}", like):
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    if re.fullmatch(r"[0-9a-f]{40}", like):
        data = path.read_bytes()
        start = b"blob %d\0" % len(data)
        return hashlib.sha1(start + data, usedforsecurity=False).hexdigest()
    return like
