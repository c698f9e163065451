"""The viewer in a browser, on a thousand photographs: how long a person waits, and what memory the
studio's server takes.

    python benchmarks/viewer.py                      # a thousand drawn photographs, 640 x 480
    python benchmarks/viewer.py --images 60          # does it run at all?
    python benchmarks/viewer.py --work DIR           # keep the run there for the next time

One run of the main job (`texture`, whose features cost least: what is seen is the same) gives a
report and a studio. Measured in the system's chromium without a window, driven by playwright:

first picture   from the start of the navigation to the frame in which a first picture stands there;
                of the class cards and of the photographs; the report is opened from disk
page            from the press of a key to the frame in which all pictures in view are new, after
                the page before was looked at for a second and a half
hover, opacity  seconds of script per step, each in a frame of its own, on a photograph of 2
                megapixels, while the mouse goes over it, and while the opacity is changed
memory          resident memory of the server before anything was asked for, and after every
                photograph and all maps were asked for once, and twice
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jobs import REPOSITORY, draw_photographs, drawn, primaps
from PIL import Image
from rows import Row, add_rows_option, publish

sys.path.insert(0, str(REPOSITORY / "tools"))

from studio_scripts.chromium import MissingBrowserError, chromium
from studio_scripts.client import StudioClient
from studio_scripts.clock import WATCH_PICTURES, ScriptClock, first_picture, seconds_until_drawn
from studio_scripts.running import Studio, running_studio

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LARGE: Final = "two-megapixels.jpg"
SIZE, FIRST, PAGE, FRAME, GROWTH = 100, 1.0, 0.2, 0.016, 0.1
"""Bars: megabytes, seconds, seconds, seconds of script, share of the memory."""
PAGES, PER_PAGE = 8, 24
LOOK: Final = 1500
"""Milliseconds for which a person looks at a page."""
STEPS: Final = 60
"""Of the mouse, and of the opacity."""
SIDE: Final = 320


def main() -> int:
    """Measure and print the table."""
    options = parse()
    with tempfile.TemporaryDirectory() as temporary:
        folder = made_run(options.work or Path(temporary), options.images)
        rows = []
        with _browser() as browser:
            rows += report_rows(browser, folder, options.images)
            with running_studio(folder) as studio:
                rows += studio_rows(browser, studio, options.images)
        with running_studio(folder) as studio:
            rows += memory_rows(studio, options.images)
    publish(rows, options.rows)
    return 0


@contextlib.contextmanager
def _browser() -> Iterator[Browser]:
    try:
        with chromium() as browser:
            yield browser
    except MissingBrowserError as error:
        raise SystemExit(str(error)) from error


def parse() -> argparse.Namespace:
    """The settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1000, metavar="N")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where the run is made and kept")
    add_rows_option(parser)
    return parser.parse_args()


def made_run(work: Path, images: int) -> Path:
    """The run; made where it is missing."""
    photographs, run = work / f"photographs-{images}", work / f"run-{images}"
    if not photographs.exists():
        work.mkdir(parents=True, exist_ok=True)
        draw_photographs(photographs, images, 480, 640)
        Image.fromarray(drawn(images, 1224, 1632)).save(photographs / LARGE, quality=90)
    primaps(
        "segment",
        str(photographs),
        "--out",
        str(run),
        "--backbone",
        "texture",
        "--init",
        "proposals",
    )
    return run


def report_rows(browser: Browser, folder: Path, images: int) -> list[Row]:
    """What a person waits for who opens the report from disk."""
    file = folder / "report.html"
    title = f"report of {images + 1} photographs"
    size = file.stat().st_size / 1e6
    rows = [Row(f"{title}: size", f"{size:.0f} MB", f"at most {SIZE} MB", size <= SIZE)]
    rows += _first_rows(title, lambda view: _opened(browser, f"{file.as_uri()}#/{view}"))
    page = _opened(browser, f"{file.as_uri()}#/gallery")
    rows.append(_page_row(title, page, images))
    page.context.close()
    return rows


