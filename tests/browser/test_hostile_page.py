"""Names that are made to be run as scripts are shown as texts, everywhere."""

import re

import pytest
from PIL import Image

pytestmark = pytest.mark.slow

SCRIPT = "<img src=x onerror=globalThis.ran=1><script>globalThis.ran=1</script>"
FILE = "<img src=x onerror=ran=1>'\"&</script>.png"
CLOSING = "</script><script>globalThis.ran=1</script>"


@pytest.fixture(scope="session")
def hostile_run(made_once, draw, primaps):
    """Folder with ``photos`` and ``run`` whose file names and classes are scripts."""

    def make(folder):
        (folder / "photos").mkdir(parents=True)
        for number, name in enumerate((FILE.replace("/", "_"), "b.png", "c.png")):
            Image.fromarray(draw(number, 60, 80)).save(folder / "photos" / name)
        options = ("--classes", 3, "--backbone", "texture", "--init", "proposals")
        primaps("segment", folder / "photos", "--out", folder / "run", *options)
        primaps("classes", folder / "run", "--name", f"0={SCRIPT}", "--name", f"1={CLOSING}")
        primaps("report", folder / "run")

    return made_once("hostile", make)


def all_views(page, address):
    """Show everything that is shown of names; the number of scripts among them that ran."""
    name = FILE.replace("/", "_")
    for view in ("#/classes", "#/gallery", "#/gallery?text=%3Cimg"):
        page.goto(address + view)
        page.locator("main canvas").first.wait_for()
        for fold in page.locator("details").all():
            fold.evaluate("fold => { fold.open = true; }")
    assert page.locator(".grid [data-image]").get_attribute("title") == name
    page.locator(".grid [data-image]").click()
    page.get_by_role("heading", name=name).first.wait_for(state="attached")
    page.locator("main [aria-busy=true]").wait_for(state="detached")
    page.keyboard.press("?")
    page.keyboard.press("Escape")
    return page.evaluate("globalThis.ran ?? 0")


def test_report(hostile_run, new_page):
    address = (hostile_run / "run" / "report.html").as_uri()
    page = new_page(address, offline=True)
    page.get_by_role("article").first.wait_for()
    texts = page.locator("article h3").all_inner_texts()
    assert any(SCRIPT in text for text in texts)
    assert any(CLOSING in text for text in texts)
    assert all_views(page, address) == 0


def test_studio(hostile_run, own_copy, start_studio, new_page, scripts):
    studio = start_studio(own_copy(hostile_run) / "run")
    page = new_page(studio.url)
    page.get_by_role("article").first.wait_for()
    assert all_views(page, f"{studio.address}/") == 0
    # typed here, and shown by everything that shows names
    page.goto(f"{studio.address}/#/classes")
    card = page.get_by_role("article").last
    card.get_by_role("button", name=re.compile("^Rename")).click()
    page.get_by_role("combobox", name=re.compile("^Name of")).fill(SCRIPT + "2")
    page.keyboard.press("Enter")
    scripts.keyboard.wait_until_saved(page)
    scripts.keyboard.answer_cards(page, lambda image, proposal: SCRIPT, 3)
    page.keyboard.type("<im")
    page.get_by_role("listbox").wait_for()
    page.keyboard.press("Control+z")
    page.goto(f"{studio.address}/#/coarse")
    page.get_by_role("heading").first.wait_for()
    assert page.evaluate("globalThis.ran ?? 0") == 0
