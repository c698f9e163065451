"""The report: what it says, that it needs nothing from elsewhere, and its pictures."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from primaps.errors import OutputError
from primaps.outputs.report import (
    ClassSummary,
    ImagePanel,
    Report,
    class_example,
    image_panel,
    write_report,
)
from primaps.outputs.visualize import palette
from primaps.types import Failure

BSDS = Path(__file__).parents[2].parent / "shared" / "data" / "bsds500" / "train"
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Text, attributes and nesting of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(self.source)
        self.close()
        assert self.open == [], "tags that are never closed"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag not in {"b", "i", "a", "span"}:
            self.words.append(" ")

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def ids(self) -> set[str]:
        return {attributes["id"] for _, attributes in self.tags if attributes.get("id")}


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


@pytest.fixture
def label_map() -> np.ndarray:
    labels = np.zeros((60, 80), dtype=np.uint8)
    labels[:, 40:] = 2
    labels[45:] = 255
    return labels


@pytest.fixture
def proposals() -> np.ndarray:
    labels = np.zeros((60, 80), dtype=np.int32)
    labels[:30, :40] = 1
    labels[:30, 40:] = 2
    return labels


@pytest.fixture
def report(photo, label_map, proposals) -> Report:
    return Report(
        title="Holidays in Łódź",
        classes=[
            ClassSummary(0, None, 0.375, 1, [class_example(photo, label_map, 0)]),
            ClassSummary(1, None, 0.0, 0),
            ClassSummary(2, "sky & sea", 0.375, 1, [class_example(photo, label_map, 2)] * 2),
        ],
        images=[image_panel("a.jpg", photo, proposals, label_map)],
        total_images=367,
        failures=[
            Failure(
                "bad/b.jpg", "read", "Expected a photograph, but the file is empty. Replace it."
            )
        ],
        warnings=["The disk is nearly full."],
        settings={"seed": 7, "features": {"size": 320, "deeper": {"alpha": None}}},
        timings={"features": 3.25, "fit": 3700.0},
        facts={"mean number of regions": "2.0"},
        backbone="mini",
        training="no label ever seen",
        method="em",
        inputs=["my photos"],
    )


def write(report: Report, tmp_path: Path) -> Page:
    write_report(tmp_path / "report.html", report)
    return Page(tmp_path / "report.html")


def test_page_loads_nothing_from_elsewhere(report, tmp_path):
    page = write(report, tmp_path)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "base"}
        assert "srcset" not in attributes
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
        assert (attributes.get("href") or "#").startswith("#")
    words = re.sub(r"data:image/[^\"]*", "", page.source)
    for loader in ("http:", "https:", "//", "@import", "url("):
        assert loader not in words


def test_says_what_the_photographs_are_if_that_is_known(report, tmp_path):
    about = "Three views of one <cup>."
    assert about in write(replace(report, about=about), tmp_path).text
    assert about not in write(report, tmp_path).text


def test_links_inside_the_page_arrive(report, tmp_path):
    page = write(report, tmp_path)
    targets = {attributes["href"][1:] for attributes in page.all("a") if "href" in attributes}
    assert {"class-0", "class-2", "failures", "next"} <= targets
    assert targets <= page.ids


def test_says_in_words_what_was_done(report, tmp_path):
    text = write(report, tmp_path).text
    assert "Holidays in Łódź" in text
    assert "367 photographs were divided into 2 classes" in text
    assert "without a single label of yours" in text
    assert "The backbone mini (trained with: no label ever seen) described" in text
    assert "PriMaPs-EM" in text
    assert "Showing 1 of 367." in text
    assert "mean number of regions 2.0" in text
    assert "The disk is nearly full." in text


def test_every_class_is_there_and_dead_ones_are_named(report, tmp_path):
    page = write(report, tmp_path)
    assert {"class-0", "class-1", "class-2"} <= page.ids
    assert "Class 2 · sky & sea 38 % of all pixels · in 1 photograph" in page.text
    dead = page.text[page.text.index("Classes without pixels") :]
    assert "1 class was asked for but found nowhere" in dead
    assert "Class 1" in dead
    assert "2 of 3" in page.text
    assert "25 % of the pixels are ignored" in page.text


def test_classes_come_largest_first_in_their_palette_colour(report, tmp_path):
    classes = [
        ClassSummary(number, None, share, 1) for number, share in ((0, 0.1), (1, 0.7), (2, 0.2))
    ]
    page = write(replace(report, classes=classes), tmp_path)
    assert [a["id"] for a in page.all("section") if "id" in a] == ["class-1", "class-2", "class-0"]
    styles = " ".join(a.get("style") or "" for a in page.all("i"))
    for number in range(3):
        assert "#" + palette(3)[number].tobytes().hex() in styles
    assert "width:70.000%" in styles


def test_pictures_decode(report, tmp_path):
    pictures = write(report, tmp_path).all("img")
    assert len(pictures) == 3 + 3  # photograph, proposals, label map; three class examples
    for attributes in pictures:
        assert attributes["alt"]
        with Image.open(
            io.BytesIO(base64.b64decode(attributes["src"].split(",", 1)[1], validate=True))
        ) as picture:
            picture.load()
            assert picture.size == (int(attributes["width"]), int(attributes["height"]))


def test_image_legend(report, tmp_path):
    text = write(report, tmp_path).text
    assert "class 0 38 % 2 · sky & sea 38 % ignored 25 %" in text
    assert "2 regions (mask proposals), covering 50 %" in text


def test_long_legends_are_cut_with_notice(report, photo, tmp_path):
    many = np.arange(60 * 80, dtype=np.int64).reshape(60, 80) % 40
    page = write(replace(report, images=[image_panel("a.jpg", photo, None, many)]), tmp_path)
    assert "and 28 more" in page.text


def test_failures_are_listed_with_reason(report, tmp_path):
    text = write(report, tmp_path).text
    assert "1 input could not be used" in text
    assert "bad/b.jpg read Expected a photograph, but the file is empty. Replace it." in text


def test_many_failures_are_cut_with_notice(report, tmp_path):
    failures = [Failure(f"{number:03}.jpg", "read", "No.") for number in range(250)]
    text = write(replace(report, failures=failures), tmp_path).text
    assert "The first 200 of 250; all of them are in failures.jsonl." in text
    assert "199.jpg" in text
    assert "200.jpg" not in text


def test_settings_and_timings_are_folded(report, tmp_path):
    page = write(report, tmp_path)
    assert len(page.all("details")) == 4  # timings; settings, features, deeper
    for part in ("seed 7", "size 320", "alpha none", "features 3.2 s", "fit 1 h 1 min"):
        assert part in page.text


def test_names_are_escaped(report, photo, label_map, tmp_path):
    evil = "<script>alert('ü')</script>&\"日本.jpg"
    page = write(
        replace(
            report,
            title=evil,
            classes=[ClassSummary(0, evil, 1.0, 1, [photo])],
            images=[image_panel(evil, photo, None, label_map)],
            failures=[Failure(evil, evil, evil)],
            warnings=[evil],
            settings={evil: {evil: evil}},
            timings={evil: 1.0},
            facts={evil: evil},
            backbone=evil,
            inputs=[evil],
        ),
        tmp_path,
    )
    assert page.all("script") == []
    assert page.text.count("<script>alert('ü')</script>&\"日本.jpg") >= 12
    assert f"Photograph {evil}" in {a["alt"] for a in page.all("img")}


def test_file_names_that_are_not_utf8(report, photo, label_map, tmp_path):
    page = write(
        replace(report, images=[image_panel("caf\udce9.jpg", photo, None, label_map)]), tmp_path
    )
    assert r"caf\udce9.jpg" in page.text


def test_command_lines_can_be_pasted(report, tmp_path):
    text = write(report, tmp_path).text
    assert (
        "primaps segment 'my photos' --out OTHER_DIR --classes 3 --backbone dinov2_vits14" in text
    )
    assert "primaps segment 'my photos' --out OTHER_DIR --classes 6 --backbone mini" in text
    assert "primaps segment 'my photos' --out OTHER_DIR --classes 2 --backbone mini" in text


def test_command_lines_keep_the_levels_of_the_backbone_alone(report, tmp_path):
    text = write(replace(report, levels="4:2,8"), tmp_path).text
    assert "--classes 6 --backbone mini --levels 4:2,8" in text
    assert text.count("--levels") == text.count("--backbone mini")


def test_advice_fits_the_run(report, tmp_path):
    classes = [ClassSummary(number, None, 1 / 254, 3) for number in range(254)]
    strong = replace(
        report, classes=classes, backbone="dinov2_vitb14", method="baseline", inputs=()
    )
    text = write(strong, tmp_path).text
    assert "stronger backbone" not in text
    assert "Different things share one class" not in text  # 254 is the most there can be
    assert (
        "primaps segment IMAGES --out OTHER_DIR --classes 169 --backbone dinov2_vitb14 --method"
        " baseline" in text
    )


def test_nothing_worked(report, tmp_path):
    empty = Report("Nothing", [], [], 0, failures=report.failures)
    page = write(empty, tmp_path)
    assert "No photograph could be segmented; the reasons are listed below" in page.text
    assert page.all("img") == []
    assert "bad/b.jpg" in page.text


def test_one_class_one_image_no_proposals_no_extras(photo, tmp_path):
    labels = np.zeros((60, 80), dtype=np.uint8)
    panel = image_panel("only.jpg", photo, None, labels)
    page = write(Report("One", [ClassSummary(0, None, 1.0, 1)], [panel], 1), tmp_path)
    assert "1 photograph was divided into 1 class of things" in page.text
    assert "not kept" in page.text
    assert "No examples were kept." in page.text
    assert "100 % of all pixels" in page.text
    assert "of the pixels are ignored" not in page.text
    assert "How it was made" not in page.text


def test_report_is_deterministic(report, tmp_path):
    write_report(tmp_path / "a.html", report)
    write_report(tmp_path / "b.html", report)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize("ids", [[0, 0], [255], [-1]])
def test_class_ids_must_make_sense(report, tmp_path, ids):
    classes = [ClassSummary(number, None, 0.5, 1) for number in ids]
    with pytest.raises(OutputError, match=r"distinct numbers 0..254, but got"):
        write_report(tmp_path / "report.html", replace(report, classes=classes))
    assert not (tmp_path / "report.html").exists()


def test_pictures_must_be_pictures(report, photo, tmp_path):
    panel = ImagePanel("a.jpg", photo / 255, None, photo, None, None)
    with pytest.raises(OutputError, match=r"pictures to be \(h, w, 3\) uint8"):
        write_report(tmp_path / "report.html", replace(report, images=[panel]))


def test_unwritable_place(report, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write_report(tmp_path / "file" / "report.html", report)


def test_image_panel_figures(photo, label_map, proposals):
    panel = image_panel("a.jpg", photo, proposals, label_map, max_side=40)
    assert (
        panel.photo.shape
        == panel.proposals_picture.shape
        == panel.label_picture.shape
        == (30, 40, 3)
    )
    assert (panel.num_proposals, panel.coverage) == (2, 0.5)
    assert panel.classes == ((0, 0.375), (2, 0.375), (255, 0.25))
    for picture in (panel.proposals_picture[22:], panel.label_picture[27:]):
        assert np.array_equal(picture.min(axis=2), picture.max(axis=2))  # grey


def test_image_panel_takes_label_images_of_another_size(photo, label_map, proposals):
    plain = image_panel("a.jpg", photo, proposals, label_map)
    large = image_panel(
        "a.jpg",
        photo,
        np.kron(proposals, np.ones((3, 2), np.int32)),
        np.kron(label_map, np.ones((2, 5), np.uint8)),
    )
    np.testing.assert_array_equal(plain.proposals_picture, large.proposals_picture)
    np.testing.assert_array_equal(plain.label_picture, large.label_picture)
    assert plain.classes == large.classes


def test_image_panel_notices_swapped_arguments(photo, label_map):
    with pytest.raises(OutputError, match=r"ids 0..255, but got 0..300"):
        image_panel("a.jpg", photo, label_map, np.full((60, 80), 300) * (label_map > 0))


def test_class_example_keeps_the_class_and_greys_the_rest(photo):
    labels = np.zeros((60, 80), dtype=np.uint8)
    labels[:, 40:] = 2
    picture = class_example(photo, labels, 2)
    assert picture.shape == photo.shape
    np.testing.assert_array_equal(picture[:, 42:], photo[:, 42:])
    rest = picture[:, :38]
    assert (rest == rest[..., :1]).all()
    assert (picture[:, 39:41] == palette(3)[2]).all()


def test_class_example_zooms_in_on_a_small_object(photo):
    labels = np.zeros((600, 800), dtype=np.int64)
    labels[500:520, 700:730] = 4
    large = np.kron(photo, np.ones((10, 10, 1), dtype=np.uint8))
    picture = class_example(large, labels, 4, max_side=2000)
    assert picture.shape == (200, 267, 3)  # a third of the photograph
    # The crop is rows 400..600, since it may not leave the photograph, and columns 533..800.
    assert (picture[100:120, 167:197][2:-2, 2:-2] == large[502:518, 702:728]).all()


def test_class_example_of_half_size_label_map(photo):
    labels = np.zeros((30, 40), dtype=np.uint8)
    labels[10:20, 10:20] = 1
    full = np.kron(labels, np.ones((2, 2), dtype=np.uint8))
    half, whole = class_example(photo, labels, 1), class_example(photo, full, 1)
    assert np.abs(np.subtract(half.shape, whole.shape)).max() <= 2
    outlined = [(picture == palette(2)[1]).all(axis=-1).sum() for picture in (half, whole)]
    assert outlined[0] == outlined[1] > 100


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (7, 3)])
def test_class_example_of_tiny_images(shape):
    picture = class_example(np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8), 0)
    assert picture.ndim == 3
    assert picture.size > 0


def test_class_example_of_an_absent_class(photo, label_map):
    with pytest.raises(OutputError, match="class 9 to occur"):
        class_example(photo, label_map, 9)


def test_a_large_report_stays_small(tmp_path):
    files = sorted(BSDS.glob("*.jpg"))[:8]
    if not files:
        pytest.skip(f"photographs not found under {BSDS}")
    panels, examples = [], []
    for path in files:
        photo = np.array(Image.open(path).convert("RGB"))
        rows, columns = np.indices(photo.shape[:2])
        labels = (rows // 40 * 5 + columns // 40) % 27  # many edges: more than real label maps have
        panels.append(image_panel(path.name, photo, labels, labels))
        examples.append(class_example(photo, labels, 3))
    classes = [
        ClassSummary(number, None, 1 / 27, 8, (examples * 2)[number % 8 :][:4])
        for number in range(27)
    ]
    write_report(tmp_path / "report.html", Report("Large", classes, panels * 5, 367))
    assert len(Page(tmp_path / "report.html").all("img")) == 27 * 4 + 40 * 3
    assert (tmp_path / "report.html").stat().st_size < 12_000_000


# ---- names, colours, certainty -------------------------------------------------------------------


def test_classes_have_the_colours_that_they_were_given(report, photo, label_map, tmp_path):
    colours = palette(255)
    colours[2] = (1, 2, 3)
    named = [replace(report.classes[0], certainty=0.5), report.classes[1]]
    named.append(replace(report.classes[2], colour=(1, 2, 3)))
    panel = image_panel("a.jpg", photo, None, label_map, colours=colours)
    page = write(replace(report, classes=named, images=[replace(panel, certainty=0.25)]), tmp_path)
    assert "#010203" in page.source
    assert "#" + palette(3)[2].tobytes().hex() not in page.source
    assert "certainty 50 %" in page.text
    assert "certainty 25 %" in page.text
    plain = image_panel("a.jpg", photo, None, label_map)
    assert (panel.label_picture != plain.label_picture).any()
    example = class_example(photo, label_map, 2, colour=(1, 2, 3))
    assert (example == (1, 2, 3)).all(axis=-1).any()


def test_the_page_tells_how_to_give_names_and_that_some_were_given(report, tmp_path):
    page = write(replace(report, folder="my run"), tmp_path)
    assert "primaps classes 'my run' --name 3=road" in page.text
    assert "Numbers, not names" not in page.text
    unnamed = [replace(each, name=None) for each in report.classes]
    assert "Numbers, not names" in write(replace(report, classes=unnamed), tmp_path).text


def test_photographs_that_fit_no_class_are_listed_first(report, tmp_path):
    doubtful = [(f"{number}.jpg", 0.01) for number in range(22)]
    page = write(replace(report, doubtful=doubtful), tmp_path)
    assert "22 photographs fit the classes far worse than the others" in page.text
    assert "and 2 more" in page.text
    assert page.text.index("0.jpg") < page.text.index("a.jpg")
    assert "far worse" not in write(report, tmp_path).text
