"""A real browser for the viewer: pages that are watched, a server for modules alone, axe, and how
long scripts take.

A test that opens a page fails at its end on anything in the console, on any error of the page and
on any request to another host; ``watch.expect`` names what belongs to the test.
"""

import asyncio
import contextlib
import http.server
import importlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import types
from pathlib import Path
from urllib.parse import urlsplit

import PIL.Image
import pytest

TOOLS = Path(__file__).parents[2] / "tools"
WEB = Path(__file__).parents[2] / "src" / "primaps" / "outputs" / "viewer" / "web"
SECONDS = 20
"""For which an action waits before the test fails; nothing of the viewer takes that long."""
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
DESKTOP, PHONE = (1280, 800), (390, 844)


def optional(module):
    """A module, or the test is skipped with the reason."""
    return pytest.importorskip(module, reason=f"{module} is not installed (extra `test`)")


@pytest.fixture(scope="session")
def scripts():
    """What `tools/studio_scripts` has: ``scripts.chromium``, ``scripts.keyboard``,
    ``scripts.running_studio``, ``scripts.StudioClient``, ``scripts.ScriptClock``.
    """
    optional("httpx")
    sys.path.insert(0, str(TOOLS))
    yield types.SimpleNamespace(
        chromium=importlib.import_module("studio_scripts.chromium"),
        keyboard=importlib.import_module("studio_scripts.keyboard"),
        running_studio=importlib.import_module("studio_scripts.running").running_studio,
        ScriptClock=importlib.import_module("studio_scripts.clock").ScriptClock,
        StudioClient=importlib.import_module("studio_scripts.client").StudioClient,
    )
    sys.path.remove(str(TOOLS))


# ---- browser and pages ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def playwright_driver():
    """Playwright with its event loop. The loop runs between calls too, in the thread of the tests;
    `playwright_loop` hides it from tests that run one of their own.
    """
    started = optional("playwright.sync_api").sync_playwright().start()
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)
    yield types.SimpleNamespace(playwright=started, loop=loop)
    asyncio._set_running_loop(loop)
    started.stop()
    asyncio._set_running_loop(None)


@contextlib.contextmanager
def seen(driver):
    """Playwright's event loop, seen for this long only."""
    asyncio._set_running_loop(driver.loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def browser(playwright_driver, scripts):
    """The system's chromium, without a window. Open pages by `new_page`."""
    chromium = scripts.chromium
    if (program := chromium.program()) is None:
        pytest.skip(f"no browser on the PATH: none of {', '.join(chromium.PROGRAMS)}")
    with seen(playwright_driver):
        started = playwright_driver.playwright.chromium.launch(
            executable_path=program, args=list(chromium.ARGUMENTS)
        )
    yield started
    with seen(playwright_driver):
        started.close()


@pytest.fixture
def playwright_loop(playwright_driver):
    """Whoever calls playwright in a test needs this, or `new_page`, which has it."""
    with seen(playwright_driver):
        yield


class Watch:
    """What pages say and ask for.

    Attributes:
        faults: sentences: console messages, errors, requests to elsewhere.
        requests: addresses that were asked for, without those of data: and blob:.
    """

    def __init__(self):
        self.faults, self.requests, self.expected = [], [], []

    def expect(self, pattern):
        """A fault that matches this pattern belongs to the test."""
        self.expected.append(re.compile(pattern))

    def follow(self, context):
        context.on("console", self.console)
        context.on("weberror", lambda found: self.faults.append(f"error: {found.error}"))
        context.on("request", self.request)

    def console(self, message):
        where = message.location
        place = f"{where.get('url', '')[:200]}:{where.get('lineNumber', '')}"
        self.faults.append(f"console, {message.type}: {message.text} ({place})")

    def request(self, request):
        parts = urlsplit(request.url)
        if parts.scheme in {"data", "blob", "about"}:
            return
        self.requests.append(request.url)
        own = (
            request.is_navigation_request()  # of a report: it may load itself, nothing beside it
            if parts.scheme == "file"
            else parts.hostname in {"127.0.0.1", "localhost"}
        )
        if not own:
            self.faults.append(f"request to another place: {request.url[:200]}")

    def left(self):
        """Faults that nobody expected."""
        return [
            fault
            for fault in self.faults
            if not any(known.search(fault) for known in self.expected)
        ]


@pytest.fixture
def watch(playwright_loop):
    """What the pages of this test say; looked at when it ends."""
    watching = Watch()
    yield watching
    assert not watching.left(), "\n".join(watching.left())


@pytest.fixture
def new_page(browser, watch):
    """``new_page(address)``: a page in a profile of its own, opened there and watched.

    Options: `size` (width, height), `dark`, `phone` (narrow, by touch), `offline`, and what
    playwright's ``new_context`` takes. Pages that share a profile: ``page.context.new_page()``.
    """
    contexts = []

    def open_page(address=None, *, size=None, dark=False, phone=False, offline=False, **options):
        width, height = size or (PHONE if phone else DESKTOP)
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            has_touch=phone,
            is_mobile=phone,
            offline=offline,
            reduced_motion="reduce",
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(SECONDS * 1000)
        watch.follow(context)
        page = context.new_page()
        if address is not None:
            page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page):
    """An empty page on a desktop's screen, watched."""
    return new_page()


