"""One photograph: layers, hover, isolating, picking, zoom, keyboard, and what it costs."""

import io
import logging
import statistics

import pytest
from PIL import Image

LIMIT = 0.016
"""Seconds of script per frame. Machines of tests are slow and shared: asserted loosely."""
LOOSE = 4 * LIMIT
LOG = logging.getLogger(__name__)


class Screen:
    """A photograph of 12 cells on a page, addressed by cell: 0..11, row by row, 4 a row."""

    def __init__(self, page):
        self.page = page
        self.window = page.locator(".photo-window")

    def place(self, cell, x=0.5, y=0.5):
        """Where a part of a cell is on the page, in CSS pixels, as it is zoomed now."""
        box = self.window.bounding_box()
        scale, left, top, width, height = self.page.evaluate(
            "[view.view.scale, view.view.x, view.view.y, source.width, source.height]"
        )
        column, row = cell % 4, cell // 4
        return (
            box["x"] + left + scale * width * (column + x) / 4,
            box["y"] + top + scale * height * (row + y) / 3,
        )

    def hover(self, cell, x=0.5, y=0.5):
        self.page.mouse.move(*self.place(cell, x, y))
        self.rest()

    def click(self, cell, **options):
        keys = options.pop("modifiers", [])
        for key in keys:
            self.page.keyboard.down(key)
        self.page.mouse.click(*self.place(cell), **options)
        for key in keys:
            self.page.keyboard.up(key)
        self.rest()

    def rest(self):
        """Until contours and marks are drawn anew."""
        self.page.wait_for_timeout(160)

    def shown(self, cell, x=0.5, y=0.3):
        """Colour that a person sees there."""
        self.page.mouse.move(2, 2)
        self.rest()
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        across, down = self.place(cell, x, y)
        return picture.getpixel((round(across), round(down)))

    def painted(self, cell):
        """RGBA of the fill, in the middle of a cell."""
        return self.page.evaluate(
            """([x, y]) => {
              const { fill } = view.layers;
              const [left, top] = [fill.width * x, fill.height * y].map(Math.floor);
              return [...fill.getContext("2d").getImageData(left, top, 1, 1).data];
            }""",
            [(cell % 4 + 0.5) / 4, (cell // 4 + 0.5) / 3],
        )

    def marked(self, kind):
        """How many pixels a canvas of marks holds."""
        return self.page.evaluate(
            """(kind) => {
              const one = view.layers[kind];
              const { data } = one.getContext("2d").getImageData(0, 0, one.width, one.height);
              return data.filter((value, index) => index % 4 === 3 && value > 0).length;
            }""",
            kind,
        )

    def swatch(self, class_id):
        return tuple(
            self.page.evaluate(
                """async (id) => {
                  const colour = await import("viewer/colour.js");
                  const { settings } = frame;
                  return colour.parse(colour.classSwatch(model, id,
                    { palette: settings.get("palette"), opacity: settings.get("opacity") }));
                }""",
                class_id,
            )
        )

    def change(self, classes, **rest):
        self.page.evaluate(
            "([classes, rest]) => model.update(changed(model.state, classes, rest))",
            [classes, rest],
        )
        self.rest()

    def events(self, kind):
        return self.page.evaluate("(kind) => events.filter(([one]) => one === kind)", kind)

    def selection(self):
        return self.page.evaluate("[...view.selection]")


@pytest.fixture
def screen(photo_page):
    return Screen(photo_page())


def near(one, other, most=3):
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= most


# ---- what is seen --------------------------------------------------------------------------------


@pytest.mark.parametrize(("tone", "most"), [("#000000", 20), ("#808080", 2), ("#ffffff", 20)])
def test_a_class_is_seen_in_the_colour_of_the_legend(photo_page, tone, most):
    screen = Screen(photo_page(tone=tone))
    for cell in (0, 1, 7, 10):
        assert near(screen.shown(cell), screen.swatch(cell), most)


def test_recolouring_merging_and_ignoring_paint_anew_and_ask_for_nothing(screen):
    asked = screen.page.evaluate("source.asked.length")
    screen.change({0: {"colour": "#00ff00"}})
    assert screen.painted(0) == [0, 255, 0, 255]
    screen.change({1: {"clusters": [1, 2]}, 2: {"clusters": []}})
    assert screen.painted(2) == screen.painted(1) == [0x3C, 0x8C, 0xFF, 255]
    screen.change({1: {"ignore": True}})
    assert screen.painted(1)[3] == screen.painted(2)[3] == 0
    assert screen.page.evaluate("source.asked.length") == asked


def test_what_a_person_said_of_a_proposal_is_seen(screen):
    screen.change({}, corrections={"p0.jpg": {"1": 4, "2": 255}})
    assert screen.painted(0) == screen.painted(4)
    assert screen.painted(1)[3] == 0
    screen.hover(0, 0.52)
    assert screen.page.inner_text(".photo-readout") == (
        "name 4 · proposal 1 · said by a person · certainty 13\u202f%"
    )


def test_layers_by_button_and_key(screen):
    page = screen.page
    grey = (128, 128, 128)
    page.keyboard.press("1")
    assert near(screen.shown(0), grey)
    page.keyboard.press("2")
    assert screen.painted(0)[3] == 0
    assert screen.painted(11)[3] > 0  # no proposal there: veiled
    assert screen.marked("lines") > 1000
    page.get_by_role("button", name="certainty").click()
    assert page.get_by_role("button", name="certainty").get_attribute("aria-pressed") == "true"
    assert screen.painted(0)[:3] != screen.painted(3)[:3]
    assert "unsure 2.0\u202f%" in page.inner_text(".photo-ramp")
    page.keyboard.press("3")
    assert near(screen.shown(5), screen.swatch(5))


def test_proposals_have_no_colours_of_classes(screen):
    screen.page.keyboard.press("2")
    screen.hover(5)
    greys = screen.page.evaluate(
        """() => ["lines", "hovered", "fill"].every((kind) => {
          const one = view.layers[kind];
          const { data } = one.getContext("2d").getImageData(0, 0, one.width, one.height);
          for (let i = 0; i < data.length; i += 4)
            if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
          return true;
        })"""
    )
    assert greys
    assert screen.marked("hovered") > 1000


def test_opacity_and_palette_from_the_controls(screen):
    page = screen.page
    slider = page.get_by_label("opacity")
    slider.focus()
    page.keyboard.press("End")
    assert near(screen.shown(0), (0xE6, 0x19, 0x4B), 1)
    page.keyboard.press("Home")
    assert near(screen.shown(0), (128, 128, 128), 1)
    page.keyboard.press("End")
    page.get_by_label("Colours").select_option("safe")
    assert screen.painted(0) == [0, 0, 255, 255]
    assert "12 classes: colour-blind people can tell the first 8 apart" in page.inner_text(
        ".photo-note"
    )


@pytest.mark.parametrize("key", ["h", " "])
def test_a_held_key_hides_the_overlay(screen, key):
    page = screen.page
    page.keyboard.down(key)
    assert near(screen.shown(0), (128, 128, 128))
    page.keyboard.up(key)
    assert near(screen.shown(0), screen.swatch(0))


def test_compare_shows_the_photograph_left_of_the_handle(screen):
    page = screen.page
    page.keyboard.press("v")
    handle = page.get_by_role("slider", name="photograph left, overlay right")
    assert near(screen.shown(0), (128, 128, 128))
    assert near(screen.shown(3), screen.swatch(3))
    handle.focus()
    page.keyboard.press("Home")
    assert handle.get_attribute("aria-valuenow") == "0"
    assert near(screen.shown(0), screen.swatch(0))
    box = screen.window.bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 40, steps=4)
    page.mouse.up()
    assert handle.get_attribute("aria-valuenow") == "90"
    page.keyboard.press("v")
    assert near(screen.shown(0), screen.swatch(0))


# ---- hover, isolate ------------------------------------------------------------------------------


def test_hover_names_what_lies_there(screen):
    page = screen.page
    screen.hover(6, 0.52)
    assert page.inner_text(".photo-readout") == "name 6 · proposal 7 · certainty 63\u202f%"
    assert page.locator(".photo-lit").inner_text().split("\n")[0] == "name 6"
    assert screen.marked("hovered") > 100
    screen.hover(11, 0.52)
    assert page.inner_text(".photo-readout") == "name 11 · certainty 88\u202f%"
    page.mouse.move(2, 2)
    screen.rest()
    assert not page.is_visible(".photo-readout")
    assert screen.marked("hovered") == 0


def test_the_legend_marks_a_class_in_the_picture(screen):
    screen.page.get_by_role("button", name="name 3").hover()
    screen.rest()
    assert screen.marked("hovered") > 100


def test_click_isolates_and_escape_ends_it(screen):
    page = screen.page
    screen.click(4)
    assert screen.painted(4)[3] == 255
    assert 0 < screen.painted(5)[3] < 40
    assert page.get_by_role("button", name="name 4").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert screen.painted(5)[3] == 255
    page.get_by_role("button", name="name 7").click()
    assert screen.painted(4)[3] < 40
    screen.click(7)
    assert screen.painted(4)[3] == 255
    assert [detail["classId"] for _, detail in screen.events("isolate")] == [4, None, 7, None]


def test_keyboard_alone(screen):
    page = screen.page
    screen.window.focus()
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".photo-readout").startswith("name 6 · proposal 7")
    assert page.inner_text(".photo-spoken[role=status]").startswith("name 6")
    for _ in range(2):
        page.keyboard.press("Shift+ArrowLeft")
    assert page.inner_text(".photo-readout").startswith("name 5")
    page.keyboard.press("Enter")
    assert screen.painted(5)[3] == 255
    assert screen.painted(6)[3] < 40
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    before = page.evaluate("view.view.x")
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate("view.view.x") == pytest.approx(before - 60)  # it follows the cursor
    page.keyboard.press("0")
    assert page.evaluate("view.window.dataset.zoomed") == "false"


