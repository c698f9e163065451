"""The documentation as a site: built strictly, at home on a disk, every page with its place."""

import base64
import os
import posixpath
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import primaps
from primaps.outputs.viewer.page import _ICON

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
DOCUMENTS = re.compile(r"^\*Documents: (\[`[^`]+`\]\([^)]+\)(?:, \[`[^`]+`\]\([^)]+\))*)\*$")

pytestmark = pytest.mark.slow


@dataclass
class Drawn(HTMLParser):
    """What a page of the site refers to.

    Attributes:
        loads: addresses of what a browser loads with the page.
        links: what a person can click at a glance: the tabs and the text.
        ids: anchors.
    """

    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if tag in {"script", "img", "source", "iframe"} and "src" in given:
            self.loads.append(given["src"])
        if tag == "link":
            self.loads.append(given["href"])
        if tag == "a" and any(self.open):
            self.links.append(given.get("href", ""))
        if tag not in VOID:
            seen = tag == "article" or "md-tabs" in given.get("class", "").split()
            self.open.append(seen)

    def handle_endtag(self, tag):
        if tag not in VOID and self.open:
            self.open.pop()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the built site."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (extra `test`)")
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return out


@pytest.fixture(scope="module")
def drawn(site):
    """All pages of the site by their place in it."""
    pages = {}
    for path in site.rglob("*.html"):
        pages[path.relative_to(site).as_posix()] = page = Drawn()
        page.feed(path.read_text(encoding="utf-8"))
    return pages


def test_every_page_of_the_documentation_is_drawn(drawn):
    assert {page.removesuffix(".md") + ".html" for page in PAGES} <= drawn.keys()


def test_nothing_is_loaded_from_elsewhere(site, drawn):
    for name, page in drawn.items():
        foreign = [each for each in page.loads if urlsplit(each).netloc]
        assert not foreign, name
        for each in page.loads if name != "404.html" else ():
            assert (site / name).parent.joinpath(unquote(urlsplit(each).path)).exists(), each
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)[\s'\"]*(https?:)?//", path.read_text("utf-8")), path


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_what_it_documents(page):
    if re.fullmatch(r"decisions/\d.*", page):  # their index says it for all
        return
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    said = DOCUMENTS.match(lines[2])
    assert said, f"{page}: expected a line *Documents: [`primaps.xyz`](path)* below the title"
    for link in re.findall(r"\]\(([^)]+)\)", said[1]):
        path = ((DOCS / page).parent / link).resolve()
        assert path.exists(), link
        assert not path.is_relative_to(DOCS)


def clicks(drawn, target):
    """How many clicks lead from the first page to a page."""
    reached, front, steps = {"index.html"}, {"index.html"}, 0
    while target not in reached:
        steps += 1
        front = {
            posixpath.normpath(posixpath.join(posixpath.dirname(name), urlsplit(link).path))
            for name in front
            for link in drawn[name].links
            if not urlsplit(link).scheme and urlsplit(link).path
        }
        front = front & drawn.keys() - reached
        assert front, f"no way to {target}"
        reached |= front
    return steps


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("how-to/name-classes.html", "primaps classes run"),
        ("how-to/export.html", "yolo"),
        ("how-to/add-a-backbone.html", "register_backbone"),
        ("understand/differs-from-the-paper.html", "fast"),
        ("reference/settings.html", "fast"),
    ],
)
def test_what_people_look_for_is_three_clicks_away(site, drawn, page, words):
    assert clicks(drawn, page) <= 3
    assert words in re.sub(r"<[^>]+>", "", (site / page).read_text(encoding="utf-8"))


def test_lists_and_tables_are_drawn_as_such(site):
    """The site wants a blank line before a list in places where others do not."""
    for path in site.rglob("*.html"):
        text = re.search(r"<article.*</article>|$", path.read_text(encoding="utf-8"), re.DOTALL)[0]
        text = re.sub(r"<(pre|code)\b.*?</\1>", "CODE", text, flags=re.DOTALL)
        for part in re.findall(r"<(?:p|li|td)>(.*?)</(?:p|li|td)>", text, re.DOTALL):
            plain = re.sub(r"<[^>]+>", "", part)
            assert not re.search(r"\n\s*([-*]|\d+\.) |^\|.*\||\]\(|```", plain, re.MULTILINE), (
                path,
                plain,
            )


def test_the_mark_is_that_of_the_viewer():
    assert (DOCS / "assets" / "mark.svg").read_bytes().strip() == base64.b64decode(_ICON)


def test_every_public_name_is_in_the_reference(drawn):
    known = set().union(*(page.ids for name, page in drawn.items() if "/api/" in name))
    for name in primaps.__all__:
        home = primaps._HOMES[name]
        assert f"primaps.{home}.{name}" in known or name == "IGNORE_INDEX", name


def test_parts_made_from_the_code_are_in_their_pages(site):
    for page, words in {
        "command-line": ("primaps head stego fit", "--max-failures"),
        "settings": ("proposals.crf", "bilateral_srgb", "--min-area"),
        "exit-codes": ("130", "interrupted, resumable"),
    }.items():
        text = (site / "reference" / f"{page}.html").read_text(encoding="utf-8")
        assert "made from the code:" not in text
        for each in words:
            assert each in text, each
