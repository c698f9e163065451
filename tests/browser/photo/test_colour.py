"""Overlays say which class lies there: on every photograph, to every kind of sight."""

import numpy as np
import pytest

from primaps.outputs.visualize import paint, palette

NAMED = ["#{:02x}{:02x}{:02x}".format(*(int(part) for part in rgb)) for rgb in palette(12)]
MARGINS = """([colours, opacity, sight]) => {
  const see = (rgb) => (sight ? m.seenBy(rgb, sight) : rgb);
  const swatches = colours.map((colour) => see(m.swatch(m.parse(colour), opacity)));
  let least = Infinity;
  for (const photo of [[0, 0, 0], [128, 128, 128], [255, 255, 255],
                       [200, 40, 30], [30, 90, 200], [60, 140, 40]])
    colours.forEach((colour, own) => {
      const shown = see(m.displayed(m.parse(colour), photo, opacity));
      const far = swatches.map((swatch) => m.distance(shown, swatch));
      const others = far.filter((_, index) => index !== own);
      least = Math.min(least, Math.min(...others) - far[own]);
    });
  return least;
}"""


@pytest.fixture
def page(module):
    return module("colour.js")


@pytest.mark.parametrize("opacity", [0.65, 0.8, 1])
def test_a_class_looks_like_its_swatch_on_every_photograph(page, opacity):
    assert page.evaluate(MARGINS, [NAMED, opacity, None]) > 3


def test_at_little_opacity_classes_are_taken_for_others(page):
    """What the slider cannot keep: the photograph's own tones win."""
    assert page.evaluate(MARGINS, [NAMED, 0.3, None]) < 0


@pytest.mark.parametrize("sight", [None, "deuteranopia", "protanopia"])
@pytest.mark.parametrize("opacity", [0.65, 0.8, 1])
def test_safe_colours_are_told_apart_by_all(page, sight, opacity):
    safe = page.evaluate("m.SAFE_COLOURS.slice(0, m.SAFE_CLASSES)")
    assert len(safe) == 8
    assert page.evaluate(MARGINS, [safe, opacity, sight]) > 3


def test_twelve_named_colours_are_not_told_apart_by_the_colour_blind(page):
    """Why there is another palette."""
    assert page.evaluate(MARGINS, [NAMED, 0.65, "deuteranopia"]) < 0


def test_contours_stand_out_against_every_fill(page):
    least = page.evaluate(
        """(named) => {
          const fills = [...named, ...m.SAFE_COLOURS].map((one) => m.swatch(m.parse(one), 0.65));
          for (let tone = 0; tone < 256; tone += 1) fills.push([tone, tone, tone]);
          return Math.min(...fills.map(m.contourContrast));
        }""",
        NAMED,
    )
    assert least >= 3


def test_known_values(page):
    assert page.evaluate("m.lab([255, 0, 0])") == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    assert page.evaluate("m.contrast([0, 0, 0], [255, 255, 255])") == pytest.approx(21)
    assert page.evaluate("m.seenBy([128, 128, 128], 'protanopia')") == pytest.approx(
        [128, 128, 128], abs=0.2
    )
    assert page.evaluate("m.hex(m.parse('#0a80ff'))") == "#0a80ff"
    assert page.evaluate("m.pixel([1, 2, 3], 4)") == 0x04030201


def test_safe_colours_stay_when_classes_are_named_or_corrected(page):
    before, after, ignoring = page.evaluate(
        """async () => {
          const { Model } = await import("viewer/model.js");
          const model = new Model(new FakeSource());
          const colours = () => [...m.classColours(model, "safe")];
          const before = colours();
          model.update(changed(model.state, { 3: { name: "x", colour: "#000000" } },
            { pixels: { "p0.jpg": [[3, 120000]] } }));
          const after = colours();
          model.update(changed(model.state, { 3: { ignore: true } }));
          return [before, after, colours()];
        }"""
    )
    assert before == after
    assert len({colour for _, colour in before}) == 12
    assert 3 not in dict(ignoring)


def test_the_ground_is_that_of_pictures_made_in_python(page):
    values = np.random.default_rng(0).integers(0, 70, (24, 32, 3), np.uint8)
    pixels = np.dstack([values, np.full((24, 32, 1), 255, np.uint8)])
    found = page.evaluate(
        """(pixels) => {
          const data = Uint8ClampedArray.from(pixels);
          m.toGround(data);
          return [...data];
        }""",
        pixels.ravel().tolist(),
    )
    expected = paint(values, np.zeros((24, 32), int), palette(1), alpha=0, contours=False)
    ours = np.array(found).reshape(24, 32, 4)[..., :3]
    assert np.abs(ours - expected.astype(int)).max() <= 1


def test_swatches_of_the_ground(page):
    assert page.evaluate(
        """async () => {
          const { Model } = await import("viewer/model.js");
          const model = new Model(new FakeSource());
          return [m.classSwatch(model, 255), m.classSwatch(model, 0, { opacity: 1 })];
        }"""
    ) == ["#808080", NAMED[0]]