# ---- zoom and pan --------------------------------------------------------------------------------


def test_the_wheel_enlarges_around_the_pointer(screen):
    page = screen.page
    screen.hover(6)
    x, y = screen.place(6)
    page.mouse.wheel(0, -700)
    screen.rest()
    assert page.evaluate("view.view.scale") > 3
    after = screen.place(6)
    assert after == pytest.approx((x, y), abs=3)  # the pointer is on whole pixels
    assert near(screen.shown(6, 0.5, 0.45), screen.swatch(6))
    page.mouse.wheel(0, 400)
    screen.rest()
    for line in (screen.shown(6, 0.0, 0.5), screen.shown(6, 0.5, 0.0)):
        assert not near(line, screen.swatch(6), 40)  # contours lie where the border is now
    page.keyboard.press("0")
    assert page.evaluate("view.window.dataset.zoomed") == "false"


def test_dragging_pans_and_a_double_click_enlarges(screen):
    page = screen.page
    x, y = screen.place(5)
    page.mouse.dblclick(x, y)
    screen.rest()
    start = page.evaluate("[view.view.x, view.view.y, view.view.scale]")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y - 30, steps=5)
    page.mouse.up()
    end = page.evaluate("[view.view.x, view.view.y, view.view.scale]")
    assert (end[0] - start[0], end[1] - start[1]) == pytest.approx((-60, -30), abs=1)
    assert page.evaluate("view.isolated") is None  # no drag is a click


