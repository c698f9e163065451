"""Class cards: the figures, the examples, and what happens when names change."""

import numpy as np
import pytest


@pytest.fixture
def home(small_run, new_page):
    """``home(**options)``: the first page of the viewer over the small run."""

    def open_home(*, run=None, state=None, extend="", **options):
        page = new_page(small_run.address(run, state, extend), **options)
        page.wait_for_selector(".card")
        return page

    return open_home


def figures(page, number):
    """Figures of a class card by their title."""
    rows = page.eval_on_selector_all(
        f"#class-{number} .figures > div",
        "all => all.map((one) => [...one.children].map((child) => child.innerText.trim()))",
    )
    return dict(rows)


def update(page, state):
    page.evaluate("(state) => app.model.update(state)", state)


def test_largest_class_first_and_empty_ones_folded(home, small_run):
    page = home(state=small_run.state(c2={"ignore": True}))
    order = page.eval_on_selector_all(".card", "all => all.map((one) => one.id)")
    images = small_run.record()["images"]["clusters"]
    pixels = np.zeros(5)
    for rows in images:
        for cluster, number in rows:
            pixels[cluster] += number
    expected = [f"class-{i}" for i in np.argsort(-pixels, kind="stable") if i not in {2, 4}]
    assert order == expected
    assert "2 classes without pixels or ignored" in page.inner_text(".others summary")
    assert page.inner_text("#class-0 .share").split()[0] == f"{100 * pixels[0] / pixels.sum():.0f}"


def test_figures_agree_with_numpy(home, small_run):
    found, clusters = small_run.features()
    sums = small_run.sums_of(found, clusters)
    page = home(state=small_run.state(c0={"clusters": [0, 1]}, c1={"clusters": []}))
    merged = sums[0] + sums[1]
    count = np.isin(clusters, [0, 1]).sum()
    mean_cosine = (found[np.isin(clusters, [0, 1])] @ (merged / np.linalg.norm(merged))).mean()
    assert mean_cosine == pytest.approx(np.linalg.norm(merged) / count)
    others = {i: sums[i] @ merged / np.linalg.norm(sums[i]) for i in (2, 3)}
    alike = max(others, key=others.get)
    shown = figures(page, 0)
    assert shown["coherence"] == f"{mean_cosine:.2f}"
    assert shown["looks like"].split("\n") == [
        f"class {alike}",
        f"{others[alike] / np.linalg.norm(merged):.2f}",
    ]
    assert shown["certainty"].replace("\u202f", " ") == "35 %"  # (100 * 0.2 + 300 * 0.4) / 400
    assert shown["photographs"] == "45"


def test_without_features_there_is_neither_coherence_nor_look_alike(home, small_run):
    page = home(run={**small_run.record(), "clusters": None, "cluster_certainty": None})
    assert list(figures(page, 0)) == ["photographs"]


def test_figures_are_explained(home):
    page = home()
    told = page.get_attribute("#class-0 .figures dt >> nth=1", "aria-describedby")
    assert "How alike" in page.locator(f"#{told}").text_content()
    page.hover("#class-0 .figures dt >> nth=1")
    assert "How alike" in page.inner_text(".tip")


def test_examples_of_all_clusters_the_best_first(home, small_run):
    nothing = {"clusters": []}
    page = home(state=small_run.state(c0={"clusters": [0, 1, 2]}, c1=nothing, c2=nothing))

    def names():
        return page.eval_on_selector_all(
            "#class-0 .examples a", "all => all.map((one) => one.title.split(' ')[0])"
        )

    assert names() == ["a/photo2.jpg", "b/photo1.jpg", "a/photo0.jpg"]
    page.check("[value=worst]")
    assert names() == ["a/photo0.jpg", "b/photo1.jpg", "a/photo2.jpg"]
    page.check("[value=all]")
    assert len(names()) == 9


def test_examples_lead_to_their_photograph_with_the_class_alone(home):
    page = home()
    page.click("#class-1 .examples a")
    page.wait_for_selector(".photo-page")
    assert page.url.endswith("#/photo/b/photo1.jpg?class=1")