# ---- modules alone -------------------------------------------------------------------------------


class WebServer:
    """Serves the viewer's modules under /web/, and pages that a test makes.

    Attributes:
        address: without a slash at its end.
    """

    def __init__(self, address):
        self.address = address
        self.made = {"/favicon.ico": ("image/x-icon", b"")}

    def put(self, path, content, kind="text/html"):
        """Serve a text or bytes under a path like "/x.html".

        Returns:
            Its address.
        """
        data = content.encode() if isinstance(content, str) else bytes(content)
        self.made[path] = (kind, data)
        return self.address + path

    def page(self, module=None, *, script="", head="", body=""):
        """A page whose bare names "viewer/..." lead to /web/, as in the studio.

        Args:
            module: a module that it imports, such as "report.js".
            script: further lines of a module of its own.
            head: HTML that comes after the import map.
            body: HTML of the body, before the scripts.

        Returns:
            Its address.
        """
        imports = json.dumps({"imports": {"viewer/": "/web/"}})
        entry = f'import "viewer/{module}";\n' if module else ""
        return self.put(
            f"/page{len(self.made)}.html",
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>test</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<script type="importmap">{imports}</script>{head}</head><body>{body}'
            f'<script type="module">{entry}{script}</script></body></html>',
        )

    def find(self, path):
        """Kind and content of what lies under a path, or None."""
        if path in self.made:
            return self.made[path]
        file = WEB / path.removeprefix("/web/")
        if path.startswith("/web/") and ".." not in path and file.is_file():
            return KINDS.get(file.suffix, "application/octet-stream"), file.read_bytes()
        return None


@pytest.fixture
def web_server():
    """The viewer's modules under /web/; ``web_server.page("cards.js")``: address of a page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            found = server.web.find(urlsplit(self.path).path)
            kind, content = found or ("text/plain", b"not here")
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Nothing: a test's output is its own."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.web = WebServer(f"http://127.0.0.1:{server.server_port}")
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.web
        server.shutdown()
        thread.join()


# ---- checks --------------------------------------------------------------------------------------


@pytest.fixture
def check_axe():
    """``check_axe(page)`` fails on findings of axe-core that are serious or critical."""
    axe = optional("axe_playwright_python.sync_playwright").Axe()

    def check(page, *, within=None):
        found = axe.run(page, context=within).response["violations"]
        grave = [
            f"{item['id']} ({item['impact']}): {item['help']}\n    "
            + "\n    ".join(
                f"{' '.join(map(str, node['target']))}: {node['html'][:160]} "
                + "; ".join(one["message"] for one in node["any"] + node["all"] + node["none"])
                for node in item["nodes"][:5]
            )
            for item in found
            if item["impact"] in {"serious", "critical"}
        ]
        assert not grave, "\n".join(grave)

    return check


@pytest.fixture
def script_clock(scripts):
    """``script_clock(page)``: a running clock of that page, as in `tools/studio_scripts/clock.py`:
    ``seconds()``, ``frames()``, ``seconds_per_frame()``, ``start()``.
    """
    return scripts.ScriptClock


# ---- runs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """``made_once(name, make)``: a folder that ``make(folder)`` makes once for all processes of the
    test session. It is looked at, never changed: copy it first.
    """
    filelock = optional("filelock")
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name, make):
        folder = base / "made-once" / name
        done = folder.with_suffix(".done")
        folder.parent.mkdir(exist_ok=True)
        with filelock.FileLock(folder.with_suffix(".lock")):
            if not done.exists():
                make(folder)  # where it stays: a run knows where its photographs lie
                done.touch()
        return folder

    return made


def run_primaps(*arguments):
    """Run a command of the package to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "primaps", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def primaps():
    """``primaps("segment", photographs, "--out", run)`` runs a command to its end."""
    return run_primaps


