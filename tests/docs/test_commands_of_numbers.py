"""The scripts that measured a number exist and take the options that the page gives them.

Blocks that can be run are run elsewhere; here it is about commands anywhere in the text: beside a
number, below a table, in an indented block. Scripts are not run but read.
"""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORDS = {"docs/log.md", "docs/examples/index.md"}  # former commands; sources of the examples
PAGES = sorted(
    page
    for page in ["README.md", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))]
    if page not in RECORDS
)
COMMAND = re.compile(r"python\s+((?:tools|benchmarks)/\w+\.py)([^`]*)")


def commands(text):
    """(script, its words) of every command in a page, spans of several lines and blocks alike."""
    indented = "\n".join(
        f"`{line.strip()}`" if re.match(r" {4}|python |\$", line) else line
        for line in text.replace("\\\n", " ").splitlines()
    )
    for script, rest in COMMAND.findall(indented):
        yield script, shlex.split(re.split(r"[\"');]| \| | && ", rest)[0], comments=True)


@cache
def strings(script):
    """All texts in a script and in the modules beside it that it imports, with theirs."""
    folder, found, waiting, seen = (ROOT / script).parent, set(), [ROOT / script], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            if isinstance(node, ast.ImportFrom | ast.Import):
                names = [getattr(node, "module", None) or "", *(each.name for each in node.names)]
                near = [folder / f"{name.replace('.', '/')}.py" for name in names if name]
                waiting += [each for each in near if each.is_file()]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_scripts_take_the_options_that_pages_name(page):
    for script, words in commands((ROOT / page).read_text("utf-8")):
        assert (ROOT / script).is_file(), f"{page}: there is no {script}"
        for word in words:
            option = word.partition("=")[0]
            if option.startswith("--"):
                assert option in strings(script) | {"--help"}, f"{page}: {script} has no {option}"
        if re.search(r"add_subparsers|\.add_parser\(", (ROOT / script).read_text("utf-8")):
            for command in words[0].split("|") if words and words[0][:1] != "-" else ():
                assert command in strings(script), f"{page}: {script} has no {command}"


def test_commands_are_found_wherever_they_stand():
    text = (
        "as `python tools/a.py --one 1\n--two 2`, says (`python benchmarks/b.py`)\n\n"
        "    python tools/c.py go|no --three $A && python x     # --four\n\n"
        'row="python tools/d.py --five N"\n'
    )
    assert list(commands(text)) == [
        ("tools/a.py", ["--one", "1", "--two", "2"]),
        ("benchmarks/b.py", []),
        ("tools/c.py", ["go|no", "--three", "$A"]),
        ("tools/d.py", ["--five", "N"]),
    ]


def test_most_pages_of_numbers_name_a_script():
    naming = {page for page in PAGES if list(commands((ROOT / page).read_text("utf-8")))}
    assert {f"docs/{name}.md" for name in ("classes", "mini", "scale", "reliability")} <= naming
