"""The gallery: filters, sorting, pages, and all of it in the address."""

import pytest


@pytest.fixture
def gallery(small_run, new_page):
    """``gallery(query, **options)``: the gallery over the small run."""

    def open_gallery(query="", *, run=None, state=None, **options):
        page = new_page(small_run.address(run, state) + f"#/gallery?{query}", **options)
        page.wait_for_selector(".gallery")
        return page

    return open_gallery


def shown(page):
    """Numbers of the images on the page."""
    return page.eval_on_selector_all(
        ".grid .thumb", "all => all.map((one) => Number(one.dataset.image))"
    )


def count(page):
    return page.inner_text(".count")


ALL = range(60)
ENDS = {3}
"""Images whose certainty is not known: they come last."""


class Facts:
    """What the run says of its images.

    Attributes:
        certain: certainty by image, None = not known.
        covered: coverage by image.
        regions: number of proposals by image.
    """

    def __init__(self, images):
        self.certain, self.covered = images["certainty"], images["coverage"]
        self.regions, self.clusters = images["proposals"], images["clusters"]

    def share(self, image, cluster):
        rows = dict(map(tuple, self.clusters[image]))
        return rows.get(cluster, 0) / sum(rows.values())

    def certain_from(self, image):
        return -1 if self.certain[image] is None else self.certain[image]


@pytest.mark.parametrize(
    ("query", "expect"),
    [
        ("", lambda _: list(ALL)),
        ("text=PHOTO5", lambda _: [i for i in ALL if str(i).startswith("5")]),
        ("class=2", lambda facts: [i for i in ALL if facts.share(i, 2) > 0]),
        ("class=2&share=50", lambda facts: [i for i in ALL if facts.share(i, 2) >= 0.5]),
        ("certain_from=90", lambda facts: [i for i in ALL if facts.certain_from(i) >= 0.9]),
        ("certain_to=5", lambda facts: [i for i in ALL if 0 <= facts.certain_from(i) <= 0.05]),
        (
            "covered_from=60&covered_to=62",
            lambda facts: [i for i in ALL if 0.6 <= facts.covered[i] <= 0.62],
        ),
        ("warning=1", lambda _: [5, 6]),
        ("corrected=yes", lambda _: [7]),
        ("corrected=no&text=photo7.", lambda _: []),
        (
            "sort=certainty",
            lambda facts: sorted(ALL, key=lambda i: (i in ENDS, facts.certain_from(i))),
        ),
        (
            "sort=certainty&down=1",
            lambda facts: sorted(ALL, key=lambda i: (i in ENDS, -facts.certain_from(i))),
        ),
        ("sort=coverage", lambda facts: sorted(ALL, key=lambda i: facts.covered[i])),
        ("sort=proposals&down=1", lambda facts: sorted(ALL, key=lambda i: -facts.regions[i])),
        ("sort=name", lambda _: [*range(0, 60, 2), *range(1, 60, 2)]),
        ("down=1", lambda _: list(ALL)[::-1]),
        (
            "class=1&sort=share&down=1",
            lambda facts: sorted(
                (i for i in ALL if facts.share(i, 1) > 0), key=lambda i: -facts.share(i, 1)
            ),
        ),
        ("sort=strange&class=x&page=-4", lambda _: list(ALL)),
    ],
)
def test_filters_and_sorts(gallery, query, expect, small_run):
    state = small_run.state()
    state["corrections"] = {"b/photo7.jpg": {"1": 3}}
    page = gallery(query, state=state)
    expected = expect(Facts(small_run.record()["images"]))
    assert shown(page) == expected[:24]
    assert page.evaluate("app.order()") == expected
    total = f"of {len(expected)}" if expected else "0 photographs"
    assert total in count(page)


def test_fields_show_the_address_and_change_it(gallery):
    page = gallery("class=2&certain_from=10")
    assert page.input_value("[name=class]") == "2"
    assert page.input_value("[name=certain_from]") == "10"
    assert page.is_visible("[name=certain_from]")
    page.select_option("[name=class]", "1")
    page.wait_for_function("location.hash.includes('class=1')")
    assert page.locator(".grid .thumb").count() > 0
    page.fill("[name=text]", "photo1")
    page.wait_for_function("location.hash.includes('text=photo1')")
    assert "certain_from=10" in page.url


