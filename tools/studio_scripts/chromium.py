"""The system's chromium, driven by playwright, which fetches none of its own."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
)


class MissingBrowserError(RuntimeError):
    """Playwright or a browser is missing."""


def program() -> str | None:
    """Path of the first that is installed."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window.

    Raises:
        MissingBrowserError: If playwright or a browser is missing.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingBrowserError(
            "Expected playwright to be installed: pip install 'primaps[test]'"
        ) from error
    found = program()
    if found is None:
        raise MissingBrowserError(f"Expected a browser on the PATH: one of {', '.join(PROGRAMS)}.")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
