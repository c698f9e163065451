"""The frame: addresses, keys, dialogs, messages, light and dark, what others add."""

import itertools

import pytest


@pytest.fixture
def viewer(small_run, new_page):
    """``viewer(hash, **options)``: a page that shows the viewer over the small run."""

    def open_viewer(hash_="", *, run=None, state=None, extend="", init=None, **options):
        page = new_page(**options)
        if init:
            page.add_init_script(init)
        page.goto(small_run.address(run, state, extend) + hash_)
        page.wait_for_selector("main h1", state="attached")
        return page

    return open_viewer


def focused(page):
    """What has the focus, in words."""
    return page.evaluate(
        "(document.activeElement.getAttribute('aria-label') || document.activeElement.textContent)"
        ".trim()"
    )


def test_first_page_has_folder_and_date_and_results_before_details(viewer):
    page = viewer()
    assert page.title() == "street"
    assert page.inner_text("h1") == "street"
    assert "29 November 2026" in page.inner_text(".eyebrow")
    assert page.eval_on_selector_all("main h2", "all => all.map((one) => one.textContent)") == [
        "Photographs",
        "Classes",
        "What to do next",
        "Details",
    ]
    assert not page.is_visible(".help-body")
    assert page.locator(".fold[open]").count() == 0


def test_headings_go_down_one_level_at_a_time(viewer):
    page = viewer()
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    levels = page.eval_on_selector_all(
        "h1, h2, h3, h4", "all => all.map((one) => Number(one.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_back_leads_to_the_page_before_and_its_place(viewer):
    page = viewer()
    page.evaluate("window.scrollTo(0, 500)")
    page.wait_for_function("window.scrollY === 500")
    page.wait_for_timeout(50)
    page.keyboard.press("g")
    page.wait_for_selector(".gallery")
    assert page.evaluate("window.scrollY") == 0
    page.go_back()
    page.wait_for_selector(".home")
    page.wait_for_function("window.scrollY === 500")


def test_a_page_that_does_not_exist_is_said_and_left(viewer):
    page = viewer("#/nowhere?x=1")
    assert 'There is no page "nowhere"' in page.inner_text(".toast")
    page.wait_for_selector(".home")


def test_keys_lead_everywhere_and_are_listed(viewer):
    page = viewer()
    page.keyboard.press("g")
    page.wait_for_selector(".gallery")
    page.keyboard.press("c")
    page.wait_for_selector(".home")
    page.keyboard.press("?")
    listed = page.inner_text("dialog")
    assert "photographs" in listed
    assert "this list of keys" in listed


def test_keys_do_nothing_while_somebody_types(viewer):
    page = viewer("#/gallery")
    page.focus("input[type=search]")
    page.keyboard.type("cg?")
    assert page.locator("dialog").count() == 0
    assert page.input_value("input[type=search]") == "cg?"


def test_a_held_key_is_let_go_once(viewer):
    page = viewer()
    page.evaluate(
        """() => {
            window.calls = [];
            app.keys.add({key: "q", title: "hold", run: () => calls.push("down"),
                release: () => calls.push("up")});
        }"""
    )
    page.keyboard.down("q")
    page.keyboard.down("q")
    page.keyboard.up("q")
    assert page.evaluate("calls") == ["down", "up"]


def test_the_newest_key_wins_until_it_is_removed(viewer):
    page = viewer()
    page.evaluate(
        """() => {
            window.calls = [];
            window.remove = app.keys.add({key: "g", title: "mine", run: () => calls.push(1)});
        }"""
    )
    page.keyboard.press("g")
    assert page.evaluate("calls") == [1]
    page.evaluate("() => { remove(); }")
    page.keyboard.press("g")
    page.wait_for_selector(".gallery")


def test_dialog_keeps_the_focus_and_gives_it_back(viewer):
    page = viewer()
    page.focus("[aria-label=Keys]")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog")
    for _ in range(6):
        page.keyboard.press("Tab")
        # at the end the browser's own bar may have it, never the page behind
        assert page.evaluate(
            "document.activeElement === document.body"
            " || document.querySelector('dialog').contains(document.activeElement)"
        )
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert focused(page) == "Keys"


def test_dialog_tells_how_it_was_closed(viewer):
    page = viewer()
    page.evaluate(
        """() => {
            window.dialog = app.dialog({title: "Sure?", content: ["It is gone then."]});
            dialog.closed.then((value) => { window.answer = value; });
        }"""
    )
    page.evaluate("dialog.close('yes')")
    page.wait_for_function("window.answer === 'yes'")


def test_toast_with_action(viewer):
    page = viewer()
    page.evaluate(
        """app.toast("Merged <b>.", {action: {title: "Undo", run: () => { window.undone = 1; }}})"""
    )
    assert "Merged <b>." in page.inner_text(".toast")
    page.click(".toast >> text=Undo")
    assert page.evaluate("window.undone") == 1
    assert page.locator(".toast").count() == 0


@pytest.mark.parametrize("dark", [False, True])
def test_theme_follows_the_system_until_it_is_chosen(viewer, dark):
    page = viewer(dark=dark)

    def paper():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    before = paper()
    page.keyboard.press("t")  # light
    light = paper()
    page.keyboard.press("t")  # dark
    night = paper()
    assert light != night
    assert before == (night if dark else light)
    page.reload()
    page.wait_for_selector("main h1")
    assert paper() == night


def test_works_where_nothing_may_be_kept(viewer):
    refused = """Object.defineProperty(window, "localStorage", {
        get() { throw new DOMException("no", "SecurityError"); }});"""
    page = viewer(init=refused)
    page.keyboard.press("t")
    assert page.get_attribute("html", "data-theme") == "light"


def test_damaged_settings_are_left_aside(viewer):
    page = viewer(init="""localStorage.setItem("primaps-viewer", '{"perPage": "many"}')""")
    assert page.evaluate("app.settings.get('perPage')") == 24


def test_everything_is_reached_by_keyboard(viewer):
    page = viewer()
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        reached.add(focused(page))
        assert page.evaluate("document.activeElement.matches(':focus-visible')")
    assert {"How to read this", "All 60", "Copy this command", "Settings and versions"} <= reached
    assert any(text.startswith("Its photographs") for text in reached)


def test_names_are_text_everywhere(viewer, small_run):
    name = "<img src=x onerror=\"document.title='hit'\">"
    run = small_run.record(4)
    run["images"]["name"][0] = f"{name}.jpg"
    run["title"] = run["about"] = run["warnings"][0] = name
    page = viewer(run=run, state=small_run.state(c0={"name": name}))
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for where in ("#/gallery?class=0", f"#/photo/{name}.jpg", "#/classes?class=0"):
        page.evaluate("(where) => { location.hash = where; }", where)
        page.wait_for_timeout(100)
        assert page.locator("img").count() == 0
    assert name in page.inner_text("#class-0")


def test_others_add_routes_actions_and_entries(viewer):
    page = viewer(
        extend="""{
            classCardActions: (entry) => [document.createTextNode(`edit ${entry.id}`)],
            header: () => [document.createTextNode("saved")],
            classTools: () => [document.createTextNode("coarse")],
            galleryTools: () => [document.createTextNode("gallery tool")],
            nav: [{view: "suggest", title: "Suggestions"}],
            routes: {suggest: () => {
                const element = document.createElement("h1");
                element.textContent = "Suggestions here";
                return {element, title: "Suggestions", destroy() { window.destroyed = 1; }};
            }},
        }"""
    )
    assert "edit 1" in page.inner_text("#class-1")
    assert "saved" in page.inner_text("header.bar")
    assert "coarse" in page.inner_text(".home")
    page.click("nav >> text=Suggestions")
    page.wait_for_selector("text=Suggestions here")
    assert page.title() == "Suggestions · street"
    assert page.get_attribute("nav [data-view=suggest]", "aria-current") == "page"
    page.keyboard.press("g")
    page.wait_for_selector("text=gallery tool")
    assert page.evaluate("window.destroyed") == 1


def test_photograph_in_the_order_of_the_gallery(viewer):
    page = viewer("#/gallery?text=a/&sort=name&down=1")
    page.click(".thumb >> nth=0")
    page.wait_for_selector(".photo-page")
    assert page.inner_text("h1") == "photo58.jpg"
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('h1').textContent === 'photo56.jpg'")
    page.keyboard.press("Escape")
    page.wait_for_selector(".gallery")
    assert "text=a" in page.url


def test_photograph_that_is_not_there(viewer):
    page = viewer("#/photo/none%20%.jpg")
    assert 'There is no photograph "none%20%.jpg"' in page.inner_text("main")


@pytest.mark.parametrize("where", ["", "#/gallery?certain_from=1", "#/photo/a/photo0.jpg"])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(viewer, check_axe, where, dark):
    page = viewer(where, dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.wait_for_timeout(300)
    check_axe(page)


@pytest.mark.parametrize("where", ["", "#/gallery?certain_from=1", "#/photo/a/photo0.jpg"])
def test_nothing_is_wider_than_a_small_phone(viewer, where):
    page = viewer(where, size=(360, 740))
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_print_is_light_and_without_controls(viewer):
    page = viewer(dark=True)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.is_visible("header.bar")