def test_typing_is_one_step_for_back(gallery):
    page = gallery()
    page.select_option("[name=class]", "1")
    page.wait_for_function("location.hash.includes('class=1')")
    page.focus("[name=text]")
    page.keyboard.type("photo1", delay=40)
    page.wait_for_function("location.hash.includes('text=photo1')")
    assert page.input_value("[name=text]") == "photo1"
    page.go_back()
    page.wait_for_function("!location.hash.includes('class=1')")
    assert len(shown(page)) == 24


def test_share_needs_a_class(gallery):
    page = gallery()
    assert page.is_disabled("[name=share]")
    page.select_option("[name=class]", "1")
    assert page.is_enabled("[name=share]")


def test_pages_by_button_and_by_key_and_back(gallery):
    page = gallery()
    assert count(page) == "1–24 of 60"
    page.click(".gallery-bar [aria-label='Next page']")
    page.wait_for_function("document.querySelector('.count').textContent === '25–48 of 60'")
    assert shown(page) == list(range(24, 48))
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.count').textContent === '49–60 of 60'")
    page.keyboard.press("ArrowRight")
    assert shown(page) == list(range(48, 60))
    assert page.get_attribute("[aria-label='Next page'] >> nth=0", "aria-disabled") == "true"
    page.go_back()
    page.wait_for_function("document.querySelector('.count').textContent === '25–48 of 60'")
    page.keyboard.press("p")
    page.wait_for_function("document.querySelector('.count').textContent === '1–24 of 60'")


def test_a_page_beyond_the_last_is_the_last(gallery):
    assert count(gallery("page=99")) == "49–60 of 60"


def test_number_per_page_is_kept(gallery):
    page = gallery("page=2")
    page.select_option(".gallery-bar select", "60")
    page.wait_for_function("document.querySelectorAll('.grid .thumb').length === 60")
    page.reload()
    page.wait_for_function("document.querySelectorAll('.grid .thumb').length === 60")


def test_nothing_found_says_so_and_offers_a_way_out(gallery):
    page = gallery("text=zebra")
    assert "No photograph passes these filters" in page.inner_text(".grid")
    page.click(".grid >> text=Clear filters")
    page.wait_for_function("document.querySelectorAll('.grid .thumb').length === 24")
    assert page.input_value("[name=text]") == ""


def test_next_page_is_fetched_ahead(gallery):
    page = gallery()
    assert page.evaluate("source.prefetched[0]") == list(range(24, 48))


def test_only_what_is_near_the_window_is_drawn(gallery):
    page = gallery(size=(420, 500))
    page.select_option(".gallery-bar select", "60")
    page.wait_for_selector(".grid canvas.drawn")
    page.wait_for_timeout(300)
    assert page.locator(".grid canvas.drawn").count() < 40


def test_changed_names_leave_focus_and_place_alone(gallery, small_run):
    page = gallery()
    page.focus(".thumb >> nth=9")
    scroll = page.evaluate("window.scrollY")
    state = small_run.state(c1={"name": "road"})
    page.evaluate("(state) => app.model.update(state)", state)
    assert page.evaluate("document.activeElement.dataset.image") == "9"
    assert page.evaluate("window.scrollY") == scroll
    assert "road" in page.inner_text("[name=class]")


def test_a_correction_shows_at_once(gallery, small_run):
    page = gallery("corrected=no")
    assert 0 in shown(page)
    state = small_run.state()
    state["corrections"] = {"a/photo0.jpg": {"1": 3}}
    page.evaluate("(state) => app.model.update(state)", state)
    assert 0 not in shown(page)


def test_overlay_is_switched_off(gallery):
    page = gallery()
    page.wait_for_selector(".grid canvas.drawn")

    def pixel():
        return page.evaluate(
            """[...document.querySelector('.grid canvas').getContext('2d')
                .getImageData(9, 9, 1, 1).data]"""
        )

    before = pixel()
    page.keyboard.press("o")
    page.wait_for_timeout(200)
    assert pixel() != before
    assert page.get_attribute("[aria-label=Overlay]", "aria-pressed") == "false"


def test_thousand_photographs_turn_in_200_ms(gallery, small_run):
    page = gallery(run=small_run.record(1000))
    page.wait_for_selector(".grid canvas.drawn")
    seconds = page.evaluate(
        """async () => {
            const begun = performance.now();
            app.go("gallery", {page: 2, sort: "certainty"});
            const drawn = () => document.querySelector('.grid [data-image] canvas.drawn');
            const old = document.querySelector('.grid li');
            while (document.contains(old) || !drawn())
                await new Promise((resolve) => requestAnimationFrame(resolve));
            return (performance.now() - begun) / 1000;
        }"""
    )
    assert seconds < 0.2
