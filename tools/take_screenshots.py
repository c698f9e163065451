"""Take the pictures of the report and the studio in ``docs/images/``: light, dark, and on a phone.

    python tools/take_screenshots.py

The photographs are those of the demo that are free of any condition (CC0 or public domain), as in
the picture of the README. One run of the main job over their views gives everything that is seen;
a few classes are named by what lies at places that were chosen by eye. A chromium on the PATH,
driven by playwright, looks at the report as a file and at a running studio. Takes about a minute.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from draw_readme_picture import CLASSES, FREE, PLACES, names_at, segmented
from PIL import Image as PILImage
from studio_scripts.chromium import chromium
from studio_scripts.client import StudioClient
from studio_scripts.keyboard import refit
from studio_scripts.running import running_studio

from primaps.data.demo_views import Source
from primaps.pipeline.classes import classes
from primaps.pipeline.commands import report_again
from primaps.pipeline.opening import reopen
from primaps.runs.store import atomic_write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OUTPUT: Final = Path(__file__).parents[1] / "docs" / "images"
DESKTOP: Final = (1280, 800)
PHONE: Final = (390, 844)
QUALITY: Final = 88


def named_run(folder: Path, sources: Sequence[Source], backbone: str | None = None) -> Path:
    """A run over the views, with some names.

    Args:
        folder: Where it is made.
        sources: The photographs.
        backbone: None = the default one.
    """
    run = segmented(sources, folder, CLASSES, seed=0, backbone=backbone)
    named = folder / "demo"  # the title of every page
    shutil.copytree(run.folder.root, named)
    names: dict[int | str, str | None] = dict(names_at(run, PLACES).items())
    classes(named, name=names)
    report_again(reopen(named, {}))
    return named


def pictures(browser: Browser, run: Path) -> Iterator[tuple[str, bytes]]:
    """Name and PNG of every picture.

    Args:
        browser: A browser.
        run: From `named_run`.
    """
    report = (run / "report.html").as_uri()
    yield "viewer-light", _report(browser, report, "classes")
    yield "viewer-dark", _report(browser, report, "photo/astronaut-left.png", dark=True)
    yield "viewer-phone", _report(browser, report, "classes", phone=True)
    with running_studio(run) as studio:
        page = _page(browser, dark=False, phone=False)
        page.goto(studio.url)
        page.get_by_role("navigation", name="Main").wait_for()
        page.keyboard.press("s")
        page.locator(".suggest .big img").wait_for()
        page.keyboard.type("s")
        yield "studio-naming", _shot(page)
        page.keyboard.press("Escape")
        _name_suggestions(studio.url)
        page.reload()
        refit(page)
        yield "studio-refit", _shot(page)
        page.context.close()


def _name_suggestions(url: str) -> None:
    """Say of every suggested proposal what the model thinks, where that has a name."""
    client = StudioClient(url)
    names = {entry["id"]: entry["name"] for entry in client.state["classes"]}
    for card in client.get("/api/suggestions", round=0)["cards"]:
        if names.get(card["class"]) is not None:
            proposals = [[card["image"], card["proposal"]]]
            client.edit({"kind": "say", "proposals": proposals, "class": card["class"]})
    client.close()


def _report(
    browser: Browser, address: str, view: str, *, dark: bool = False, phone: bool = False
) -> bytes:
    page = _page(browser, dark=dark, phone=phone)
    page.goto(f"{address}#/{view}")
    page.locator("main canvas").first.wait_for()
    picture = _shot(page)
    page.context.close()
    return picture


def _page(browser: Browser, *, dark: bool, phone: bool) -> Page:
    width, height = PHONE if phone else DESKTOP
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=2 if phone else 1,
        is_mobile=phone,
        has_touch=phone,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    return context.new_page()


def _shot(page: Page) -> bytes:
    """The window once all that is seen was drawn."""
    page.locator("main [aria-busy=true]").wait_for(state="detached")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1000)
    return page.screenshot()


def small(picture: bytes) -> bytes:
    """A PNG as a JPEG of a size for documentation; at most 1280 pixels wide."""
    image = PILImage.open(io.BytesIO(picture)).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True, subsampling=0)
    return buffer.getvalue()


def main(given: Sequence[str] | None = None) -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=OUTPUT, metavar="DIR")
    arguments = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        run = named_run(Path(folder), FREE)
        for name, picture in pictures(browser, run):
            data = small(picture)
            atomic_write(arguments.out / f"{name}.jpg", data)
            print(f"{name}.jpg: {len(data) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
