import base64
import dataclasses
import io
import json
import re
import zlib

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

import primaps as pm
from primaps import pipeline
from primaps.outputs.label_files import read_label_image, write_label_map
from primaps.outputs.viewer.page import report_parts
from primaps.outputs.viewer.pictures import Packed, fitted, packed_ids, packed_levels
from primaps.pipeline import overview
from primaps.pipeline.certainties import ImageCertainty
from primaps.pipeline.named_labels import NamedLabels, correct
from primaps.pipeline.overview import image_bytes, shown_images, write_run_report
from primaps.pipeline.viewed_images import ViewedImage
from primaps.pipeline.viewed_state import state_of
from primaps.pipeline.viewing import Viewed
from primaps.progress import Silent
from primaps.runs.model import Model

BLOCK = re.compile(r'<script type="(?:application/json|text/plain)" id="(.+?)"(.*?)>(.*?)</script>')


@pytest.fixture
def segmented(photographs, tmp_path, texture, small_config):
    """A finished run."""
    config = dataclasses.replace(
        small_config,
        features=dataclasses.replace(small_config.features, flip=False, photometric_views=0),
        predict=dataclasses.replace(small_config.predict, crf=False),
    )
    run = pipeline.open_run([photographs], tmp_path / "run", texture, config)
    pipeline.segment(run, inputs=[str(photographs)])
    return run


def reopened(run):
    return pipeline.reopen(run.folder.root, {}, device="cpu")


class Page:
    """What a report holds."""

    def __init__(self, path):
        self.text = path.read_text("utf-8")
        found = BLOCK.findall(self.text)
        self.ids = [name for name, _, _ in found]
        self.blocks = {name: (attributes, content) for name, attributes, content in found}
        self.run, self.state = (json.loads(self.blocks[name][1]) for name in ("run", "state"))

    def data(self, name):
        attributes, content = self.blocks[name]
        width, height = map(int, re.findall(r'data-\w+="(\d+)"', attributes))
        return width, height, base64.b64decode(content, validate=True)

    def photo(self, row):
        width, height, data = self.data(f"photo-{row}")
        with PILImage.open(io.BytesIO(data)) as picture:
            assert picture.size == (width, height)
            return np.asarray(picture)

    def maps(self, row):
        width, height, data = self.data(f"maps-{row}")
        return np.frombuffer(zlib.decompress(data), "<u2").reshape(-1, height, width)


# ---- a run ---------------------------------------------------------------------------------------


def test_the_report_holds_record_state_and_every_image(segmented):
    page = Page(segmented.folder.report)
    assert page.run["images"]["name"] == [image.name for image in segmented.images]
    assert page.run["total_images"] == 5
    assert page.state == state_of(segmented.folder.root)
    assert page.ids == [
        "run",
        "state",
        *(f"{kind}-{row}" for row in range(5) for kind in ("photo", "maps")),
    ]
    for row, image in enumerate(segmented.images):
        assert (page.photo(row).astype(int) - pm.read_image(image.path)).mean() < 4
        labels, proposals = page.maps(row)
        assert (labels == read_label_image(segmented.folder.labels(image.name))).all()
        assert (proposals == read_label_image(segmented.folder.proposals(image.name))).all()


def test_the_report_equals_what_the_folder_says_afterwards(segmented):
    page = Page(segmented.folder.report)
    later = json.loads(json.dumps(Viewed(segmented.folder.root).record()))
    assert page.run == later
    assert page.run["command"] == "segment"


def test_a_run_that_finds_everything_done_writes_the_same_bytes(segmented, photographs):
    before = segmented.folder.report.read_bytes()
    again = pipeline.open_run(
        [photographs], segmented.folder.root, segmented.backbone, segmented.config
    )
    pipeline.segment(again, inputs=[str(photographs)])
    assert segmented.folder.report.read_bytes() == before
    pipeline.report_again(reopened(segmented))
    assert segmented.folder.report.read_bytes() == before