def studio_rows(browser: Browser, studio: Studio, images: int) -> list[Row]:
    """What a person waits for in the studio."""
    title = f"studio, {images + 1} photographs"

    def opened(view: str) -> Page:
        page = _opened(browser, studio.url)
        page.goto("about:blank")
        page.goto(f"{studio.address}/#/{view}")
        return page

    rows = _first_rows(title, opened)
    page = opened("gallery")
    rows.append(_page_row(title, page, images))
    page.context.close()
    page = opened(f"photo/{LARGE}")
    first_picture(page)
    page.locator("main [aria-busy=true]").wait_for(state="detached")
    page.wait_for_timeout(500)
    for what, act in (("hover", _hover), ("opacity", _opacity)):
        clock = ScriptClock(page)
        act(page)
        # Each step waits for a frame; there are more frames than steps, some without any script.
        seconds = clock.seconds() / STEPS
        rows.append(_bar(f"{title}: {what} on 2 megapixels, script per step", seconds, FRAME))
    page.context.close()
    return rows


def memory_rows(studio: Studio, images: int) -> list[Row]:
    """Memory of the server, which is asked as the page asks, without a browser."""
    client = StudioClient(studio.url)
    names = client.get("/api/run")["images"]["name"]
    start = studio.memory_mib()
    turns = []
    for _ in range(2):
        for name in names:
            client.content("/api/photo", image=name, side=SIDE)
            client.content("/api/maps", image=name, side=SIDE)
            client.content("/api/photo", image=name)
            client.content("/api/maps", image=name)
        turns.append(studio.memory_mib())
    client.close()
    once, twice = turns
    return [
        Row(
            f"studio, {images + 1} photographs: memory of the server, all looked at once and twice",
            f"{start:.0f} MiB at the start, {once:.0f}, {twice:.0f}",
            f"the second time adds at most {GROWTH:.0%}",
            twice <= once * (1 + GROWTH),
        )
    ]


def _opened(browser: Browser, address: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(WATCH_PICTURES)
    page.goto(address)
    return page


def _first_rows(title: str, opened: Callable[[str], Page]) -> list[Row]:
    rows = []
    for view in ("classes", "gallery"):
        seconds = []
        for _ in range(3):
            page = opened(view)
            seconds.append(first_picture(page))
            page.context.close()
        rows.append(_bar(f"{title}: first picture, {view}", statistics.median(seconds), FIRST))
    return rows


def _page_row(title: str, page: Page, images: int) -> Row:
    _settle(page)
    seconds = []
    for _ in range(min(PAGES, images // PER_PAGE)):
        seconds.append(seconds_until_drawn(page, "ArrowRight"))
        page.wait_for_timeout(LOOK)
    return _bar(f"{title}: next page, all pictures in view", statistics.median(seconds), PAGE)


def _settle(page: Page) -> None:
    page.wait_for_function("() => pictures.allDrawn()")
    page.wait_for_timeout(500)


def _hover(page: Page) -> None:
    box = _box(page)
    for step in range(STEPS):
        at = step / STEPS
        page.mouse.move(box["x"] + box["width"] * at, box["y"] + box["height"] * (0.2 + 0.6 * at))
        _frame(page)


def _opacity(page: Page) -> None:
    slider = page.get_by_role("slider", name="Opacity")
    slider.focus()
    for step in range(STEPS):
        page.keyboard.press("ArrowLeft" if step % 20 < 10 else "ArrowRight")
        _frame(page)


def _box(page: Page) -> Any:
    box = page.locator(".photo-window").bounding_box()
    assert box is not None
    return box


def _frame(page: Page) -> None:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(done))")


def _bar(what: str, seconds: float, bar: float, frames: int | None = None) -> Row:
    of = "" if frames is None else f" ({frames} frames)"
    return Row(what, f"{seconds * 1000:.1f} ms{of}", f"at most {bar * 1000:.0f} ms", seconds <= bar)


if __name__ == "__main__":
    sys.exit(main())
