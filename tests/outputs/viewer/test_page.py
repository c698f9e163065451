import base64
import html
import json
import re
from html.parser import HTMLParser

import pytest

from primaps.errors import OutputError
from primaps.outputs.viewer.page import class_pixels, report_parts, studio_page, write_report
from primaps.outputs.viewer.pictures import EmbeddedImage, Packed

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\"quotes\" & 'apostrophes'",
    "]]>\u2028line\u2029paragraph",
    "東京 \N{ELEPHANT}",
    "bytes \udcff\udc80",
    "\\u003c\\",
    "</noscript></title></style><img src=x onerror=alert(1)>",
]


def record(names=("a.jpg",), clusters=None, **changes):
    rows = [[[0, 3], [1, 1]] for _ in names] if clusters is None else clusters
    return {
        "title": "run",
        "date": "2026-11-29T10:38:24+00:00",
        "total_images": len(names),
        "images": {"name": list(names), "clusters": rows},
    } | changes


def entry(class_id, name=None, clusters=(), ignore=False):
    return {
        "id": class_id, "name": name, "colour": "#804080", "clusters": list(clusters),
        "ignore": ignore, "note": "",
    }  # fmt: skip


def state(classes=(), **changes):
    return {"revision": 0, "classes": list(classes), "corrections": {}, "pixels": {}} | changes


def image(number=0, certainty=False):
    packed = Packed(4, 3, bytes([number, 255, 0]))
    return EmbeddedImage(packed, packed, packed if certainty else None)


class Blocks(HTMLParser):
    """Script elements as a browser sees them, and everything else that could run."""

    def __init__(self, page):
        super().__init__()
        self.scripts, self.tags, self.policy, self.inside = [], [], None, False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append((found, []))
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]

    def handle_endtag(self, _):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1][1].append(data)

    def text(self, name):
        return next("".join(text) for found, text in self.scripts if found.get("id") == name)


def written(*arguments):
    return b"".join(report_parts(*arguments)).decode("utf-8")


def test_record_and_state_come_back():
    classes = [entry(0, "road", [0]), entry(1, None, [1])]
    page = Blocks(written(record(), state(classes), [image()]))
    assert json.loads(page.text("run")) == record()
    assert json.loads(page.text("state")) == state(classes)


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_texts_wherever_they_stand(text):
    given = record([text], title=text), state([entry(0, text, [0])], corrections={text: {"1": 0}})
    page = written(*given, [image()])
    blocks = Blocks(page)
    assert json.loads(blocks.text("run")) == given[0]
    assert json.loads(blocks.text("state")) == given[1]
    plain = Blocks(written(record(), state(), [image()]))
    kinds = [tag for tag, _ in plain.tags]
    cells = ["tr", "td", "td", "td", "td"]
    place = kinds.index("tr") + 5
    assert [tag for tag, _ in blocks.tags] == kinds[:place] + cells + kinds[place:]
    shown = text.encode("utf-8", "backslashreplace").decode()
    assert f"<td>{html.escape(shown)}</td>" in page


def test_blocks_stand_in_the_order_of_the_images_with_their_sizes():
    page = Blocks(written(record("ab"), state(), [image(0, certainty=True), image(1)]))
    data = [found for found, _ in page.scripts if found.get("type") == "text/plain"]
    assert [found["id"] for found in data] == [
        "photo-0", "maps-0", "certainty-0", "photo-1", "maps-1"
    ]  # fmt: skip
    assert {(found["data-width"], found["data-height"]) for found in data} == {("4", "3")}
    assert base64.b64decode(page.text("maps-1")) == b"\x01\xff\x00"


def test_the_viewer_comes_before_the_data():
    page = written(record(), state(), [image()])
    order = ['type="importmap"', 'id="app"', 'type="module"', 'id="run"', 'id="state"', "photo-0"]
    places = [page.index(each) for each in order]
    assert places == sorted(places)


def test_nothing_but_what_is_in_the_page_may_run():
    from primaps.outputs.viewer.embedding import policy_hash

    page = Blocks(written(record(), state(), [image()]))
    policy = dict(part.split(" ", 1) for part in page.policy.split("; "))
    assert policy["default-src"] == "'none'"
    assert "unsafe" not in page.policy
    run = [
        "".join(text) for found, text in page.scripts if found["type"] in {"importmap", "module"}
    ]
    assert [policy_hash(text) in policy["script-src"] for text in run] == [True, True]
    assert not any(name.startswith("on") for _, found in page.tags for name in found)
    for _, found in page.tags:
        assert found.get("src") is None
        assert found.get("href", "data:,").startswith("data:")


def test_the_title_is_folder_and_date():
    assert "<title>run · 2026-11-29 · primaps</title>" in written(record(), state(), [])
    assert "<title>run · primaps</title>" in written(record(date=""), state(), [])


def test_without_javascript_there_is_a_table_of_classes():
    classes = [entry(0, "road", [0]), entry(1, None, [1]), entry(2, "sky", [], ignore=True)]
    page = written(record("ab"), state(classes), [image(), image()])
    table = page[page.index("<noscript>") : page.index("</noscript>")]
    rows = [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>.*?</tr>", table)]
    assert rows == [
        [],
        ["0", "road", "75.0 %", "2"],
        ["1", "class 1", "25.0 %", "2"],
        ["2", "sky", "0.0 %", "0"],
    ]


def test_pixels_of_classes_are_exact_where_somebody_corrected():
    classes = [entry(5, None, [0, 1]), entry(6, None, [2]), entry(7, None, [3], ignore=True)]
    rows = [[[0, 1], [1, 2], [2, 4], [3, 8], [255, 16]], [[0, 9]]]
    found = class_pixels(record("ab", rows), state(classes, pixels={"b": [[6, 9]]}))
    assert found == [{5: 3, 6: 4, 255: 24}, {6: 9}]


def test_a_run_without_images_and_classes_is_a_page():
    page = Blocks(written(record([]), state(), []))
    assert json.loads(page.text("run"))["images"]["name"] == []


def test_the_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("former")

    def images():
        yield image()
        raise OutputError("cut short")

    with pytest.raises(OutputError, match="cut short"):
        write_report(path, record(), state(), images())
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]
    write_report(path, record(), state(), [image()])
    assert path.read_text("utf-8") == written(record(), state(), [image()])


def test_equal_input_gives_equal_bytes():
    assert written(record(), state(), [image()]) == written(record(), state(), [image()])


def test_numbers_that_json_lacks_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        written(record(total_images=float("nan")), state(), [])


def test_the_page_of_the_studio_takes_modules_from_the_server():
    page = Blocks(studio_page('a<b>"', "n0nce"))
    scripts = {found["type"]: (found, "".join(text)) for found, text in page.scripts}
    assert scripts["importmap"][0]["nonce"] == scripts["module"][0]["nonce"] == "n0nce"
    assert json.loads(scripts["importmap"][1]) == {"imports": {"viewer/": "/web/"}}
    assert scripts["module"][1] == 'import "viewer/studio.js";'
    assert "<title>a&lt;b&gt;&quot;" in studio_page('a<b>"', "n0nce")
