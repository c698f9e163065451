"""Install a wheel in an empty environment, outside the checkout, and use it as a stranger would.

    python tools/try_wheel.py dist/primaps-*.whl

A new environment gets the wheel with the extras ``demo`` and ``studio``. What is run there, from
another folder: the version, the demo, `segment` on the demo's photographs, exports as COCO and
YOLO, and the studio (it starts, opens to its token only, ends). What comes out is looked at. Takes
some minutes and gigabytes, which are removed in the end. Prints the seconds of every step; exit
code 1 at the first that is wrong. Needs nothing but Python, and a package index.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

EXTRAS: Final = "demo,studio"
CLASSES: Final = 4
PATIENCE: Final = 120.0
"""Seconds until the studio has told its address, and until it has ended."""
_ADDRESS: Final = re.compile(r"(http://127\.0\.0\.1:\d+/)\?token=\S+")
_WHEEL: Final = re.compile(r"primaps-(?P<version>[^-]+)-py3-none-any\.whl")
_PHOTOGRAPHS: Final = "demo-run-photographs"


class WrongError(Exception):
    """Something that was looked at is not as it should be."""


def expect(true: bool, what: str) -> None:
    """Go on only if something holds.

    Args:
        true: whether it does.
        what: what was expected, and what came.

    Raises:
        WrongError: If it does not.
    """
    if not true:
        raise WrongError(what)


@dataclass(frozen=True)
class Place:
    """Where a wheel is tried.

    Attributes:
        wheel: its file, absolute.
        environment: folder of the environment.
        folder: where commands are run.
    """

    wheel: Path
    environment: Path
    folder: Path

    def program(self, name: str) -> str:
        """Path of a program of the environment."""
        windows = sys.platform == "win32"
        return str(self.environment / ("Scripts" if windows else "bin") / name)

    def run(self, name: str, *arguments: str) -> str:
        """Run a program of the environment, and give what it printed.

        Raises:
            WrongError: If its exit code is not 0.
        """
        done = subprocess.run(
            [self.program(name), *arguments],
            cwd=self.folder,
            env=surroundings(),
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            check=False,
        )
        line = " ".join([name, *arguments])
        expect(done.returncode == 0, f"{line}: expected exit code 0, got {done.returncode}")
        return done.stdout


def surroundings() -> dict[str, str]:
    """The environment's variables, without those by which Python would find other packages."""
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return {
        **{name: value for name, value in kept.items() if not name.startswith("PYTHON")},
        "PYTHONIOENCODING": "utf-8",
        "MPLBACKEND": "agg",
    }


def install(place: Place) -> str:
    """Make the environment and install the wheel.

    Returns:
        How large the environment is.
    """
    venv.create(place.environment, with_pip=True)
    place.run("python", "-m", "pip", "install", "--quiet", f"{place.wheel}[{EXTRAS}]")
    place.run("python", "-m", "pip", "check")
    files = [path for path in place.environment.rglob("*") if path.is_file()]
    return f"{sum(path.lstat().st_size for path in files) / 2**30:.2f} GiB, {len(files)} files"


def version(place: Place) -> str:
    """The version is that of the wheel, by command, in Python and in the metadata; the code is that
    of the environment.
    """
    match = _WHEEL.fullmatch(place.wheel.name)
    expect(match is not None, f"expected a wheel of primaps, got {place.wheel.name}")
    assert match is not None
    code = (
        "import primaps, importlib.metadata as m;"
        "print(primaps.__version__, m.version('primaps'), primaps.__file__)"
    )
    imported, recorded, path = place.run("python", "-c", code).strip().split(" ", 2)
    said = place.run("primaps", "--version").strip()
    told = {imported, recorded, said}
    expect(told == {match["version"]}, f"expected version {match['version']}, got {told}")
    inside = Path(path).resolve().is_relative_to(place.environment.resolve())
    expect(inside, f"expected the package of {place.environment}, got {path}")
    return said


def demo(place: Place) -> str:
    """The demo writes a report, and its photographs."""
    place.run("primaps", "demo", "--out", "demo-run")
    return _run_folder(place, "demo-run")


def segment(place: Place) -> str:
    """The main job, on the demo's photographs as if they were the stranger's own."""
    options = ("--classes", str(CLASSES), "--out", "run")
    place.run("primaps", "segment", _PHOTOGRAPHS, *options)
    return _run_folder(place, "run")


def _photographs(place: Place) -> int:
    return sum(1 for path in (place.folder / _PHOTOGRAPHS).rglob("*.*") if path.is_file())