def test_two_fingers_enlarge_and_the_page_is_narrow(photo_page):
    page = photo_page(phone=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    session = page.context.new_cdp_session(page)
    box = page.locator(".photo-window").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind, apart):
        points = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
        session.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if apart else []}
        )

    before = page.evaluate("view.view.scale")
    touch("touchStart", 30)
    for apart in (40, 60, 90):
        touch("touchMove", apart)
    touch("touchEnd", 0)
    assert page.evaluate("view.view.scale") / before == pytest.approx(3, rel=0.05)
    assert page.evaluate("view.isolated") is None
    page.get_by_role("button", name="fit").tap()
    page.locator(".photo-window").tap()
    assert page.evaluate("view.isolated") is not None


def test_a_zoomed_photograph_is_asked_for_larger(photo_page):
    screen = Screen(photo_page(width=4000, height=3000))
    first = screen.page.evaluate("source.asked.filter(([kind]) => kind === 'photo')")
    screen.page.keyboard.press("+")
    screen.page.keyboard.press("+")
    screen.page.keyboard.press("+")
    screen.rest()
    sides = [
        side for _, _, side in screen.page.evaluate("source.asked.filter(([k]) => k === 'photo')")
    ]
    assert len(first) == 1
    assert sides[-1] > sides[0]
    assert screen.page.evaluate("view.layers.base.width") > 1280


