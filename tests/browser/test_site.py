"""The documentation as somebody opens it from a folder: from disk, without a network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WAYS = {"light": {}, "dark": {"dark": True}, "phone": {"phone": True}}
PAGES = ("index.html", "understand/differs-from-the-paper.html")


@pytest.fixture(scope="session")
def site(made_once):
    """Folder of the built site."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (extra `test`)")

    def make(folder):
        subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)],
            cwd=ROOT,
            env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
            check=True,
        )

    return made_once("site", make)


@pytest.fixture
def open_page(site, new_page, watch):
    """``open_page("index.html")``: a page of the site; scripts, styles and pictures beside it may
    be asked for.
    """
    watch.expect(f"request to another place: {site.as_uri()}/")

    def opened(page, **options):
        return new_page(f"{site.as_uri()}/{page}", offline=True, **options)

    return opened


def search(page, words):
    """Addresses that the search finds, best first."""
    page.keyboard.press("/")
    page.keyboard.type(words)
    page.locator(".md-search-result__link").first.wait_for()
    return [link.get_attribute("href") for link in page.locator(".md-search-result__link").all()]


@pytest.mark.parametrize("page", ["index.html", "reference/api/segmenter.html"])
def test_the_search_works_from_disk(open_page, site, page):
    found = search(open_page(page), "yolo")
    assert any(link.startswith(f"{site.as_uri()}/how-to/export.html") for link in found[:4])


def test_a_page_that_was_found_opens(open_page):
    page = open_page("index.html")
    search(page, "max-failures")
    page.locator(".md-search-result__link[href*=operations]").first.click()
    page.get_by_role("heading", level=1, name="Operate long jobs").wait_for()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("page", PAGES)
def test_pages_are_accessible_and_fit(open_page, check_axe, watch, page, way):
    opened = open_page(page, **WAYS[way])
    assert not watch.left()
    # axe asks for the style sheets by script, which a page on disk must not
    watch.expect(r"XMLHttpRequest at '.*\.css'|ERR_FAILED \(.*\.css|preload assets")
    check_axe(opened)
    assert opened.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_theme_can_be_chosen(open_page):
    page = open_page("index.html")
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.locator("label[title='Switch to dark']").click()
    assert page.evaluate(ground) != before