def _run_folder(place: Place, name: str) -> str:
    """A run is whole: a label map for every photograph, its report, and the version."""
    run, count = place.folder / name, _photographs(place)
    labels = list((run / "labels").rglob("*.png"))
    expect(count > 0, f"expected photographs in {_PHOTOGRAPHS}, got none")
    expect(len(labels) == count, f"expected {count} label maps in {name}, got {len(labels)}")
    for path in labels:
        expect(path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n", f"expected a PNG: {path}")
    report = (run / "report.html").read_text(encoding="utf-8")
    expect("<script" in report, f"expected the viewer in {name}/report.html")
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    stated, wheel = record["versions"]["primaps"], place.wheel.name.split("-")[1]
    expect(stated == wheel, f"expected version {wheel} in {name}/run.json, got {stated}")
    expect(not (run / "failures.jsonl").exists(), f"expected no failures in {name}")
    return f"{len(labels)} label maps, report of {len(report) / 1e6:.1f} MB"


def coco(place: Place) -> str:
    """Every photograph is in the data set, and every annotation names one of its classes."""
    place.run("primaps", "export", "run", "--format", "coco", "--out", "coco")
    data = json.loads(
        (place.folder / "coco" / "annotations" / "instances.json").read_text(encoding="utf-8")
    )
    files = [place.folder / "coco" / "images" / image["file_name"] for image in data["images"]]
    expect(len(files) == _photographs(place), f"expected all photographs, got {len(files)}")
    expect(all(path.is_file() for path in files), "expected every image that is named to be there")
    classes = {category["id"] for category in data["categories"]}
    named = {annotation["category_id"] for annotation in data["annotations"]}
    expect(bool(named) and named <= classes, f"expected categories {classes}, got {named}")
    return f"{len(files)} images, {len(data['annotations'])} annotations, {len(classes)} categories"


def yolo(place: Place) -> str:
    """Every row is a class and a polygon with corners inside the image."""
    place.run("primaps", "export", "run", "--format", "yolo", "--out", "yolo")
    expect((place.folder / "yolo" / "data.yaml").is_file(), "expected yolo/data.yaml")
    files = sorted((place.folder / "yolo" / "labels").rglob("*.txt"))
    expect(len(files) == _photographs(place), f"expected a file per photograph, got {len(files)}")
    rows = [row.split() for path in files for row in path.read_text("ascii").splitlines()]
    for row in rows:
        corners = [float(value) for value in row[1:]]
        right = 0 <= int(row[0]) < CLASSES and len(corners) >= 6 and len(corners) % 2 == 0
        expect(right and 0 <= min(corners) <= max(corners) <= 1, f"no row of YOLO: {row[:8]}")
    expect(bool(rows), "expected polygons, got none")
    return f"{len(files)} files, {len(rows)} polygons"


def studio(place: Place) -> str:
    """The studio answers on this machine, to who has its token only, and ends when asked to."""
    process = subprocess.Popen(
        [place.program("primaps"), "studio", "run", "--port", "0", "--no-browser"],
        cwd=place.folder,
        env={**surroundings(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        told = _ADDRESS.search(line)
        expect(told is not None, f"expected an address with a token, got {line!r}")
        assert told is not None
        with_token, without = _status(told[0]), _status(told[1])
        expect(with_token == 200, f"expected an answer to the token, got status {with_token}")
        expect(without in {401, 403}, f"expected a refusal without a token, got status {without}")
        process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)
        code = process.wait(PATIENCE)
        expect(sys.platform == "win32" or code in {0, 130}, f"expected a calm end, got {code}")
        return f"200 with the token, {without} without"
    finally:
        process.kill()
        process.wait()


def _status(address: str) -> int:
    """Status of the page at an address of this machine, for a browser that was not there before.
    A proxy, which is for other machines, is not asked.
    """
    browser = build_opener(HTTPCookieProcessor(), ProxyHandler({}))
    try:
        with browser.open(address, timeout=PATIENCE) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


STEPS: Final[dict[str, Callable[[Place], str]]] = {
    "install": install,
    "version": version,
    "demo": demo,
    "segment": segment,
    "coco": coco,
    "yolo": yolo,
    "studio": studio,
}


def attempt(place: Place, steps: dict[str, Callable[[Place], str]]) -> bool:
    """Do step after step, and print what came of each.

    Returns:
        Whether all was right.
    """
    for name, step in steps.items():
        start = time.perf_counter()
        try:
            told, right = step(place), True
        except WrongError as error:
            told, right = f"WRONG: {error}", False
        print(f"{name:<8} {time.perf_counter() - start:6.1f} s  {told}", flush=True)
        if not right:
            return False
    return True


def main(arguments: list[str]) -> int:
    """Try one wheel.

    Args:
        arguments: its path; ``--keep DIR`` leaves environment and outputs in a new folder.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description="Use a wheel in an empty environment.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave all in this new folder")
    chosen = parser.parse_args(arguments)
    if not chosen.wheel.is_file():
        print(f"Expected a wheel, but there is no {chosen.wheel}: make dist", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="try-wheel-") as temporary:
        root = chosen.keep.absolute() if chosen.keep else Path(temporary).resolve()
        place = Place(chosen.wheel.absolute(), root / "environment", root / "elsewhere")
        place.folder.mkdir(parents=True)
        return 0 if attempt(place, STEPS) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