def test_an_example_that_was_given_to_another_class_is_none(home, small_run):
    state = small_run.state()
    state["corrections"] = {"b/photo1.jpg": {"1": 0}}
    page = home(state=state)
    assert "No examples" in page.inner_text("#class-1")


def test_examples_are_drawn_when_they_come_near(home):
    page = home(size=(600, 500))
    page.wait_for_selector(".strip canvas.drawn")
    assert page.locator("#class-3 canvas.drawn").count() == 0
    page.locator("#class-3").scroll_into_view_if_needed()
    page.wait_for_selector("#class-3 canvas.drawn")


def test_link_to_the_gallery(home):
    page = home()
    page.click("#class-2 >> text=Its photographs")
    page.wait_for_selector(".gallery")
    assert page.input_value("select[name=class]") == "2"
    assert page.input_value("select[name=sort]") == "share"


def test_look_alike_leads_to_its_card(home):
    page = home(size=(600, 500))
    page.click("#class-0 .figures a")
    page.wait_for_function("/class-\\d-name/.test(document.activeElement.id)")
    assert "class=" in page.url


def test_names_change_in_place(home, small_run):
    page = home(extend="{classCardActions: () => [document.createElement('input')]}")
    page.focus("#class-1 input")
    page.evaluate("document.activeElement.value = 'half typed'")
    scroll = page.evaluate("window.scrollY")
    update(page, small_run.state(c1={"name": "road"}, c0={"name": "sky"}))
    assert page.inner_text("#class-1 h3").startswith("road")
    assert page.inner_text("#class-0 h3").startswith("sky")
    assert page.evaluate("document.activeElement.value") == "half typed"
    assert page.evaluate("window.scrollY") == scroll


def test_a_merged_class_hands_the_focus_on(home, small_run):
    page = home()
    page.focus("#class-1 .more")
    update(page, small_run.state(c0={"clusters": [0, 1]}, c1={"clusters": []}))
    assert page.locator(".card#class-1").count() == 0
    assert page.evaluate("document.activeElement.tagName") == "H3"
    assert "class 1" in page.locator(".small-classes").text_content()


def test_commands_are_copied(home):
    page = home(permissions=["clipboard-read", "clipboard-write"])
    page.click(".next [aria-label='Copy this command']")
    assert "Copied" in page.inner_text(".toast")
    assert page.evaluate("navigator.clipboard.readText()") == "primaps studio street"


def test_where_copying_is_refused_the_command_is_selected(home):
    page = home()
    page.evaluate(
        """() => {
            navigator.clipboard.writeText = () => Promise.reject(new DOMException("no"));
        }"""
    )
    page.click(".next [aria-label='Copy this command']")
    assert "press Ctrl + C" in page.inner_text(".toast")
    assert page.evaluate("String(getSelection())") == "primaps studio street"


def test_details_say_what_the_charts_show(home, small_run):
    page = home()
    page.click("text=How the classes were learned")
    page.wait_for_selector(".tree svg")
    labels = page.eval_on_selector_all(
        ".chart svg", "all => all.map((one) => one.getAttribute('aria-label'))"
    )
    assert labels[0].startswith("Loss. From 2.00 to 1.25 over 3 steps")
    assert "class 0, has 40" in labels[1]
    assert (
        labels[-1] == "Tree of the clusters. Most alike: class 0 and class 1; class 2 and class 3."
    )
    update(page, small_run.state(c0={"name": "sky"}))
    assert "sky (0)" in page.get_attribute(".tree svg", "aria-label")
    assert "primaps classes '/data/my street' --cut" in page.inner_text(".details")


def test_failures_are_a_click_away(home):
    page = home()
    page.click("text=See why")
    assert page.is_visible("text=It is cut off.")
    assert page.is_visible("text=<img src=x>.jpg")


def test_a_run_without_photographs_says_so(small_run, new_page):
    run = small_run.record(0)
    page = new_page(small_run.address(run))
    assert "No photograph could be segmented" in page.inner_text("main")
