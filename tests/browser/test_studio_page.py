"""The studio's page over a studio without a pipeline: everything that edits."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

SCRIPT = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture(scope="session")
def fake():
    """The module `fake_studio`; skipped where its server is not installed."""
    for needed in ("starlette", "uvicorn"):
        pytest.importorskip(needed, reason=f"{needed} is not installed (extra `studio`)")
    path = Path(__file__).with_name("fake_studio.py")
    spec = importlib.util.spec_from_file_location("fake_studio", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fake_studio"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def serving(fake, playwright_loop):
    """A server of its own for each test."""
    started = fake.Serving(fake.FakeStudio())
    yield started
    started.stop()


@pytest.fixture
def open_studio(serving, new_page):
    """``open_studio(view="classes", **options)``: a page of the studio."""

    def opened(view="classes", **options):
        page = new_page(serving.address + f"#/{view}", **options)
        page.wait_for_selector(".saved")
        return page

    return opened


def saved(page):
    page.wait_for_selector('.saved[data-status="saved"]')


def names(studio):
    return {each["name"] for each in studio.data["classes"] if each["name"]}


def said(studio):
    return {
        (image, int(proposal)): class_id
        for image, found in studio.data["corrections"].items()
        for proposal, class_id in found.items()
    }


def wait_for_cards(page, number):
    page.locator("article.card").nth(number).wait_for(state="detached")
    page.locator("article.card").nth(number - 1).wait_for()


def name_card(page, text):
    page.keyboard.type(text)
    page.keyboard.press("Enter")


# ---- one after another ---------------------------------------------------------------------------


def test_cards_are_named_by_keyboard_alone(serving, open_studio):
    page = open_studio()
    page.keyboard.press("s")
    page.wait_for_selector(".suggest .big img")
    for place in range(12):
        assert page.locator(".suggest .progress").inner_text().startswith(f"{place + 1} of 12")
        name_card(page, "road" if place % 2 else "sky")
    page.wait_for_selector(".round-end")
    assert "12 named" in page.locator(".round-end").inner_text()
    saved(page)
    assert names(serving.studio) == {"road", "sky"}
    assert len(said(serving.studio)) == 12
    assert serving.studio.revision == 12


def test_a_card_can_be_skipped_left_without_class_and_gone_back_to(serving, open_studio):
    page = open_studio("suggest")
    page.wait_for_selector(".suggest .big img")
    name_card(page, "road")
    page.keyboard.press("Escape")  # the second
    page.keyboard.press("Delete")  # the third
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("combobox").get_attribute("placeholder") == "of no class"
    page.keyboard.press("Shift+Enter")
    name_card(page, "sky")
    saved(page)
    assert sorted(said(serving.studio).values()) == [6, 7, 255]
    assert page.locator(".suggest .progress").inner_text().startswith("3 of 12")


def test_an_answer_is_taken_back_from_the_field_and_its_card_comes_again(serving, open_studio):
    page = open_studio("suggest")
    page.wait_for_selector(".suggest .big img")
    name_card(page, "road")
    name_card(page, "rod")
    saved(page)
    page.keyboard.press("Control+z")
    page.wait_for_selector(".suggest .progress:has-text('2 of 12')")
    assert page.get_by_role("combobox").input_value() == ""
    assert "rod" not in page.locator(".suggest .recent").inner_text()
    assert len(said(serving.studio)) == 1
    page.keyboard.press("Control+Shift+z")
    page.wait_for_selector(".suggest .recent >> text=rod")
    assert page.get_by_role("combobox").input_value() == "rod"
    name_card(page, "road")  # typed over it
    saved(page)
    assert sorted(said(serving.studio).values()) == [6, 6]


def test_empty_enter_takes_the_opinion_and_digits_take_recent_names(serving, open_studio):
    serving.studio.data["classes"][1]["name"] = "water"
    page = open_studio("suggest")
    page.wait_for_selector(".suggest .big img")
    assert page.get_by_role("combobox").get_attribute("placeholder") == "water?"
    page.keyboard.press("Enter")
    page.keyboard.press("1")
    saved(page)
    assert list(said(serving.studio).values()) == [1, 1]


def test_enter_on_nothing_says_what_to_do(open_studio):
    page = open_studio("suggest")
    page.wait_for_selector(".suggest .big img")
    page.keyboard.press("Enter")
    assert "Esc skips it" in page.locator(".suggest .hint").inner_text()
    assert page.locator(".suggest .progress").inner_text().startswith("1 of 12")


def test_tab_and_arrows_complete_known_names(serving, open_studio):
    serving.studio.data["classes"][4]["name"] = "grass"
    serving.studio.data["classes"][5]["name"] = "grain field"
    page = open_studio("suggest")
    page.wait_for_selector(".suggest .big img")
    page.keyboard.type("gra")
    assert page.get_by_role("option").count() == 2
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.type("gras")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    saved(page)
    assert sorted(said(serving.studio).values()) == [4, 5]


def test_a_second_round_follows(open_studio):
    page = open_studio("suggest")
    page.wait_for_selector(".suggest .big img")
    for _ in range(12):
        page.keyboard.press("Escape")
    assert "12 skipped" in page.locator(".round-end").inner_text()
    page.get_by_role("button", name="Go on").click()
    page.wait_for_selector(".suggest .progress:has-text('1 of 10')")
    assert "uncertain" in page.locator(".suggest .why").inner_text()


def test_a_round_goes_on_where_it_was_left(open_studio):
    page = open_studio("suggest")
    page.wait_for_selector(".suggest .big img")
    for _ in range(3):
        name_card(page, "road")
    saved(page)
    page.reload()
    page.wait_for_selector(".suggest .progress:has-text('4 of 12')")


def test_suggestions_that_cannot_be_had_are_asked_for_again(open_studio, watch):
    watch.expect("status of 500")
    page = open_studio()
    page.route(
        "**/api/suggestions*", lambda route: route.fulfill(status=500, json={"error": "No."})
    )
    page.keyboard.press("s")
    page.wait_for_selector(".suggest .error >> text=No.")
    page.unroute("**/api/suggestions*")
    page.keyboard.press("Enter")
    page.wait_for_selector(".suggest .progress:has-text('1 of 12')")


# ---- classes -------------------------------------------------------------------------------------


def test_a_class_is_renamed_in_place_and_undone_twice(serving, open_studio):
    page = open_studio()
    page.locator("article h3").first.focus()
    page.keyboard.press("F2")
    name_card(page, "road")
    page.wait_for_selector("article h3:has-text('road')")
    page.locator("article h3").nth(1).click()
    name_card(page, "sky")
    saved(page)
    assert names(serving.studio) == {"road", "sky"}
    assert "is sky" in page.locator("[data-back=undo]").get_attribute("title")
    page.keyboard.press("Control+z")
    page.wait_for_selector("[data-back=undo][title*=road]")
    page.keyboard.press("Control+z")
    page.wait_for_selector("[data-back=undo]:disabled")
    assert names(serving.studio) == set()
    page.reload()
    page.wait_for_selector("[data-back=redo]:enabled")
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+y")
    page.wait_for_selector("[data-back=redo]:disabled")
    assert names(serving.studio) == {"road", "sky"}


def test_what_was_typed_is_kept_by_a_click_elsewhere_and_not_by_escape(serving, open_studio):
    page = open_studio()
    page.locator("article h3").first.click()
    page.keyboard.type("kept")
    page.locator("h1").click()
    saved(page)
    page.locator("article h3").first.click()
    page.keyboard.type("not kept")
    page.keyboard.press("Escape")
    assert page.locator(".popover").count() == 0
    assert names(serving.studio) == {"kept"}


def test_classes_are_merged_with_the_keyboard(serving, open_studio):
    serving.studio.data["classes"][2]["name"] = "grass"
    page = open_studio()
    for place in range(2):
        page.locator("article h3").nth(place).focus()
        page.keyboard.press("x")
    page.keyboard.press("m")
    page.keyboard.press("Control+a")
    name_card(page, "ground")
    saved(page)
    wait_for_cards(page, 5)
    assert names(serving.studio) >= {"ground"}
    assert page.locator(".merge-bar").is_hidden()


def test_the_name_of_another_class_offers_to_merge(serving, open_studio):
    serving.studio.data["classes"][2]["name"] = "grass"
    page = open_studio()
    page.locator("article h3", has_text="class").first.click()
    name_card(page, "GRASS")
    page.get_by_role("button", name="Make them one class").click()
    wait_for_cards(page, 5)
    assert len(serving.studio.data["classes"]) == 5


def test_menu_ignores_notes_and_recolours(serving, open_studio):
    page = open_studio()
    more = page.get_by_role("button", name=re.compile("More for")).first
    more.click()
    page.get_by_role("menuitem", name="Note").click()
    name_card(page, "only at the border")
    page.wait_for_selector("text=only at the border")
    more.click()
    page.get_by_role("menuitem", name="Colour").click()
    page.get_by_role("button", name="#2e933c").click()
    saved(page)
    page.wait_for_timeout(100)
    more.click()
    page.get_by_role("menuitem", name="Ignore").click()
    wait_for_cards(page, 5)
    changed = [each for each in serving.studio.data["classes"] if each["ignore"]]
    assert [(each["note"], each["colour"]) for each in changed] == [
        ("only at the border", "#2e933c")
    ]


def test_a_script_in_a_name_shows_as_text(serving, open_studio, watch):
    serving.studio.data["classes"][0]["name"] = SCRIPT
    page = open_studio()
    page.wait_for_selector(f"article h3:has-text({json.dumps(SCRIPT)})")
    for view in ("suggest", "coarse", "try"):
        page.goto(serving.address + f"#/{view}")
        page.wait_for_timeout(200)
    assert page.locator("img[src=x]").count() == 0
    assert not watch.faults


def test_a_refused_name_is_said_and_nothing_else_is_lost(serving, open_studio, watch):
    watch.expect("status of 400")
    page = open_studio()
    page.locator("article h3").first.click()
    name_card(page, "forbidden")
    page.wait_for_selector("text=Expected another name")
    page.locator("article h3").first.click()
    name_card(page, "allowed")
    saved(page)
    assert names(serving.studio) == {"allowed"}


def test_cut_is_seen_before_it_is_kept(serving, open_studio):
    page = open_studio("coarse")
    slider = page.get_by_role("slider")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert page.locator(".cut-legend li").count() == 3
    assert len(serving.studio.data["classes"]) == 6
    page.get_by_role("button", name="Keep this cut").click()
    saved(page)
    page.wait_for_selector("text=cut into 3 classes")
    assert len(serving.studio.data["classes"]) == 3


def test_a_cut_across_names_says_why_it_cannot_be(serving, open_studio):
    for place, name in ((0, "sky"), (1, "road")):
        serving.studio.data["classes"][place]["name"] = name
    page = open_studio("coarse")
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("text=sky and road would become one class")
    assert page.get_by_role("button", name="Keep this cut").is_disabled()


def test_names_of_a_data_set_and_starting_again(serving, open_studio):
    page = open_studio()
    page.get_by_role("button", name="Names…").click()
    page.get_by_role("menuitem", name="Names of a known data set").click()
    name_card(page, "camvid")
    saved(page)
    assert names(serving.studio) == {"sky", "road"}
    page.get_by_role("button", name="Names…").click()
    page.get_by_role("menuitem", name="Start again").click()
    page.get_by_role("button", name="Start again").click()
    saved(page)
    page.wait_for_selector("[data-back=undo][title*=started]")
    assert names(serving.studio) == set()


def test_a_class_can_have_another_key(serving, open_studio):
    page = open_studio()
    card = page.locator("article.card").first
    assert card.locator("kbd").inner_text() == "1"
    card.get_by_role("button", name=re.compile("More for")).click()
    page.get_by_role("menuitem", name="Key").click()
    page.keyboard.press("n")
    page.wait_for_selector("text=cannot be a key of a class")
    place = page.evaluate("scrollY")
    page.keyboard.press("4")
    page.wait_for_selector(".popover", state="detached")
    assert card.locator("kbd").inner_text() == "4"
    assert page.evaluate("scrollY") == place
    page.reload()
    page.wait_for_selector("article.card kbd")
    assert page.locator("article.card kbd").first.inner_text() == "4"
    assert page.locator("article.card kbd").nth(3).inner_text() == "1"


# ---- two at once, and a server that goes away ----------------------------------------------------


def test_the_later_of_two_is_told_and_goes_on_with_enter(serving, open_studio, watch):
    watch.expect("status of 409")
    page = open_studio()
    # The edit of the other one is not told: it is as if both were made at once.
    page.route("**/api/events", lambda route: route.abort())
    watch.expect("ERR_FAILED")
    page.reload()
    page.wait_for_selector("article h3")
    serving.studio.change(
        0, lambda: serving.studio.apply({"kind": "name", "class": 5, "name": "sky"})
    )
    page.locator("article h3").nth(1).click()
    name_card(page, "road")
    page.wait_for_selector(".notice >> text=Changed elsewhere meanwhile")
    assert "class 5 is sky" in page.locator(".notice").inner_text()
    assert names(serving.studio) == {"sky"}
    page.keyboard.press("Enter")
    saved(page)
    assert names(serving.studio) == {"sky", "road"}
    assert page.locator(".notice").is_hidden()


def test_another_tab_is_told(serving, open_studio):
    page = open_studio()
    other = page.context.new_page()
    other.goto(serving.address)
    other.locator("article h3").first.click()
    name_card(other, "road")
    page.wait_for_selector("text=Changed in another window")
    page.wait_for_selector("article h3:has-text('road')")
    assert "Changed in another" not in other.locator(".toasts").inner_text()


def test_nothing_typed_is_lost_while_the_server_is_away(serving, open_studio, watch):
    for fault in ("ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY", "ERR_NETWORK"):
        watch.expect(fault)
    page = open_studio("suggest")
    page.wait_for_selector(".suggest .big img")
    name_card(page, "road")
    saved(page)
    serving.stop()
    name_card(page, "sky")
    name_card(page, "water")
    page.wait_for_selector('.saved[data-status="waiting"]')
    page.wait_for_selector(".notice >> text=Not saved yet")
    assert set(said(serving.studio).values()) == {6}
    for _ in range(4):
        page.keyboard.press("Escape")  # beyond the pictures that are there already
    serving.start()
    saved(page)
    page.wait_for_timeout(2500)
    shown = page.locator(".suggest .big img").evaluate("(picture) => picture.naturalWidth")
    assert shown > 0
    assert names(serving.studio) == {"road", "sky", "water"}
    assert page.locator(".notice").is_hidden()


def test_what_waits_survives_a_reload(serving, open_studio, watch):
    watch.expect("status of 503")
    page = open_studio()
    page.route("**/api/edit", lambda route: route.fulfill(status=503, json={"error": "Later."}))
    page.locator("article h3").first.click()
    name_card(page, "road")
    page.wait_for_selector('.saved[data-status="waiting"]')
    page.unroute("**/api/edit")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    saved(page)
    page.wait_for_selector("article h3:has-text('road')")
    assert names(serving.studio) == {"road"}


# ---- one photograph ------------------------------------------------------------------------------


@pytest.fixture
def photograph(serving, open_studio):
    """``photograph()``: the page of a photograph and a way to click into it, by fractions."""
    page = open_studio("photo/p0.jpg")
    page.wait_for_selector(".photo-window canvas")
    page.wait_for_timeout(400)

    def place(x, y):
        box = page.locator(".photo-window").bounding_box()
        scale = min(box["width"] / 160, box["height"] / 120)
        left = box["x"] + (box["width"] - 160 * scale) / 2
        top = box["y"] + (box["height"] - 120 * scale) / 2
        return left + 160 * scale * x, top + 120 * scale * y

    return page, place


def test_a_proposal_is_said_by_click_and_key(serving, photograph):
    page, place = photograph
    page.mouse.click(*place(0.1, 0.2))
    page.wait_for_selector("text=1 proposal selected")
    page.keyboard.press("3")
    saved(page)
    assert list(said(serving.studio)) == [("p0.jpg", 1)]
    page.keyboard.press("3")  # nothing is selected: a layer, not a class
    assert len(said(serving.studio)) == 1


def test_several_are_said_by_lasso_and_by_shift(serving, photograph):
    page, place = photograph
    page.keyboard.press("l")
    page.mouse.move(*place(0.02, 0.02))
    page.mouse.down()
    for x, y in ((0.48, 0.02), (0.48, 0.48), (0.02, 0.48), (0.02, 0.05)):
        page.mouse.move(*place(x, y), steps=4)
    page.mouse.up()
    page.wait_for_selector("text=2 proposals selected")
    page.keyboard.press("Delete")
    saved(page)
    assert said(serving.studio) == {("p0.jpg", 1): 255, ("p0.jpg", 2): 255}


def test_a_new_name_is_typed_and_taken_back(serving, photograph):
    page, place = photograph
    page.mouse.click(*place(0.1, 0.2))
    page.wait_for_selector("text=1 proposal selected")
    page.keyboard.press("n")
    name_card(page, "kerb")
    saved(page)
    assert names(serving.studio) == {"kerb"}
    page.mouse.click(*place(0.1, 0.2))
    page.get_by_role("button", name="Take back what was said").click()
    saved(page)
    assert said(serving.studio) == {}


def test_the_same_everywhere_shows_how_many_first(serving, photograph):
    page, place = photograph
    page.mouse.click(*place(0.1, 0.2))
    page.get_by_role("button", name="Same as this everywhere").click()
    page.wait_for_selector("text=This stands for 11 proposals in 8 photographs")
    assert said(serving.studio) == {}
    name_card(page, "sky")
    page.wait_for_selector(".toasts >> text=11 proposals: sky")
    assert len(said(serving.studio)) == 11


# ---- refit, split, export, try -------------------------------------------------------------------


@pytest.mark.slow
def test_refit_is_compared_accepted_and_taken_back(serving, open_studio):
    page = open_studio()
    page.get_by_role("button", name="Refit").click()
    page.wait_for_selector("text=Refit: before and after")
    assert page.locator(".pair").count() == 8
    changed = page.locator(".pair figcaption").first.inner_text()
    assert changed.startswith("p1.jpg")
    assert page.locator(".shares tbody tr").count() == 6
    page.get_by_role("button", name="Accept").click()
    page.wait_for_selector("text=A refit is in place")
    assert serving.studio.accepted == 1
    page.get_by_role("button", name="Take it back").click()
    page.wait_for_selector("text=A refit is in place", state="detached")
    assert serving.studio.accepted is None


def test_split_can_be_rejected(serving, open_studio):
    page = open_studio()
    page.get_by_role("button", name=re.compile("More for")).first.click()
    page.get_by_role("menuitem", name="Split").click()
    page.get_by_role("radio", name="3 parts").check()
    page.get_by_role("button", name="Split", exact=True).click()
    page.wait_for_selector("text=Split: before and after")
    page.get_by_role("button", name="Reject").click()
    page.wait_for_selector("text=The present model stays")
    assert serving.studio.candidates == []
    assert serving.studio.jobs["1"]["request"]["parts"] == 3


def test_a_job_can_be_stopped(serving, open_studio):
    serving.studio.job_steps = 10_000
    page = open_studio()
    page.get_by_role("button", name="Refit").click()
    page.wait_for_selector("text=Fitting")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("dialog", state="detached")
    assert serving.studio.jobs["1"]["status"] == "cancelled"


def test_export_says_what_is_lost_and_where_it_lies(serving, open_studio, check_axe):
    page = open_studio()
    page.keyboard.press("e")
    page.wait_for_selector("text=Loses: Names of files lose their endings.")
    check_axe(page)
    page.get_by_role("radio", name="Pascal VOC").check()
    page.get_by_label("Split").fill("0.8 0.1")
    page.get_by_role("button", name="Export", exact=True).last.click()
    page.wait_for_selector("text=Expected up to three shares that add up to 1")
    page.get_by_label("Split").fill("0.8, 0.1, 0.1")
    page.get_by_role("button", name="Export", exact=True).last.click()
    page.wait_for_selector("text=p3.jpg: it is gone")
    assert page.get_by_label("Folder of the export").input_value() == "/runs/demo/exports/voc"
    options = serving.studio.jobs["1"]["request"]["options"]
    assert options == {
        "split": [0.8, 0.1, 0.1],
        "min_area": 0,
        "unknown_below": None,
        "polygons": False,
    }
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as zip").click()
    assert download.value.suggested_filename == "voc.zip"


def test_a_photograph_is_tried_and_not_added(serving, open_studio, fake, tmp_path, watch):
    watch.expect("status of 400")
    (tmp_path / "a.png").write_bytes(fake.jpeg(fake.drawn_pictures(1)[0].photo).body)
    (tmp_path / "b.png").write_text("no picture", encoding="utf-8")
    page = open_studio("try")
    page.get_by_label("Photograph", exact=True).set_input_files(tmp_path / "a.png")
    page.wait_for_selector("text=4 proposals in 0.4 s")
    page.get_by_label("Threshold").focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector("text=5 proposals in 0.4 s")
    page.get_by_label("Photograph", exact=True).set_input_files(tmp_path / "b.png")
    page.wait_for_selector("text=Expected a photograph, but got no image")
    assert serving.studio.revision == 0


def test_a_photograph_can_be_dropped_anywhere(open_studio, fake):
    page = open_studio()
    content = list(fake.jpeg(fake.drawn_pictures(1)[0].photo).body)
    transfer = page.evaluate_handle(
        """(content) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(content)], "dropped.jpg"));
          return transfer;
        }""",
        content,
    )
    page.dispatch_event("h1", "dragover", {"dataTransfer": transfer})
    page.wait_for_selector("text=Drop it to see it segmented")
    page.dispatch_event("h1", "drop", {"dataTransfer": transfer})
    page.wait_for_selector("text=dropped.jpg: 4 proposals")
    assert page.url.endswith("#/try")


# ---- for everybody -------------------------------------------------------------------------------


@pytest.mark.parametrize("look", [{}, {"dark": True}, {"phone": True}])
@pytest.mark.parametrize("view", ["classes", "suggest", "coarse", "try", "photo/p0.jpg"])
def test_pages_have_no_serious_findings(view, look, open_studio, check_axe):
    page = open_studio(view, **look)
    page.wait_for_timeout(500)
    check_axe(page)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{wide} pixels are beyond the right edge"


@pytest.mark.parametrize("dark", [False, True])
def test_panels_have_no_serious_findings(dark, serving, open_studio, check_axe):
    serving.studio.data["classes"][2]["name"] = "grass"
    page = open_studio(dark=dark)
    for place in (0, 1):
        page.locator("article input[type=checkbox]").nth(place).check()
    page.locator("article h3").first.click()
    page.keyboard.type("gr")
    page.wait_for_selector("[role=option]")
    check_axe(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("More for")).first.click()
    check_axe(page)
    page.get_by_role("menuitem", name="Colour").click()
    check_axe(page)


def test_a_studio_that_was_started_anew_asks_for_its_address(serving, open_studio, watch):
    watch.expect("status of 401")
    page = open_studio()
    page.route("**/api/**", lambda route: route.fulfill(status=401, json={"error": "No."}))
    page.locator("article h3").first.click()
    name_card(page, "road")
    page.wait_for_selector(".notice >> text=open the address that it printed in this tab")
    page.unroute("**/api/**")
    page.goto(serving.address + "?token=new")
    saved(page)
    page.wait_for_selector("article h3:has-text('road')")
    assert names(serving.studio) == {"road"}
