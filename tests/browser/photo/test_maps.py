"""Id maps: unpacked, painted, outlined."""

import base64
import zlib

import numpy as np
import pytest


@pytest.fixture
def page(module):
    return module("maps.js")


def test_maps_are_unpacked_as_they_were_packed(page):
    labels = np.array([[0, 1, 2], [255, 300, 65535]], dtype="<u2")
    proposals = np.array([[0, 0, 7], [7, 8, 999]], dtype="<u2")
    packed = base64.b64encode(zlib.compress(labels.tobytes() + proposals.tobytes())).decode()
    assert page.evaluate(
        """async (text) => {
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const maps = m.decodeMaps(await m.inflate(bytes), 3, 2, true);
          return [[...maps.labels], [...maps.proposals]];
        }""",
        packed,
    ) == [labels.ravel().tolist(), proposals.ravel().tolist()]


def test_maps_of_another_size_are_refused(page):
    assert page.evaluate(
        """() => {
          try { m.decodeMaps(new ArrayBuffer(10), 3, 2, true); } catch (error) {
            return error.message;
          }
        }"""
    ).startswith("Expected maps of 3 x 2 pixels to have 24 bytes, but got 10.")


def test_what_a_person_said_goes_over_the_clusters(page):
    assert page.evaluate(
        """() => {
          const maps = { width: 6, height: 1, labels: Uint16Array.of(0, 1, 1, 2, 2, 255),
                         proposals: Uint16Array.of(1, 1, 2, 3, 4, 5) };
          const owner = new Uint16Array(65536).fill(255);
          owner[0] = 10; owner[1] = 11; owner[2] = 12;
          const said = new Map([[2, 40], [3, 255], [4, 50], [5, 11]]);
          return [...m.classify(maps, owner, said, new Set([50]))];
        }"""
    ) == [10, 11, 40, 255, 255, 11]


def test_paint_uses_the_table(page):
    assert page.evaluate(
        """() => {
          const maps = { width: 3, height: 1, labels: Uint16Array.of(0, 7, 255),
                         proposals: null };
          const owner = new Uint16Array(65536).fill(255);
          owner[0] = 2; owner[7] = 3;
          const table = new Uint32Array(256);
          table[2] = 0xff0000ff; table[3] = 0xff00ff00;
          const out = new Uint32Array(3);
          m.paint(maps, owner, new Map(), table, out);
          return [...out];
        }"""
    ) == [0xFF0000FF, 0xFF00FF00, 0]


def test_a_sample_is_the_map_where_the_screen_is(page):
    ids, boxes = page.evaluate(
        """() => {
          const sample = m.sample(Uint8Array.of(1, 2, 3, 4), { width: 2, height: 2 },
            { width: 6, height: 5, scale: 2, x: 1, y: 1 });
          return [[...sample.ids], [...sample.boxes]];
        }"""
    )
    out = 65535
    assert np.array(ids).reshape(5, 6).tolist() == [
        [out] * 6,
        [out, 1, 1, 2, 2, out],
        [out, 1, 1, 2, 2, out],
        [out, 3, 3, 4, 4, out],
        [out, 3, 3, 4, 4, out],
    ]
    assert dict(boxes) == {1: [1, 1, 3, 3], 2: [3, 1, 5, 3], 3: [1, 3, 3, 5], 4: [3, 3, 5, 5]}


def test_contours_have_a_dark_and_a_light_line(page):
    lines = page.evaluate(
        """() => {
          const sample = { width: 6, height: 1, boxes: new Map(),
                           ids: Uint16Array.of(5, 5, 5, 6, 6, 65535) };
          const out = new Uint32Array(6);
          m.outlines(sample, 1, { dark: 1, light: 2 }, out);
          return [...out];
        }"""
    )
    assert lines == [0, 0, 1, 2, 0, 0]


def test_a_marked_region_has_its_contour_inside(page):
    marked = page.evaluate(
        """() => {
          const ids = new Uint16Array(81);
          for (let y = 1; y < 8; y += 1) for (let x = 1; x < 8; x += 1) ids[9 * y + x] = 4;
          const out = new Uint32Array(49);
          const lines = { dark: 1, light: 2, hatchDark: 0, hatchLight: 0 };
          m.mark({ width: 9, height: 9, ids, boxes: new Map() }, 4, 1, lines, out, [1, 1, 8, 8]);
          return [...out];
        }"""
    )
    expected = np.full((7, 7), 2)
    expected[1:6, 1:6] = 1
    expected[2:5, 2:5] = 0
    assert np.array(marked).reshape(7, 7).tolist() == expected.tolist()


def test_the_usual_range_leaves_out_what_is_rare(page):
    values = [0, *range(10, 110), *range(10, 110), 255]
    low, high = page.evaluate("(all) => m.usualRange(Uint8Array.from(all))", values)
    assert (low, high) == (11, 108)
