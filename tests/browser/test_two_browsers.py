"""Two people, or two tabs, at one studio; and a studio that goes away and comes back."""

import re

import pytest

pytestmark = pytest.mark.slow

GONE = (
    "Failed to load resource: net::ERR_|ERR_CONNECTION|ERR_INCOMPLETE|EventSource|status of 40[13]"
)
"""What the browser itself says of a server that is not there, or does not know it any more."""


@pytest.fixture
def run(drawn_run, own_copy):
    return own_copy(drawn_run) / "run"


def rename(page, before, name):
    """Rename a class on its card."""
    card = page.get_by_role("article", name=re.compile(rf"^{re.escape(before)}\b"))
    card.get_by_role("button", name=re.compile("^Rename")).click()
    page.get_by_role("combobox", name=re.compile("^Name of")).fill(name)
    page.keyboard.press("Enter")


def names(client):
    return {entry["name"] for entry in client.get("/api/state")["classes"]} - {None}


def test_what_one_does_the_other_sees_and_both_are_kept(run, start_studio, new_page, sign_in):
    studio = start_studio(run)
    here, there = new_page(studio.url), new_page(studio.url)
    for page in (here, there):
        page.get_by_role("article").first.wait_for()
    titles = here.locator("article h3").all_inner_texts()
    rename(here, titles[0], "sky")
    there.locator("article h3").filter(has_text="sky").wait_for()
    rename(there, titles[1], "hill")
    here.locator("article h3").filter(has_text="hill").wait_for()
    assert names(sign_in(studio)) == {"sky", "hill"}


def test_two_who_change_at_once_are_asked_and_nothing_is_lost(
    run, start_studio, new_page, sign_in, scripts, watch
):
    studio = start_studio(run)
    client, page = sign_in(studio), new_page()
    # The page does not hear of what somebody else does, and so changes what is no longer so.
    page.route("**/api/events", lambda route: route.abort())
    watch.expect("status of 409|net::ERR_FAILED")
    page.goto(studio.url)
    page.get_by_role("article").first.wait_for()
    title = page.locator("article h3").first.inner_text()
    other = next(each["id"] for each in client.state["classes"] if f"class {each['id']}" != title)
    client.edit({"kind": "name", "class": other, "name": "theirs"})
    rename(page, title, "mine")
    page.get_by_text("Changed elsewhere meanwhile").wait_for()
    assert names(client) == {"theirs"}
    page.get_by_role("button", name="Do it on top").click()
    scripts.keyboard.wait_until_saved(page)
    assert names(client) == {"theirs", "mine"}


def test_a_server_that_dies_loses_nothing_that_was_typed(
    run, start_studio, new_page, sign_in, scripts, watch
):
    studio = start_studio(run)
    page = new_page(studio.url)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("article").first.wait_for()
    title = page.locator("article h3").first.inner_text()
    watch.expect(GONE)
    studio.kill()
    rename(page, title, "typed while it was away")
    page.locator("[data-status=waiting]").wait_for()
    page.get_by_text("typed while it was away").first.wait_for()  # shown all the same
    again = start_studio(run, port=studio.port)
    page.goto(again.url)
    scripts.keyboard.wait_until_saved(page)
    assert names(sign_in(again)) == {"typed while it was away"}