@pytest.fixture(scope="session")
def drawn_run(made_once, draw):
    """Folder with ``photos`` and ``run``, of 27 drawn photographs in 4 classes, two in a folder,
    with maps of certainty; none has a name yet.
    """

    def make(folder):
        (folder / "photos" / "more").mkdir(parents=True)
        for number in range(27):
            name = f"more/m{number}.jpg" if number > 24 else f"p{number:02}.jpg"
            picture = PIL.Image.fromarray(draw(number, 120, 160))
            picture.save(folder / "photos" / name, quality=90)
        options = ("--classes", 4, "--backbone", "texture", "--init", "proposals")
        run_primaps("segment", folder / "photos", "--out", folder / "run", "--certainty", *options)

    return made_once("drawn", make)


@pytest.fixture(scope="session")
def photographed_run(made_once):
    """Folder with ``photos`` and ``run``, of views of three real photographs, with the default
    backbone.
    """
    optional("skimage")
    from primaps.data.demo_views import SOURCES, write_views

    def make(folder):
        write_views(folder / "photos", SOURCES[:3])
        run_primaps("segment", folder / "photos", "--out", folder / "run", "--classes", 6)

    return made_once("photographed", make)


@pytest.fixture
def own_copy(tmp_path):
    """``own_copy(folder)``: a copy of a run that a test may change, and the photographs with it."""

    def copy(folder):
        shutil.copytree(folder, tmp_path / folder.name)
        return tmp_path / folder.name

    return copy


def free_port():
    """A port of the loopback address that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def start_studio(scripts):
    """``start_studio(run, port=0)``: a studio at work, as in `tools/studio_scripts/running.py`;
    ended with the test.
    """
    optional("starlette")
    optional("uvicorn")
    with contextlib.ExitStack() as stack:

        def start(run, *options, port=0):
            # the port that is preferred would be another test's once this studio is killed
            port = port or free_port()
            return stack.enter_context(scripts.running_studio(run, *options, port=port))

        yield start


@pytest.fixture
def sign_in(scripts):
    """``sign_in(studio)``: its HTTP API for one person, as in `tools/studio_scripts/client.py`."""
    with contextlib.ExitStack() as stack:

        def connect(studio):
            return stack.enter_context(contextlib.closing(scripts.StudioClient(studio.url)))

        yield connect


@pytest.fixture(scope="session")
def street_run(made_once, shared):
    """Folder with ``photos``, ``truth`` (label maps as in the data set) and ``run``, of 12 frames
    of CamVid in 8 classes.
    """
    frames = sorted((shared / "data" / "camvid" / "train").glob("*.jpg"))[::31][:12]

    def make(folder):
        for name in ("photos", "truth"):
            (folder / name).mkdir(parents=True)
        for frame in frames:
            shutil.copy(frame, folder / "photos")
            truth = frame.parent.with_name("trainannot") / f"{frame.stem}.png"
            shutil.copy(truth, folder / "truth")
        run_primaps("segment", folder / "photos", "--out", folder / "run", "--classes", 8)

    return made_once("street", make)
