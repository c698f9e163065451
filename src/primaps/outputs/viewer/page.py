"""The viewer's page: as a report, one file that holds everything; or as the studio gives it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from primaps.outputs.viewer.embedding import (
    PREFIX,
    policy_hash,
    report_import_map,
    report_styles,
    served_import_map,
    style_paths,
)
from primaps.outputs.viewer.pictures import EmbeddedImage, Packed
from primaps.runs.store import atomic_write_parts

ENTRY: Final = "report.js"
STUDIO_ENTRY: Final = "studio.js"

# three overlapping regions, as in the page's header
_ICON: Final = base64.b64encode(
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="1 2 22 22">'
    b'<path d="M3 15 9 4l6 6-3 10H5Z" fill="#2a5bb8"/>'
    b'<path d="m9 4 12 3-3 8-6 5 3-10Z" fill="#e0a526"/>'
    b'<path d="m12 20 6-5 3 3-3 3Z" fill="#2f9a73"/></svg>'
).decode("ascii")

_UNLABELLED: Final = 255
# in JSON within a page: what HTML, or JavaScript before 2019, takes for something else
_ESCAPES: Final = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


def write_report(
    path: Path,
    record: Mapping[str, Any],
    state: Mapping[str, Any],
    images: Iterable[EmbeddedImage],
) -> None:
    """Write the report as one HTML file, bit by bit: nothing is loaded from elsewhere. Equal input
    gives equal bytes.

    Args:
        path: Where to write; an existing file is replaced in one step.
        record: The `RunRecord` of ``web/types.js``.
        state: The `State`.
        images: In the order of the record's.

    Raises:
        OutputError: If the file cannot be written.
    """
    atomic_write_parts(path, report_parts(record, state, images))


def report_parts(
    record: Mapping[str, Any], state: Mapping[str, Any], images: Iterable[EmbeddedImage]
) -> Iterator[bytes]:
    """The report, as UTF-8 in parts; arguments as for `write_report`.

    File names that are not UTF-8 reach Python as lone surrogates: they are shown escaped, as they
    cannot be encoded.
    """
    yield _head(record, state).encode("utf-8", "backslashreplace")
    yield _json_block("run", record)
    yield _json_block("state", state)
    for number, image in enumerate(images):
        yield _data_block(f"photo-{number}", image.photo)
        yield _data_block(f"maps-{number}", image.maps)
        if image.certainty is not None:
            yield _data_block(f"certainty-{number}", image.certainty)
    yield b"</body>\n</html>\n"


def studio_page(title: str, nonce: str) -> str:
    """The studio's page: the same modules, from the server, and those that edit.

    Args:
        title: Of the run.
        nonce: Letters and digits that the server's Content-Security-Policy allows scripts by, new
            for every page: ``script-src 'self' 'nonce-...'``.
    """
    links = "".join(f'<link rel="stylesheet" href="/web/{path}">\n' for path in style_paths())
    mark = escape(nonce)
    return (
        f"{_opening(title)}{links}"
        f'<script type="importmap" nonce="{mark}">{served_import_map()}</script>\n'
        f'</head>\n<body>\n<div id="app"></div>\n{_noscript("The studio needs JavaScript.")}'
        f'<script type="module" nonce="{mark}">import "{PREFIX}{STUDIO_ENTRY}";</script>\n'
        "</body>\n</html>\n"
    )


def _opening(title: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:image/svg+xml;base64,{_ICON}">\n'
        f"<title>{escape(title)}</title>\n"
    )


def _noscript(content: str) -> str:
    return f"<noscript>\n<div>{content}</div>\n</noscript>\n"


def _head(record: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """All that comes before the data."""
    modules, styles = report_import_map(), report_styles()
    start = f'import "{PREFIX}{ENTRY}";'
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src data: {policy_hash(modules)} {policy_hash(start)}",
            f"style-src {policy_hash(styles)}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    title = " · ".join(each for each in (record["title"], record["date"][:10], "primaps") if each)
    return (
        f"{_opening(title)}"
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        f"<style>{styles}</style>\n"
        f'<script type="importmap">{modules}</script>\n'
        f'</head>\n<body>\n<div id="app"></div>\n{_noscript(_plain(record, state))}'
        f'<script type="module" async>{start}</script>\n'
    )


def _json_block(name: str, value: Mapping[str, Any]) -> bytes:
    """A value that `JSON.parse` reads; no text in it ends the block."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    block = f'<script type="application/json" id="{name}">{text.translate(_ESCAPES)}</script>\n'
    return block.encode("utf-8", "backslashreplace")


def _data_block(name: str, packed: Packed) -> bytes:
    return b"".join(
        (
            f'<script type="text/plain" id="{name}" data-width="{packed.width}"'
            f' data-height="{packed.height}">'.encode("ascii"),
            base64.b64encode(packed.data),
            b"</script>\n",
        )
    )


def _plain(record: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """The classes as a table, for who has no JavaScript."""
    pixels = class_pixels(record, state)
    total = max(1, sum(sum(counts.values()) for counts in pixels))
    rows = []
    for entry in state["classes"]:
        number = sum(counts.get(entry["id"], 0) for counts in pixels)
        seen = sum(entry["id"] in counts for counts in pixels)
        name = entry["name"] or f"class {entry['id']}"
        cells = (entry["id"], name, f"{100 * number / total:.1f} %", seen)
        rows.append("".join(f"<td>{escape(str(cell))}</td>" for cell in cells))
    body = "".join(f"<tr>{row}</tr>\n" for row in rows)
    heads = "".join(f"<th>{each}</th>" for each in ("class", "name", "pixels", "photographs"))
    return (
        f"<h1>{escape(record['title'])}</h1>\n"
        f"<p>{record['total_images']} photographs, segmented without labels. Pictures need"
        f" JavaScript, which is switched off.</p>\n<table>\n<tr>{heads}</tr>\n{body}</table>\n"
    )


def class_pixels(record: Mapping[str, Any], state: Mapping[str, Any]) -> Sequence[dict[int, int]]:
    """Pixels by class of every image of a record; 255 = unlabelled."""
    owner = {
        cluster: entry["id"]
        for entry in state["classes"]
        if not entry["ignore"]
        for cluster in entry["clusters"]
    }
    found = []
    images = record["images"]
    for name, clusters in zip(images["name"], images["clusters"], strict=True):
        exact = state["pixels"].get(name)
        counts: dict[int, int] = {}
        pairs = exact or [[owner.get(cluster, _UNLABELLED), n] for cluster, n in clusters]
        for class_id, number in pairs:
            counts[class_id] = counts.get(class_id, 0) + number
        found.append(counts)
    return found