def test_bytes_do_not_depend_on_the_number_of_cores(segmented, monkeypatch):
    """Torch sums in another order on more threads."""
    seen, record_of = [], Viewed.record_of

    def spied(*given):
        seen.append(torch.get_num_threads())
        return record_of(*given)

    monkeypatch.setattr(Viewed, "record_of", spied)
    former = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        write_run_report(reopened(segmented), [])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(former)
    assert seen == [1]


def test_names_and_corrections_are_in_the_next_report(segmented):
    root, image = segmented.folder.root, segmented.images[0].name
    pm.classes(root, name={0: "sky"}, ignore=[1])
    correct(root, [(image, 1, 2)])
    pipeline.report_again(reopened(segmented))
    page = Page(segmented.folder.report)
    assert page.state["classes"][0]["name"] == "sky"
    assert page.state["classes"][1]["ignore"]
    assert page.state["corrections"] == {image: {"1": 2}}
    counts = NamedLabels(root).pixels([image])[0]
    assert page.state["pixels"][image] == [[k, n] for k, n in enumerate(counts.tolist()) if n]


def test_label_maps_of_another_model_are_left_out_with_notice(segmented):
    path = segmented.folder.labels(segmented.images[0].name)
    write_label_map(path, read_label_image(path), {})  # as a paint program would save it
    write_run_report(reopened(segmented), [])
    page = Page(segmented.folder.report)
    assert page.run["total_images"] == 4
    assert any(
        "not made with the present model of this folder: 1." in line
        for line in page.run["warnings"]
    )


def test_refitting_with_fewer_classes_and_reporting(segmented):
    again = pipeline.reopen(segmented.folder.root, {"num_clusters": 2}, device="cpu")
    pipeline.fit_again(again, None, overwrite=True)
    pipeline.report_again(reopened(segmented))
    page = Page(segmented.folder.report)
    assert page.run["total_images"] == 0
    assert page.run["images"]["name"] == []
    assert any("not made with the present model" in line for line in page.run["warnings"])


def test_images_without_a_label_map_do_not_count(segmented):
    segmented.folder.labels(segmented.images[2].name).unlink()
    write_run_report(reopened(segmented), [])
    page = Page(segmented.folder.report)
    assert page.run["total_images"] == 4
    assert page.run["warnings"] == []


def test_a_photograph_that_is_gone_is_reported_once_and_shown_grey(segmented):
    gone = segmented.images[1]
    gone.path.unlink()
    for _ in range(2):  # also when the failure is on record already
        run = reopened(segmented)
        pipeline.report_again(run)
        run.folder.write_failures(run.failures)
        page = Page(segmented.folder.report)
        (failure,) = page.run["failures"]
        assert (failure["path"], failure["stage"]) == (str(gone.path.absolute()), "report")
        assert page.run["images"]["name"][1] == gone.name
        assert "not where it was" in page.run["images"]["warnings"][1][0]
        assert np.ptp(page.photo(1)) == 0
        assert page.maps(1)[0].size > 1


def test_damaged_photographs_and_maps_are_reported_and_replaced(segmented):
    photo, labels = segmented.images[0], segmented.images[3]
    photo.path.write_bytes(b"junk")
    path = segmented.folder.labels(labels.name)
    content = path.read_bytes()
    place = content.index(b"IDAT") + 30
    path.write_bytes(content[:place] + bytes(40) + content[place + 40 :])
    run = reopened(segmented)
    write_run_report(run, [])
    page = Page(segmented.folder.report)
    assert [each["stage"] for each in page.run["failures"]] == ["report", "report"]
    assert len(run.failures) == 2
    assert np.ptp(page.photo(0)) == 0
    assert page.maps(3).tolist() == [[[255]], [[0]]]
    assert page.maps(0).shape[0] == 2


