"""Every block of README, CONTRIBUTING and docs that a reader may copy is carried out, or parsed and
says why it is not run.
"""

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from snippets import exceptions, known_forms, pages, parsing, python_blocks, running  # noqa: E402

sys.path.remove(str(ROOT / "tools"))

BLOCKS = {page: pages.blocks_of(page) for page in pages.page_paths()}
ALL = [block for blocks in BLOCKS.values() for block in blocks]
EXECUTED = {
    page: found
    for page, blocks in BLOCKS.items()
    if (found := [block for block in blocks if block.language in pages.EXECUTED])
}
LINES = {
    running.bare(line)
    for block in ALL
    if block.language in pages.SHELL and block.reason is None
    for line in block.text.splitlines()
}
forked = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("bash") is None,
    reason="commands are forked from a warm process, by bash",
)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    pytest.importorskip("skimage", reason="scikit-image is not installed (extra `demo`)")
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra `demo`)")
    sys.path.insert(0, str(ROOT / "tools"))
    from snippets.reader import Reader

    with Reader(tmp_path_factory.mktemp("s")).at_work() as at_work:
        yield at_work
    sys.path.remove(str(ROOT / "tools"))


def block(text, language="sh", reason=None, output=None):
    return pages.Block("page.md", 1, language, text, reason, output)


def problems(reader, *blocks):
    return [each.problem for each in running.run_blocks(blocks, reader)]


@pytest.mark.slow
@forked
@pytest.mark.parametrize("page", EXECUTED)
def test_every_block_of_a_page(page, reader):
    outcomes = list(running.run_page(page, reader))
    wrong = [each.problem for each in outcomes if each.problem is not None]
    assert not wrong, "\n\n".join(wrong)
    assert [each.block for each in outcomes] == EXECUTED[page]
    for each in outcomes:
        if each.block.reason is not None:
            assert each.how == "parsed"
            assert each.ran == 0


def test_there_are_many_and_most_run():
    found = [each for blocks in EXECUTED.values() for each in blocks]
    nowhere = [each for each in found if each.reason is not None and "tests/" not in each.reason]
    assert len(found) > 60
    assert len(nowhere) < 0.3 * len(found)


def test_no_block_is_passed_over_for_its_language():
    known = pages.EXECUTED | pages.SHOWN
    assert [each.place for each in ALL if each.language not in known] == []


def test_every_reason_is_one_of_few():
    marked = [each for each in ALL if each.reason is not None]
    assert [pages.reason_problem(each) for each in marked if pages.reason_problem(each)] == []
    for line, reason in exceptions.NOT_RUN_LINES.items():
        assert pages.reason_problem(block(line, reason=reason)) is None


@pytest.mark.parametrize("listed", ["NOT_RUN_LINES", "EXIT_CODES", "BY_HAND"])
def test_every_line_of_a_list_is_on_a_page(listed):
    assert getattr(exceptions, listed).keys() <= LINES


def test_what_stands_around_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "p.md").write_text(
        "# P\n<!-- not run: network -->\n```sh\nprimaps list\n```\n\n```text\nNames\n```\n"
        "- item\n\n  ```python\n  x = 1\n  ```\n",
        encoding="utf-8",
    )
    shell, text, python = pages.blocks_of("p.md")
    assert (shell.reason, shell.output, shell.line) == ("network", "Names", 3)
    assert (text.language, python.text, python.reason) == ("text", "x = 1", None)
    assert pages.commands_of_console("me$ primaps list\nName\n$ ls") == "primaps list\nls"


def test_reasons_that_are_none():
    assert "expected a reason" in pages.reason_problem(block("", reason="because"))
    assert "there is no tests/x.py" in pages.reason_problem(block("", reason="tests/x.py"))


@pytest.mark.parametrize(
    "line", ["segmnt photos", "segment photos --outt run", "fit run --classes", "head hp fti"]
)
def test_commands_that_do_not_exist_are_told(line):
    with pytest.raises(parsing.UnknownCommandError):
        parsing.parse_command(line.split())


@pytest.mark.parametrize(
    "line",
    [
        "make nonsense",
        "make test-one T=tests/nothing.py",
        "pip install primaps[nothing]",
        "git rebase",
        "docker frobnicate",
        "torchrun -m primaps fit run --nothing",
        "python -c x",
    ],
)
def test_forms_that_are_not_known_are_told(line):
    program, *words = line.split()
    with pytest.raises(parsing.UnknownCommandError):
        known_forms.check(program, words)


def test_forms_that_are_known():
    for line in ("make test", "pip install -e .[studio]", "python -m pip install primaps[onnx]"):
        program, *words = line.split()
        known_forms.check(program, words)


def test_code_that_is_not_run_is_looked_at():
    python_blocks.look_at("import primaps as pm\npm.Segmenter.load('x')", "p")
    with pytest.raises(AttributeError):
        python_blocks.look_at("import primaps as pm\npm.nothing()", "p")
    with pytest.raises(SyntaxError):
        python_blocks.look_at("def", "p")


@pytest.mark.slow
@forked
def test_what_is_wrong_in_a_block_is_told(reader):
    wrong = [
        block("primaps segment nowhere --out new"),
        block("primaps classes run --nme 3=road", reason="hours"),
        block("for each in 1 2; do primaps list; done | frobnicate"),
        block("primaps classes nowhere | cat"),
        block("primaps list", output="Nonsense of old"),
        block("import primaps\nprimaps.nothing", "python"),
        block("claases: 3\nseed: 1\nsize: 64", "yaml"),
        block("{1", "json"),
    ]
    assert None not in problems(reader, *wrong)


@pytest.mark.slow
@forked
def test_a_page_is_one_session(reader):
    right = [
        block("name=new\ncd photos"),
        block('primaps list > list.txt && test -s list.txt && test "$name" = new'),
        block("cd ..\nprimaps classes run --name 3=road | grep road"),
        block("found = 3", "python"),
        block("assert found == 3", "python"),
        block("primaps segment ~/more --out run --classes 2\nprimaps report run"),
        block("classes: 3\nfit:\n  momentum: 0.9", "yaml"),
    ]
    assert problems(reader, *right) == [None] * len(right)
    assert problems(reader, block('test -z "$name" && test ! -e photos/list.txt')) == [None]
