"""The rules of the viewer's JavaScript and styles: what may import what, that no text is ever taken
for HTML or code, and that nothing comes from elsewhere.
"""

import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[1] / "src" / "primaps" / "outputs" / "viewer" / "web"
MODULES = {path.relative_to(WEB).as_posix(): path for path in sorted(WEB.rglob("*.js"))}
STYLES = {path.relative_to(WEB).as_posix(): path for path in sorted(WEB.rglob("*.css"))}
FILES = MODULES | STYLES
LINES = 60
"""Of a function: it fits a screen."""
WIDTH = 100

TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|(?<![:"'`\\])//[^\n]*)"""
    r"""|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""",
    re.DOTALL,
)
"""Comments and strings; templates (in backquotes) are left as code, since they hold code."""
IMPORT = re.compile(
    r"""^\s*(?:import\b(?![(.])[^;"']*|export\s*(?:\*|\{[^}]*\})[^;"']*\bfrom\s*)["']([^"']+)["']"""
    r"""|\bimport\(\s*["'`]([^"'`]*)""",
    re.MULTILINE,
)
ADDRESS = re.compile(r"\b(?:https?|wss?|ftp):|[\"'`(]//\w")
SVG = "http://www.w3.org/2000/svg"
# what takes a text for HTML or for code
FORBIDDEN = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "setHTML",
    "createContextualFragment",
    "DOMParser",
    "srcdoc",
    r"document\.write",
    r"\beval\b",
    r"new\s+Function\b",
    r"(?<!\.)\bFunction\(",
    r"set(?:Timeout|Interval)\(\s*[\"'`]",
    r"setAttribute(?:NS)?\(\s*[\"'`](?:on|style\b)",  # the studio refuses such styles
    r"[\"'`\s]on\w+\s*=\s*\\?[\"'][^\"']",  # a handler inside of a text
    "javascript:",
)


def read(name):
    return FILES[name].read_text(encoding="utf-8")


def code(text):
    """A module without its comments; lines stay where they are."""

    def blank(found):
        return "\n" * found["comment"].count("\n") if found["comment"] else found[0]

    return TOKEN.sub(blank, text)


def imports(text):
    """Names that a module asks for when it runs."""
    return [first or second for first, second in IMPORT.findall(code(text))]


def reached(name, found=None):
    """A module and all that it imports, directly or not."""
    found = set() if found is None else found
    if name not in found:
        found.add(name)
        for wanted in imports(read(name)):
            reached(wanted.removeprefix("viewer/"), found)
    return found


def forbidden(text):
    """Patterns of `FORBIDDEN` that a module's code matches."""
    return [pattern for pattern in FORBIDDEN if re.search(pattern, code(text))]


def addresses(text):
    """Lines with an address of another place; the name space of SVG is none."""
    return [line for line in text.replace(SVG, "").splitlines() if ADDRESS.search(line)]


def long_functions(text):
    """First lines of functions and methods that are longer than a screen.

    They end at the first closing brace that stands as far to the right as they begin.
    """
    lines = code(text).splitlines()
    start = re.compile(
        r"^(\s*)(?!.*\b(?:if|for|while|switch|catch)\s*\()"
        r"(?:.*\bfunction\b.*|.*=>|(?:(?:static|async|get|set)\s+)*[*#]?[\w$]+\(.*\))\s*\{$"
    )
    found = []
    for first, line in enumerate(lines):
        if match := start.match(line):
            end = re.compile(re.escape(match[1]) + r"\}")
            last = next((at for at in range(first + 1, len(lines)) if end.match(lines[at])), first)
            if last - first + 1 > LINES:
                found.append(f"{last - first + 1} lines: {line.strip()}")
    return found


def undocumented(text):
    """Exported functions without a comment that ends on the line before."""
    lines = text.splitlines()
    return [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r"export (?:default )?(?:async )?function\b", line)
        and not before.rstrip().endswith("*/")
    ]