def test_all_figures_of_empty_classes_are_of_the_label_maps(segmented):
    """Whatever the fit thought of its tokens: the page shows pixels."""
    model = Model.load(segmented.folder.model)
    usage = model.fit.usage.clone()
    usage[:2], usage[2] = 0, 1
    fit = dataclasses.replace(model.fit, usage=usage)
    dataclasses.replace(model, fit=fit).save(segmented.folder.model)
    write_run_report(reopened(segmented), [])
    run = Page(segmented.folder.report).run
    used = {cluster for image in run["images"]["clusters"] for cluster, _ in image} - {255}
    empty = 3 - len(used)
    assert len(run["warnings"]) == bool(empty)
    assert all(f"3 classes that were fitted, {empty} have" in each for each in run["warnings"])
    told = [each["text"] for each in run["advice"] if "stayed empty" in each["text"]]
    assert all(f"Of 3 classes, {empty} stayed empty" in each for each in told)
    assert len(told) == bool(empty)


def test_only_some_images_of_a_large_run(segmented, monkeypatch):
    monkeypatch.setattr(overview, "MAX_IMAGES", 2)
    write_run_report(reopened(segmented), [])
    page = Page(segmented.folder.report)
    assert page.run["total_images"] == 5
    assert page.run["images"]["name"] == [
        segmented.images[0].name,
        segmented.images[-1].name,
    ]
    assert any(line.startswith("This page holds 2 of 5") for line in page.run["warnings"])
    assert "photo-1" in page.ids
    assert "photo-2" not in page.ids


# ---- which images, how many bytes ----------------------------------------------------------------


def seen(number, certainties=None):
    return [
        ViewedImage(
            f"{row}.jpg",
            None,
            1,
            1,
            {},
            certainty=None
            if certainties is None
            else ImageCertainty(certainties.get(row, 0.5 + 0.0001 * row), {}, {}),
        )
        for row in range(number)
    ]


def test_all_images_up_to_the_limit_in_order():
    assert shown_images(seen(1000)) == list(range(1000))
    assert shown_images([]) == []


def test_of_more_images_the_doubtful_ones_are_kept():
    rows = shown_images(seen(1500, {77: 0.0, 1203: 0.01}))
    assert len(rows) == 1000
    assert rows == sorted(set(rows))
    assert {77, 1203} <= set(rows)
    assert rows[0] == 0
    assert rows[-1] == 1499


@pytest.mark.parametrize("number", [1, 10, 240, 367, 999, 1000])
def test_all_images_together_stay_within_the_page(number):
    # base64 takes 4 bytes for 3
    assert image_bytes(number) * 4 / 3 * number <= overview.PAGE_BYTES
    assert image_bytes(number) >= 70_000


def test_a_thousand_noisy_photographs_fit_into_the_page():
    noise = np.random.default_rng(0)
    photo = noise.integers(0, 256, (640, 640, 3), np.uint8)

    def maps(side):
        ids = noise.integers(0, 27, (2, side, side))
        return Packed(side, side, packed_ids([ids[0] // 9, ids[1]]))

    def certainty(side):
        levels = noise.integers(0, 256, (side, side)).astype(np.uint8)
        return Packed(side, side, packed_levels(levels))

    made = fitted(photo, maps, certainty, image_bytes(1000))
    empty = {"name": [], "clusters": []}
    record = {"title": "", "date": "", "total_images": 0, "images": empty}
    state = {"classes": [], "pixels": {}}
    sizes = [
        sum(map(len, report_parts(record, state, images))) for images in ([made], [made, made])
    ]
    assert 1000 * (sizes[1] - sizes[0]) + sizes[0] < 98_000_000
    assert made.photo.width >= 320


def test_label_maps_that_are_left_out_are_told(segmented):
    path = segmented.folder.labels("p0.png")
    write_label_map(path, read_label_image(path), {})  # as another program would

    class Told(Silent):
        notes = ()

        def note(self, message):
            self.notes += (message,)

    segmented.progress = Told()
    write_run_report(segmented, [])
    assert any("Left out of the report: 1 label maps" in note for note in segmented.progress.notes)
