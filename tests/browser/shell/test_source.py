"""Where pictures come from: blocks of a page that is still read, or a server."""

import base64
import io
import json
import zlib

import numpy as np
import pytest
from PIL import Image


def jpeg(number):
    buffer = io.BytesIO()
    Image.fromarray(np.full((6, 8, 3), 20 * number, np.uint8)).save(buffer, format="JPEG")
    return buffer.getvalue()


def packed_maps(number):
    labels = np.full((6, 8), number, "<u2")
    return zlib.compress(labels.tobytes() + (labels + 1).tobytes())


def block(kind, number, data):
    text = base64.b64encode(data).decode()
    return (
        f'<script type="text/plain" id="{kind}-{number}" data-width="8" data-height="6">'
        f"{text}</script>"
    )


def report_blocks(run, state, images):
    parts = [
        f'<script type="application/json" id="run">{json.dumps(run)}</script>',
        f'<script type="application/json" id="state">{json.dumps(state)}</script>',
    ]
    for number in images:
        parts += [block("photo", number, jpeg(number)), block("maps", number, packed_maps(number))]
        parts.append(block("certainty", number, zlib.compress(bytes([number]) * 48)))
    return "\n".join(parts)


@pytest.fixture
def embedded(web_server, small_run, new_page):
    """``embedded(images)``: a page whose ``source`` is an EmbeddedSource of those images."""

    def open_page(images):
        run = {**small_run.record(6), "has_certainty": True, "failures": []}
        script = """
            import { EmbeddedSource } from "viewer/source.js";
            globalThis.source = await EmbeddedSource.open(document);
        """
        page = new_page(
            web_server.page(script=script, body=report_blocks(run, small_run.state(), images))
        )
        page.wait_for_function("globalThis.source")
        return page

    return open_page


def test_blocks_of_a_report(embedded):
    page = embedded(range(6))
    found = page.evaluate(
        """async () => {
            const [photo, maps, certainty] = await Promise.all([
                source.photo(2, 320), source.maps(3), source.certainty(4)]);
            return [photo.width, photo.height, maps.width, maps.labels[47], maps.proposals[0],
                certainty.height, certainty.values[5], source.run.title];
        }"""
    )
    assert found == [8, 6, 8, 3, 4, 6, 4, "street"]


def test_nothing_is_decoded_twice_while_it_is_kept(embedded):
    page = embedded(range(6))
    same = page.evaluate(
        """async () => {
            const [a, b] = await Promise.all([source.photo(1), source.photo(1)]);
            return a === b && a === await source.photo(1) && source.pending.size === 0;
        }"""
    )
    assert same


def test_a_missing_block_says_what_to_do(embedded):
    page = embedded([0])
    said = page.evaluate("source.photo(5).catch((error) => error.message)")
    assert "photo-5 is missing" in said
    assert "Write it again" in said


def test_blocks_may_come_later(web_server, new_page, small_run):
    """The module starts before the blocks are there: they are taken when they are complete."""
    run = {**small_run.record(6), "has_certainty": False}
    script = """
        import { Blocks } from "viewer/blocks.js";
        // a page that is still read: its end has not been seen
        const page = document.implementation.createHTMLDocument("");
        const add = (id, text) => {
            const element = page.createElement("script");
            element.type = "text/plain";
            element.id = id;
            element.textContent = text;
            page.body.append(element);
        };
        Object.defineProperty(page, "readyState", { get: () => globalThis.state });
        globalThis.state = "loading";
        const blocks = new Blocks(page);
        globalThis.found = [];
        blocks.json("run").then((value) => found.push(value.title));
        blocks.maybe("certainty-0").then((value) => found.push(value));
        globalThis.add = add;
        globalThis.end = () => {
            globalThis.state = "complete";
            page.dispatchEvent(new Event("readystatechange"));
        };
    """
    page = new_page(web_server.page(script=script))
    page.wait_for_function("'end' in globalThis")
    page.evaluate("(text) => add('run', text)", json.dumps(run))
    page.wait_for_timeout(50)
    assert page.evaluate("found") == []  # it may go on
    page.evaluate("add('state', '{}')")
    page.wait_for_function("found.length === 1")
    page.evaluate("end()")
    page.wait_for_function("found.length === 2")
    assert page.evaluate("found") == ["street", None]


