"""Small pictures: regions cut out, thumbnails."""

import pytest

SETUP = """
const { Model } = await import("viewer/model.js");
globalThis.m = await import("viewer/region.js");
globalThis.source = new FakeSource({ tone: TONE, width: 1600, height: 1200 });
globalThis.model = new Model(source);
globalThis.canvas = document.body.appendChild(document.createElement("canvas"));
[canvas.width, canvas.height] = [240, 180];
globalThis.at = (x, y) => [...canvas.getContext("2d").getImageData(x, y, 1, 1).data];
"""


@pytest.fixture
def page(fake_page):
    return fake_page(SETUP.replace("TONE", "'#808080'"))


@pytest.mark.parametrize("tone", ["#000000", "#808080", "#ffffff"])
def test_a_region_has_a_contour_of_white_and_black(fake_page, tone):
    page = fake_page(SETUP.replace("TONE", repr(tone)))
    row = page.evaluate(
        """async () => {
          await m.drawRegion(canvas, model, { image: 0, proposal: 6, score: 1 }, 5);
          return Array.from({ length: 240 }, (_, x) => at(x, 90)[0]);
        }"""
    )
    level = int(tone[1:3], 16)
    assert row[120] == level  # inside: as it is
    left = row[:120]
    white = len(left) - left[::-1].index(255) - 1 if level < 255 else None
    if white is not None:
        assert 0 in left[:white]
    assert min(left) == 0  # the black line is there in any case
    assert row[2] <= level / 2 + 1  # outside: dimmed


def test_a_region_is_never_smaller_than_its_picture(page):
    boxes = page.evaluate(
        """() => [
          m.cropAround({ left: 300, top: 200, width: 2, height: 2 },
            { width: 640, height: 480 }, { width: 240, height: 180 }),
          m.cropAround({ left: 0, top: 0, width: 640, height: 480 },
            { width: 640, height: 480 }, { width: 100, height: 200 }),
        ]"""
    )
    small, whole = boxes
    assert (small["width"], small["height"]) == (64, 48)
    assert small["left"] == pytest.approx(301 - 32)
    assert whole["height"] == 480
    assert whole["width"] == 240


def test_without_a_proposal_all_of_a_class_is_meant(page):
    centre, corner = page.evaluate(
        """async () => {
          model.update(changed(model.state, { 5: { clusters: [5, 6] }, 6: { clusters: [] } }));
          await m.drawRegion(canvas, model, { image: 0, proposal: null, score: 1 }, 5);
          return [at(120, 90), at(2, 2)];
        }"""
    )
    assert centre == [128, 128, 128, 255]
    assert corner[0] < 70


def test_the_later_call_wins(page):
    asked = page.evaluate(
        """async () => {
          source.delay = 60;
          const first = m.drawThumb(canvas, model, 0, { overlay: false });
          source.delay = 0;
          source.tone = "#ff0000";
          await m.drawThumb(canvas, model, 1, { overlay: false, side: 80 });
          await first;
          return [canvas.width, canvas.height, at(5, 5)];
        }"""
    )
    assert asked == [80, 60, [255, 0, 0, 255]]


def test_a_thumbnail_reads_small_maps_and_looks_like_the_legend(page):
    asked, shown, swatch = page.evaluate(
        """async () => {
          const colour = await import("viewer/colour.js");
          await m.drawThumb(canvas, model, 0, { side: 160 });
          return [source.asked, at(20, 20), colour.parse(colour.classSwatch(model, 0))];
        }"""
    )
    assert asked == [["photo", 0, 160], ["maps", 0, 160]]
    assert shown[:3] == pytest.approx(swatch, abs=2)
