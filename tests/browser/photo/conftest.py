"""Pages with parts of the viewer over `fake_source.js`."""

from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("fake_source.js")
HEAD = (
    '<link rel="stylesheet" href="/web/photo.css">'
    "<style>body { font: 15px sans-serif; margin: 8px; }</style>"
)
ALL = 'import * as fake from "/fake_source.js";\nObject.assign(globalThis, fake);\n'


@pytest.fixture
def fake_page(new_page, web_server):
    """``fake_page(script, **options)``: a page, all of `fake_source.js` within its reach, whose
    script is through.
    """

    def open_page(script="", **options):
        source = SOURCE.read_text(encoding="utf-8")
        web_server.put("/fake_source.js", source, "text/javascript")
        script = f"{ALL}{script}\ndocument.title = 'ready';"
        page = new_page(web_server.page(script=script, head=HEAD), **options)
        page.wait_for_function("document.title === 'ready'")
        return page

    return open_page


@pytest.fixture
def module(fake_page):
    """``module(name)``: a page in which a module of the viewer is `m`."""

    def open_module(name):
        return fake_page(f'globalThis.m = await import("viewer/{name}");')

    return open_module


@pytest.fixture
def photo_page(fake_page):
    """``photo_page(**options of the source)``: a page with the first photograph; `view`, `model`,
    `source`, `frame`, `events` within its reach.
    """

    def open_photo(*, phone=False, dark=False, scale=1, **source):
        words = ", ".join(f"{key}: {value!r}" for key, value in source.items())
        return fake_page(
            f"await showPhoto({{ {words} }});", phone=phone, dark=dark, device_scale_factor=scale
        )

    return open_photo
