"""The studio used in a browser by its keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from studio_scripts.chromium import chromium
from studio_scripts.running import Studio

if TYPE_CHECKING:
    from playwright.sync_api import Page

CARD: Final = re.compile(r"^Proposal (\d+) of (.*)$", re.DOTALL)
"""What the picture of a card is called, for those who do not see it."""
COMPARED: Final = re.compile("before and after")
"""Heading of a candidate."""
PATIENCE: Final = 600_000
"""Milliseconds for a refit, or for the first suggestions of a large run."""


def name_cards(studio: Studio, knows: Callable[[str, int], str | None], clicks: int) -> int:
    """Name suggestions in a browser; then a refit, accepted.

    Args:
        studio: A running studio.
        knows: Name of a proposal by its image and id; None = of no class.
        clicks: How many cards to answer.

    Returns:
        How many were answered.
    """
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE)
        page.goto(studio.url)
        done = answer_cards(page, knows, clicks)
        refit(page)
        accept(page)
        return done


def answer_cards(page: Page, knows: Callable[[str, int], str | None], clicks: int) -> int:
    """Go to the suggestions and answer them, round after round.

    Args:
        page: The studio, any view.
        knows: As in `name_cards`.
        clicks: How many cards to answer.

    Returns:
        How many were answered: fewer if there are no more.
    """
    page.get_by_role("navigation", name="Main").wait_for()
    page.keyboard.press("s")
    done, round_end, picture = 0, page.locator(".round-end"), page.locator(".suggest .big img")
    while done < clicks:
        picture.or_(round_end).first.wait_for()
        if round_end.is_visible():
            more = page.get_by_role("button", name="Go on")
            if not more.is_visible():
                break
            reach(page, "Go on")
            page.keyboard.press("Enter")
            round_end.wait_for(state="detached")
            continue
        before = picture.get_attribute("alt") or ""
        card = CARD.match(before)
        assert card is not None, f"Expected the picture of a card, but got {before!r}."
        name = knows(card[2], int(card[1]))
        if name is None:
            page.keyboard.press("Delete")
        else:
            page.keyboard.type(name)
            page.keyboard.press("Enter")
        page.wait_for_function(
            """(before) => document.querySelector(".suggest .big img")?.alt !== before""",
            arg=before,
        )
        done += 1
    wait_until_saved(page)
    return done


def refit(page: Page) -> None:
    """Press "Refit", in the header or at the end of a round, and wait for the result."""
    reach(page, "Refit")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=COMPARED).wait_for(timeout=PATIENCE)


def accept(page: Page) -> None:
    """Take the candidate that is shown."""
    reach(page, "Accept")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=COMPARED).wait_for(state="detached", timeout=PATIENCE)


def reach(page: Page, text: str) -> None:
    """Press Tab until something that begins with a text has the focus.

    Raises:
        AssertionError: If it is never reached.
    """
    for _ in range(200):
        focused = page.evaluate(
            "() => document.activeElement?.ariaLabel ?? document.activeElement?.textContent ?? ''"
        )
        if focused.strip().startswith(text):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Expected to reach {text!r} by Tab, but never did.")


def wait_until_saved(page: Page) -> None:
    """Wait for the sign that all edits have reached the run folder."""
    page.locator("[data-status=saved]").wait_for()
