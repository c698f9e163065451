"""From a run to an export of one's own classes, in the studio, as a person goes about it."""

import functools
import json
import re
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

STREET = (
    *("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car"),
    *("pedestrian", "bicyclist"),
)


def street_name(folder, image, proposal):
    """Name of a proposal of the street: that of most of its labelled pixels, or None."""
    proposals = np.asarray(Image.open(folder / "run" / "proposals" / f"{image}.png"))
    truth = np.asarray(Image.open(folder / "truth" / image.replace(".jpg", ".png")))
    counts = np.bincount(truth[proposals == proposal], minlength=12)[:11]
    return STREET[counts.argmax()] if counts.any() else None


def drawn_name(folder, image, proposal):
    """Name of a proposal of a drawn photograph, by its mean colour; hills are of no class."""
    proposals = np.asarray(Image.open(folder / "run" / "proposals" / f"{image}.png"))
    photo = np.asarray(Image.open(folder / "photos" / image))
    red, green, blue = photo[proposals == proposal].mean(axis=0)
    if max(red, green, blue) == blue:
        return "sky"
    return "disc" if red > green else None


@pytest.fixture(params=["drawn", "street"])
def subject(request):
    """A run, who knows the names of its proposals, and how many photographs it has."""
    if request.param == "street":
        return request.getfixturevalue("street_run"), street_name, 12
    return request.getfixturevalue("drawn_run"), drawn_name, 27


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def inside_a_proposal(page, run, image, but):
    """Where on the page a proposal lies, but for some, of the photograph that is shown whole."""
    known = [0] + [each["proposal"] for each in but if each["image"] == image]
    proposals = np.asarray(Image.open(run / "proposals" / f"{image}.png"))
    windows = np.lib.stride_tricks.sliding_window_view(proposals, (9, 9))
    alike = (windows == windows[:, :, :1, :1]).all(axis=(2, 3))
    alike &= ~np.isin(windows[:, :, 0, 0], known)
    row, column = np.argwhere(alike)[alike.sum() // 2] + 4
    box = page.locator(".photo-window").bounding_box()
    height, width = proposals.shape
    scale = min(box["width"] / width, box["height"] / height)
    left = box["x"] + (box["width"] - width * scale) / 2
    top = box["y"] + (box["height"] - height * scale) / 2
    return left + scale * (column + 0.5), top + scale * (row + 0.5)


def slowly(route):
    time.sleep(1)
    route.continue_()


def undo(page, scripts):
    page.keyboard.press("Control+z")
    page.wait_for_timeout(100)
    scripts.keyboard.wait_until_saved(page)


def test_from_a_run_to_an_export(
    subject, own_copy, start_studio, sign_in, new_page, scripts, check_axe, tmp_path
):
    made, name_of, photographs = subject
    run = own_copy(made) / "run"
    studio = start_studio(run)
    client = sign_in(studio)
    page = new_page(studio.url)
    assert page.url == f"{studio.address}/"  # without the token

    # a round of fifteen cards and two of the next, by keyboard alone; that one is slow to come,
    # and what is typed meanwhile must not be taken for the keys of the page
    page.route(re.compile("suggestions.round=1"), slowly)
    assert scripts.keyboard.answer_cards(page, functools.partial(name_of, made), 17) == 17
    check_axe(page)
    said = lines(run / "corrections.jsonl")
    assert len(said) == 17
    state = client.get("/api/state")
    names = {entry["name"] for entry in state["classes"]} - {None}
    assert len(names) >= 2
    assert names <= {name_of(made, each["image"], each["proposal"]) for each in said}

    # merge two, ignore one, and both undone
    page.keyboard.press("Escape")
    page.goto(f"{studio.address}/#/classes")
    cards = page.get_by_role("article")
    cards.first.wait_for()
    before = cards.count()
    for number in (0, 1):
        cards.nth(number).locator("input[data-choose]").check()
    page.keyboard.press("m")
    page.keyboard.press("Control+a")
    page.keyboard.type("merged")
    page.keyboard.press("Enter")
    cards.filter(has_text="merged").first.wait_for()
    assert cards.count() == before - 1
    cards.last.get_by_role("button", name=re.compile("^More")).click()
    check_axe(page)
    page.get_by_role("menuitem", name=re.compile("^Ignore")).click()
    scripts.keyboard.wait_until_saved(page)
    assert cards.count() == before - 2
    undo(page, scripts)
    undo(page, scripts)
    assert cards.count() == before
    again = client.get("/api/state")
    assert again["classes"] == state["classes"]
    assert again["redo"]

    # everything is there after a reload
    page.reload()
    cards.first.wait_for()
    assert cards.count() == before

    # one proposal by a click and a key
    image = said[0]["image"]
    page.goto(f"{studio.address}/#/photo/{image}")
    page.locator(".photo-window").wait_for()
    page.locator("main [aria-busy=true]").wait_for(state="detached")
    page.mouse.click(*inside_a_proposal(page, run, image, but=said))
    page.locator(".correct .selected").wait_for()
    check_axe(page)
    chip = page.locator(".correct .chip").first
    key = chip.locator("kbd").inner_text()
    page.keyboard.press(key)
    scripts.keyboard.wait_until_saved(page)
    assert len(lines(run / "corrections.jsonl")) > 17

    # a refit, looked at and accepted
    page.get_by_role("button", name="Refit").click()
    accept = page.get_by_role("button", name=re.compile("^Accept"))
    accept.wait_for(timeout=120_000)
    check_axe(page)
    accept.click()
    page.get_by_role("article").first.wait_for(timeout=60_000)
    accepted = client.get("/api/state")
    assert {entry["name"] for entry in accepted["classes"]} >= names
    assert accepted["accepted"] is not None

    # COCO, downloaded and read back
    page.keyboard.press("e")
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("COCO", exact=False).first.wait_for()
    check_axe(page)
    dialog.get_by_role("radio", name=re.compile("^COCO")).first.check()
    dialog.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as zip").click(timeout=60_000)
    download.value.save_as(tmp_path / "coco.zip")
    read_back(tmp_path / "coco.zip", tmp_path / "coco", names, photographs)


def read_back(archive, folder, names, photographs):
    """The export holds all images and annotations of the classes, by COCO's own reader."""
    from pycocotools.coco import COCO

    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    (file,) = folder.rglob("*.json")
    found = COCO(str(file))
    assert len(found.getImgIds()) == photographs
    assert {entry["name"] for entry in found.loadCats(found.getCatIds())} >= names
    annotations = found.loadAnns(found.getAnnIds())
    assert len(annotations) > photographs
    assert found.annToMask(annotations[0]).any()
