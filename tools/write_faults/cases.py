"""Commands that write, each with the folder that it begins from."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from write_faults.attempts import TIMES, command_line

SEGMENT: Final = (
    *("--backbone", "texture", "--preset", "fast", "--size", "64"),
    *("--classes", "3", "--crf", "--seed", "0"),
)
_TOKEN: Final = "token-of-this-measure"
_PORT: Final = 8765
NAMING: Final = (*TIMES, "classes-history/", "edits.jsonl")
"""Lists that a change which failed may have grown by what was to come, too."""
_CERTAIN: Final = ("--certainty", "--overlays")


@dataclass(frozen=True)
class Places:
    """Where the cases find what they begin from.

    Attributes:
        photos: A few photographs.
        run: A finished run over them.
    """

    photos: Path
    run: Path


@dataclass(frozen=True)
class Case:
    """A command that writes.

    Attributes:
        name: What is told of it.
        command: Gives the command for the folder that it writes to.
        on_run: That folder is a copy of the run; otherwise it is not there yet.
        left_out: Files that tell when it was or how long it took.
    """

    name: str
    command: Callable[[Places, Path], Callable[[], None]]
    on_run: bool = False
    left_out: tuple[str, ...] = TIMES

    def begin(self, places: Places, out: Path) -> None:
        """Make the folder as it is before the command."""
        shutil.rmtree(out, ignore_errors=True)
        if self.on_run:
            shutil.copytree(places.run, out)


def _new(*words: str) -> Callable[[Places, Path], Callable[[], None]]:
    return lambda places, out: command_line(words[0], places.photos, "--out", out, *words[1:])


def _in_run(*words: str) -> Callable[[Places, Path], Callable[[], None]]:
    return lambda _, out: command_line(words[0], out, *words[1:])


def _predicted_in_shards(places: Places, out: Path) -> Callable[[], None]:
    return command_line(
        *("predict", places.photos, "--model", places.run, "--out", out, "--shards", "2"),
        "--certainty",
    )


def _exported(name: str) -> Case:
    def command(places: Places, out: Path) -> Callable[[], None]:
        return command_line("export", places.run, "--format", name, "--out", out)

    return Case(f"export {name}", command)


def _predicted(places: Places, out: Path) -> Callable[[], None]:
    return command_line("predict", places.photos, "--model", places.run, "--out", out, *_CERTAIN)


def _edited(edit: dict[str, Any]) -> Callable[[Places, Path], Callable[[], None]]:
    return lambda _, out: lambda: _save_in_studio(out, edit)


def _save_in_studio(folder: Path, edit: dict[str, Any]) -> None:
    """What the studio does when a person changes something; ends with exit code 1 if it says that
    it could not.
    """
    from starlette.testclient import TestClient

    from primaps.errors import PrimapsError
    from primaps.studio.app import Studio
    from primaps.studio.guarding import Door

    address = f"http://127.0.0.1:{_PORT}"
    try:
        app = Studio(folder, Door(_TOKEN, _PORT)).app
    except PrimapsError as error:  # as `primaps studio` tells it
        sys.exit(_told(str(error)))
    client = TestClient(app, base_url=address, follow_redirects=False)
    client.get(f"/?token={_TOKEN}")
    client.headers.update({"X-Primaps": "1"})
    state = client.get("/api/state")
    if state.status_code != 200:
        sys.exit(_told(state.text))
    sent = {"revision": state.json()["revision"], "edit": edit}
    answer = client.post("/api/edit", json=sent)
    if answer.status_code != 200:
        sys.exit(_told(answer.text))


def _told(message: str) -> int:
    print(f"Error: {message}", flush=True)
    return 1


EXPORTS: Final = ("coco", "voc", "yolo", "cvat", "hf", "panoptic")
CASES: Final = (
    Case("segment", _new("segment", *SEGMENT, *_CERTAIN)),
    Case("proposals", _new("proposals", *SEGMENT[:6])),
    Case("fit", _in_run("fit", "--seed", "1", "--overwrite"), on_run=True, left_out=NAMING),
    Case("predict", _predicted),
    Case("proposals in shards", _new("proposals", *SEGMENT[:6], "--shards", "2")),
    Case("predict in shards", _predicted_in_shards, left_out=NAMING),
    *(_exported(name) for name in EXPORTS),
    Case("classes --name", _in_run("classes", "--name", "0=road"), on_run=True, left_out=NAMING),
    Case(
        "classes --merge", _in_run("classes", "--merge", "0,1=road"), on_run=True, left_out=NAMING
    ),
    Case("corrections", _in_run("corrections", "--add", "000/000000.png:1=0"), on_run=True),
    Case("report", _in_run("report"), on_run=True),
    Case("suggest", _in_run("suggest"), on_run=True),
    Case(
        "studio: name",
        _edited({"kind": "name", "class": 0, "name": "road"}),
        on_run=True,
        left_out=NAMING,
    ),
    Case(
        "studio: say",
        _edited({"kind": "say", "proposals": [["000/000000.png", 1]], "class": "stone"}),
        on_run=True,
        left_out=NAMING,
    ),
)