@pytest.mark.parametrize("scale", [1, 2])
def test_lines_are_as_fine_as_the_screen(photo_page, scale):
    page = photo_page(scale=scale)
    width, canvas = page.evaluate("[view.window.clientWidth, view.layers.lines.width]")
    assert canvas == pytest.approx(width * scale, rel=0.02) or canvas > 1400


# ---- several photographs -------------------------------------------------------------------------


def test_previous_and_next(screen):
    page = screen.page
    assert page.get_by_role("button", name="previous photograph").is_disabled()
    page.keyboard.press("]")
    page.wait_for_function("view.picture?.image === 1")
    page.get_by_role("button", name="next photograph").click()
    page.wait_for_function("view.picture?.image === 2")
    assert page.inner_text(".photo-place") == "3 of 3"
    assert page.get_by_role("button", name="next photograph").is_disabled()
    page.keyboard.press("[")
    assert page.evaluate("frame.gone.at(-1)") == ["photo", {"name": "p1.jpg"}]


def test_the_gallery_gives_the_order(screen):
    page = screen.page
    page.evaluate("frame.order = () => [2, 0]")
    page.evaluate("view.show(0)")
    page.wait_for_function("view.picture?.image === 0")
    assert page.inner_text(".photo-place") == "2 of 2"
    page.keyboard.press("[")
    page.wait_for_function("view.picture?.image === 2")


def test_a_late_photograph_does_not_replace_a_newer_one(screen):
    page = screen.page
    page.evaluate("source.delay = 150; view.show(1); source.delay = 0; view.show(2)")
    page.wait_for_timeout(300)
    assert page.evaluate("[view.image, view.picture.image, view.title]") == [2, 2, "p2.jpg"]


def test_what_cannot_be_read_is_said(screen):
    page = screen.page
    page.evaluate("() => { source.photo = async () => { throw new Error('it is gone'); }; }")
    page.evaluate("view.show(1)")
    assert page.get_by_role("alert").inner_text() == "p1.jpg could not be shown: it is gone"


def test_nothing_is_left_when_it_ends(screen):
    page = screen.page
    page.evaluate("view.destroy()")
    assert page.evaluate("[frame.keys.held.size, model.listeners.size]") == [0, 0]
    assert page.locator(".photo").count() == 0


def test_a_run_without_proposals_and_certainty(screen):
    page = screen.page
    page.evaluate(
        """() => { model.run.has_proposals = model.run.has_certainty = false;
                   view.picking = true; return view.show(0); }"""
    )
    for name in ("proposals", "certainty"):
        assert page.get_by_role("button", name=name).is_disabled()
    page.keyboard.press("2")
    assert page.evaluate("frame.toasts") == ["no proposals were kept in this run"]
    assert page.evaluate("[view.layer, view.picking]") == ["labels", False]


# ---- picking -------------------------------------------------------------------------------------


@pytest.fixture
def picker(screen):
    screen.page.evaluate("view.picking = true")
    return screen


def test_a_click_picks_a_proposal(picker):
    picker.click(6)
    assert picker.selection() == [7]
    [[_, told]] = picker.events("pick")
    assert {key: told[key] for key in ("image", "proposals", "classId", "add")} == {
        "image": 0,
        "proposals": [7],
        "classId": 6,
        "add": False,
    }
    assert told["point"]["x"] == pytest.approx(250, abs=1)
    assert picker.marked("chosen") > 100
    picker.click(6)
    assert picker.selection() == []
    assert picker.page.evaluate("view.isolated") is None