@pytest.mark.parametrize("name", MODULES)
def test_imports_are_of_the_viewer_and_exist(name):
    text = read(name)
    in_types = re.findall(r"""(?:import\(|from )["']([^"']+)["']""", text)
    for wanted in [*imports(text), *in_types]:
        assert wanted.startswith("viewer/"), f"{name} imports {wanted}"
        assert wanted.removeprefix("viewer/") in MODULES, f"{name} imports {wanted}: not there"


@pytest.mark.parametrize("name", MODULES)
def test_only_the_studio_imports_the_studio(name):
    if name == "studio.js" or name.startswith("studio/"):
        return
    assert not [wanted for wanted in reached(name) if wanted.startswith("studio")]


def test_imports_have_no_circles():
    done, under_way = set(), []

    def visit(name):
        assert name not in under_way, f"a circle: {' -> '.join([*under_way, name])}"
        if name not in done:
            under_way.append(name)
            for wanted in imports(read(name)):
                visit(wanted.removeprefix("viewer/"))
            done.add(under_way.pop())

    for name in MODULES:
        visit(name)


@pytest.mark.parametrize("name", MODULES)
def test_no_text_is_taken_for_html_or_code(name):
    assert forbidden(read(name)) == []


@pytest.mark.parametrize("name", FILES)
def test_nothing_comes_from_elsewhere(name):
    assert addresses(read(name)) == []


@pytest.mark.parametrize("name", STYLES)
def test_styles_load_nothing(name):
    assert "@import" not in read(name)
    assert re.findall(r"url\(\s*[\"']?(?!data:)[^)]*\)", read(name)) == []


@pytest.mark.parametrize("name", FILES)
def test_lines(name):
    lines = read(name).split("\n")
    assert lines[-1] == ""
    assert [
        line for line in lines if len(line) > WIDTH or "\t" in line or line != line.rstrip()
    ] == []


@pytest.mark.parametrize("name", MODULES)
def test_quotes_are_double(name):
    strings = [found["string"] or "" for found in TOKEN.finditer(read(name))]
    assert [text for text in strings if text.startswith("'") and '"' not in text] == []


@pytest.mark.parametrize("name", MODULES)
def test_functions_fit_a_screen(name):
    assert long_functions(read(name)) == []


@pytest.mark.parametrize("name", MODULES)
def test_what_is_exported_is_explained(name):
    assert undocumented(read(name)) == []


# ---- the rules see what they are for -------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "element.innerHTML = name;",
        'document.write("x");',
        "const f = new Function(text);",
        "eval(text);",
        'setTimeout("run()", 5);',
        'element.setAttribute("onclick", text);',
        """const text = "<b onclick='run()'>";""",
        "frame.srcdoc = text;",
    ],
)
def test_dangerous_code_is_seen(text):
    assert forbidden(text)


@pytest.mark.parametrize(
    "text",
    [
        "// innerHTML is never used",
        "/* eval,\n new Function */",
        'h("button", { onclick: () => run() }, name);',
        "const address = text; // see innerHTML",
        "setTimeout(() => run(), 5);",
    ],
)
def test_harmless_code_is_let_through(text):
    assert forbidden(text) == []


def test_imports_are_found():
    text = (
        '/** @import {A} from "viewer/types.js" */\nimport { a,\n  b } from "viewer/a.js";\n'
        'import "viewer/b.js";\nexport { c } from "viewer/c.js";\nawait import("viewer/d.js");\n'
        'const text = "from";\n'
    )
    assert imports(text) == ["viewer/a.js", "viewer/b.js", "viewer/c.js", "viewer/d.js"]


def test_addresses_are_seen():
    assert addresses('fetch("https://example.org");')
    assert addresses('fetch("//example.org/a");')
    assert addresses(f'const SVG = "{SVG}"; // a comment') == []


def test_long_functions_and_missing_comments_are_seen():
    body = "  work();\n" * LINES
    assert long_functions(f"export function a() {{\n{body}}}\n") == [
        "62 lines: export function a() {"
    ]
    assert long_functions(f"class A {{\n  run(x) {{\n{body}  }}\n}}\n") == ["62 lines: run(x) {"]
    assert long_functions(f"class A {{\n{body}}}\n") == []
    assert undocumented("/** Says. */\nexport function a() {}\nexport async function b() {}\n") == [
        "export async function b() {}"
    ]
