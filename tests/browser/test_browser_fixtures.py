"""What the other browser tests stand on: a watch that sees faults, modules by their names."""

import asyncio
import re

import pytest


@pytest.fixture
def faults(watch):
    """What was seen; it does not fail this test."""
    watch.expect("")
    return watch.faults


@pytest.mark.parametrize(
    ("script", "seen"),
    [
        ("console.warn('careful')", "console, warning: careful"),
        ("console.log('hello')", "console, log: hello"),
        ("throw new Error('broken')", "error: .*broken"),
        ("Promise.reject(new Error('unheard'))", "error: .*unheard"),
        ("fetch('http://example.org/x').catch(() => 0)", "request to another place: http://exam"),
        ("fetch('/none')", "status of 404"),
    ],
)
def test_watch_sees(script, seen, faults, new_page, web_server):
    page = new_page(web_server.page(script=script))
    page.wait_for_timeout(200)
    assert re.search(seen, "\n".join(faults))


def test_watch_sees_files_beside_a_page(tmp_path, faults, new_page):
    (tmp_path / "beside.js").write_text("", encoding="utf-8")
    (tmp_path / "page.html").write_text('<script src="beside.js"></script>', encoding="utf-8")
    new_page((tmp_path / "page.html").as_uri(), offline=True)
    assert any("beside.js" in fault for fault in faults)


def test_modules_load_by_their_names(new_page, web_server, watch):
    page = new_page(web_server.page(script='import { h } from "viewer/dom.js"; h("b");'))
    made = page.evaluate("import('viewer/dom.js').then(({ h }) => h('b', {}, '<i>').outerHTML)")
    assert made == "<b>&lt;i&gt;</b>"
    assert not watch.faults


def test_axe_finds_a_picture_without_words(new_page, web_server, check_axe):
    with pytest.raises(AssertionError, match="image-alt"):
        check_axe(new_page(web_server.page(body='<img src="data:,">')))
    check_axe(new_page(web_server.page(body="<main><h1>Title</h1></main>")))


def test_clock_counts_script_and_not_waiting(page, script_clock):
    clock = script_clock(page)
    page.wait_for_timeout(300)
    waited = clock.seconds()
    clock.start()
    page.evaluate(
        """() => new Promise((done) => setTimeout(() => {
          let sum = 0;
          for (let i = 0; i < 1e8; i += 1) sum += i % 7;
          done(sum);
        }))"""
    )
    assert waited < 0.02 < clock.seconds()


def test_another_event_loop_may_run_between_the_tests():
    async def answer():
        return 42

    assert asyncio.run(answer()) == 42