def test_shift_adds_and_takes_away(picker):
    picker.click(0)
    picker.click(1, modifiers=["Shift"])
    picker.click(5, modifiers=["Shift"])
    assert picker.selection() == [1, 2, 6]
    picker.click(1, modifiers=["Shift"])
    assert picker.selection() == [1, 6]
    picker.page.keyboard.press("1")  # a class key: the layer stays
    assert picker.page.evaluate("view.layer") == "labels"
    picker.page.keyboard.press("Escape")
    assert picker.selection() == []
    assert picker.events("selection")[-1][1] == {"image": 0, "proposals": []}


def test_the_lasso_takes_what_is_mostly_inside(picker):
    page = picker.page
    page.get_by_role("button", name="lasso").click()
    corners = [(0, -0.2, 0.2), (1, 0.6, 0.2), (5, 0.6, 0.55), (4, -0.2, 0.55)]
    places = [picker.place(cell, x, y) for cell, x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()
    # cells 0: 80 % high and whole; 1: 60 % x 80 % = 48 %; 4: 55 % high; 5: 60 % x 55 %
    assert picker.selection() == [1, 5]
    assert picker.events("pick")[-1][1]["proposals"] == [1, 5]
    picker.click(2, modifiers=["Shift"])
    assert picker.selection() == [1, 5, 3]


def test_the_keyboard_picks(picker):
    picker.window.focus()
    picker.page.keyboard.press("ArrowLeft")
    picker.page.keyboard.press("Enter")
    assert picker.selection() == [6]
    for _ in range(4):
        picker.page.keyboard.press("Shift+ArrowLeft")
    picker.page.keyboard.press("Shift+Enter")
    assert len(picker.selection()) == 2


def test_another_photograph_has_nothing_selected(picker):
    picker.click(0)
    picker.page.keyboard.press("]")
    picker.page.wait_for_function("view.picture?.image === 1")
    assert picker.selection() == []


# ---- for everybody -------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(photo_page, check_axe, dark):
    check_axe(photo_page(dark=dark), within=".photo")


def test_a_text_stands_for_the_picture(screen):
    window = screen.window
    text = screen.page.inner_text("#" + window.get_attribute("aria-describedby"))
    assert text.startswith("p0.jpg: name 0 8 %, name 1 8 %")
    screen.change({0: {"name": "<b>x</b>"}})
    assert "<b>x</b> 8 %" in screen.page.text_content(
        "#" + window.get_attribute("aria-describedby")
    )


# ---- what it costs -------------------------------------------------------------------------------


def cost(page, script):
    """Seconds that handlers take, median and longest: each call of `script` with i = 0, 1, ... is
    one frame's work.
    """
    times = page.evaluate(
        """async (script) => {
          const work = new Function("i", script);
          const frame = () => new Promise((done) => requestAnimationFrame(done));
          const times = [];
          for (let i = 0; i < 24; i += 1) {
            const start = performance.now();
            work(i);
            times.push((performance.now() - start) / 1000);
            await frame();
          }
          return times;
        }""",
        script,
    )
    return statistics.median(times), max(times)


def test_hover_and_opacity_are_cheap_on_two_megapixels(photo_page, record_property):
    page = photo_page(width=1664, height=1248, scale=2)
    pointing = "view.point({ x: 60 + 416 * (i % 4), y: 60 + 416 * (i % 3) });"
    frames = {"hover": cost(page, pointing)}
    frames["opacity"] = cost(page, "frame.settings.set('opacity', i / 24);")
    page.keyboard.press("2")
    frames["hover over proposals"] = cost(page, pointing)
    page.evaluate("view.setLayer('labels')")
    frames["pan"] = cost(page, "view.move({ ...view.view, x: view.view.x + 1 });")
    rest = {
        "repaint after a change": cost(page, "view.repaint();"),
        "contours at rest": cost(page, "view.settle();"),
    }
    for name, (median, longest) in (frames | rest).items():
        record_property(name, f"{1000 * median:.1f} ms, longest {1000 * longest:.1f} ms")
        LOG.info("%s: %.1f ms, longest %.1f ms", name, 1000 * median, 1000 * longest)
    assert max(median for median, _ in frames.values()) < LOOSE