@pytest.fixture
def served(web_server, small_run, new_page):
    """A page whose ``source`` is a ServerSource; playwright answers as the server would."""
    page = new_page()
    run = {**small_run.record(6), "has_certainty": True}
    asked = []

    def answer(route):
        address = route.request.url
        asked.append(address.split("/api/")[1])
        sizes = {"X-Width": "8", "X-Height": "6"}
        if "/api/run" in address:
            route.fulfill(json=run)
        elif "/api/state" in address:
            route.fulfill(json=small_run.state())
        elif "photo5" in address:
            route.fulfill(status=404, json={"error": "The photograph is gone: put it back."})
        elif "/api/photo" in address:
            route.fulfill(body=jpeg(1), content_type="image/jpeg")
        elif "/api/maps" in address:
            route.fulfill(body=packed_maps(7 if "candidate=2" in address else 1), headers=sizes)
        elif "photo0" in address:
            route.fulfill(status=204)
        else:
            route.fulfill(body=zlib.compress(bytes(48)), headers=sizes)

    page.route("**/api/**", answer)
    script = """
        import { ServerSource } from "viewer/source.js";
        globalThis.source = await ServerSource.open();
    """
    page.goto(web_server.page(script=script))
    page.wait_for_function("globalThis.source")
    page.asked = asked
    return page


def test_server(served):
    found = served.evaluate(
        """async () => {
            const photo = await source.photo(0, 320);
            const maps = await source.maps(1, 640);
            const other = await source.maps(1, 640, { candidate: 2 });
            const none = await source.certainty(0);
            const some = await source.certainty(1);
            await source.photo(0, 320);
            return [photo.width, maps.labels[0], other.labels[0], none, some.values.length];
        }"""
    )
    assert found == [8, 1, 7, None, 48]
    assert served.asked[2:] == [
        "photo?image=a%2Fphoto0.jpg&side=320",
        "maps?image=b%2Fphoto1.jpg&side=640",
        "maps?image=b%2Fphoto1.jpg&side=640&candidate=2",
        "certainty?image=a%2Fphoto0.jpg",
        "certainty?image=b%2Fphoto1.jpg",
    ]


def test_server_says_why(served, watch):
    watch.expect("status of 404")
    said = served.evaluate("source.photo(5, 320).catch((error) => error.message)")
    assert said == "The photograph is gone: put it back."
    served.route("**/api/photo**", lambda route: route.abort())
    watch.expect("ERR_FAILED")
    said = served.evaluate("source.photo(4, 320).catch((error) => error.message)")
    assert "primaps studio" in said


def test_prefetched_is_there_when_it_is_asked_for(served):
    served.evaluate("source.prefetch([2, 3], 320)")
    served.wait_for_function("source.pending.size === 0")
    before = len(served.asked)
    served.evaluate("Promise.all([source.photo(2, 320), source.maps(3, 320)])")
    assert len(served.asked) == before == 6


def run_module(web_server, new_page, script):
    page = new_page(web_server.page(script=script))
    page.wait_for_function("'result' in globalThis")
    return page.evaluate("result")


def test_queue_runs_few_and_the_newest_first(web_server, new_page):
    script = """
        import { Queue } from "viewer/queue.js";
        const queue = new Queue(2);
        const order = [];
        let most = 0;
        const task = (name) => async () => {
            most = Math.max(most, queue.running);
            order.push(name);
            await new Promise((resolve) => setTimeout(resolve, 5));
            return name;
        };
        const later = queue.run(task("later"), { low: true, key: "k" });
        const names = ["a", "b", "c", "d"].map((name) => queue.run(task(name)));
        const refused = queue.run(() => Promise.reject(new Error("no")));
        const failed = await refused.catch((error) => error.message);
        globalThis.result = [await Promise.all([...names, later]), order, most, failed];
    """
    values, order, most, failed = run_module(web_server, new_page, script)
    assert values == ["a", "b", "c", "d", "later"]
    assert order == ["later", "a", "d", "c", "b"]
    assert most == 2
    assert failed == "no"


def test_lru_forgets_what_was_not_used(web_server, new_page):
    script = """
        import { Lru } from "viewer/lru.js";
        const cache = new Lru(10, (value) => value.length);
        cache.set("a", "1234");
        cache.set("b", "1234");
        cache.get("a");
        cache.set("c", "1234");
        const kept = ["a", "b", "c"].map((key) => cache.get(key) ?? null);
        cache.set("large", "x".repeat(50));
        globalThis.result = [kept, [...cache.entries.keys()], cache.weight];
    """
    assert run_module(web_server, new_page, script) == [["1234", None, "1234"], ["large"], 50]
