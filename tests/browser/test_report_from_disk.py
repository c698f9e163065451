"""The report as somebody opens it who got the file: from disk, without a network."""

import re

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

VIEWS = ("#/classes", "#/gallery", "#/photo/p03.jpg")
WAYS = {"light": {}, "dark": {"dark": True}, "phone": {"phone": True}}


@pytest.fixture
def open_report(drawn_run, new_page):
    """``open_report(view)``: a page of the drawn run's report, its first picture drawn."""

    def opened(view="", **options):
        address = (drawn_run / "run" / "report.html").as_uri()
        page = new_page(address + view, offline=True, **options)
        page.locator("main canvas").first.wait_for()
        page.locator("main [aria-busy=true]").wait_for(state="detached")
        return page

    return opened


def test_results_come_first(open_report):
    page = open_report()
    assert page.title() == "run"
    assert page.get_by_role("heading", level=1).inner_text() == "run"
    assert "27 photographs, 4 classes" in page.locator("main").inner_text()
    assert page.get_by_role("article").count() == 4
    page.locator("article canvas.drawn").first.wait_for()
    assert not page.get_by_text("Numbers, not names.").is_visible()
    page.get_by_text("How to read this").click()
    assert page.get_by_text("Numbers, not names.").is_visible()


def test_nothing_but_the_file_is_asked_for(open_report, watch):
    for view in VIEWS:
        open_report(view)
    assert {request.partition("#")[0].rpartition("/")[2] for request in watch.requests} == {
        "report.html"
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_accessible_and_fits(open_report, check_axe, view, way):
    page = open_report(view, **WAYS[way])
    for fold in page.locator("details").all():
        fold.evaluate("fold => { fold.open = true; }")
    check_axe(page)
    # A bar at the right would be a bar at the bottom of everything.
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_photographs_are_filtered_sorted_and_paged(open_report):
    page = open_report("#/gallery")
    tiles = page.locator(".grid [data-image]")
    assert tiles.count() == 24
    assert "Page 1 of 2" in page.get_by_role("navigation", name="Pages", exact=True).inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("page=2"))
    tiles.nth(3).wait_for(state="detached")
    assert tiles.count() == 3
    page.keyboard.press("/")
    page.keyboard.type("more/")
    page.wait_for_url(re.compile("text=more"))
    assert sorted(tile.get_attribute("title") for tile in tiles.all()) == [
        "more/m25.jpg",
        "more/m26.jpg",
    ]
    page.get_by_role("button", name="Clear filters").first.click()
    page.locator("select[name=class]").select_option(index=2)
    page.locator("select[name=sort]").select_option("share")
    page.get_by_label("Reversed").check()
    page.wait_for_url(re.compile("sort=share.*down=1"))
    shares = [
        float(text.removeprefix("<").split()[0])
        for text in page.locator(".grid .figure").all_inner_texts()
    ]
    assert len(shares) > 1
    assert shares == sorted(shares, reverse=True)
    address = page.url
    page.go_back()
    page.go_forward()
    assert page.url == address


def test_a_photograph_names_what_is_under_the_mouse_and_isolates_it(open_report):
    page = open_report("#/photo/p03.jpg")
    legend, readout = page.locator(".photo-classes"), page.locator(".photo-readout")
    assert legend.get_by_role("button").count() >= 2
    box = page.locator(".photo-window").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.2)
    readout.wait_for()
    name = re.match(r"class \d+", readout.inner_text())[0]
    page.mouse.down()
    page.mouse.up()
    assert legend.get_by_role("button", pressed=True).inner_text().startswith(name)
    page.keyboard.press("Escape")
    assert legend.get_by_role("button", pressed=True).count() == 0


def test_a_photograph_by_keyboard_alone(open_report):
    page = open_report("#/photo/p03.jpg")
    layers = page.get_by_role("group", name="layer")
    for key, layer in (("1", "photo"), ("2", "proposals"), ("4", "certainty"), ("3", "label map")):
        page.keyboard.press(key)
        assert layers.get_by_role("button", pressed=True).inner_text() == layer
    page.keyboard.press("]")
    page.get_by_role("heading", name="p04.jpg").first.wait_for()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    assert "next photograph" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_the_opacity_stays_as_it_was_set(open_report):
    page = open_report("#/photo/p03.jpg")
    slider = page.get_by_role("slider", name="opacity")
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    page.get_by_role("heading", name="p04.jpg").first.wait_for()
    assert slider.input_value() == "1"


def test_the_theme_can_be_chosen(open_report):
    page = open_report()
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert page.evaluate(ground) != before


def test_label_maps_of_real_photographs_arrive_pixel_by_pixel(photographed_run, new_page):
    run = photographed_run / "run"
    page = new_page((run / "report.html").as_uri(), offline=True)
    page.locator("article canvas.drawn").first.wait_for()
    for name in ("cat-left.png", "rocket-right.png"):
        shown = page.evaluate(
            """async (name) => {
              const { EmbeddedSource } = await import("viewer/source.js");
              const source = await EmbeddedSource.open(document);
              const { width, height, labels } =
                await source.maps(source.run.images.name.indexOf(name));
              return { width, height, labels: [...labels] };
            }""",
            name,
        )
        labels = np.asarray(Image.open(run / "labels" / f"{name}.png"))
        sent = np.array(shown["labels"]).reshape(shown["height"], shown["width"])
        np.testing.assert_array_equal(sent, labels)
