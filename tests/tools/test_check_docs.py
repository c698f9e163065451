"""The check of the documentation's links, on small pages."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("check_docs", ROOT / "tools" / "check_docs.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "check_docs", module)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture
def repository(tmp_path):
    """A repository of two pages, an image and a tool."""
    for name in ("docs/images", "tools", "src/part"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "docs" / "images" / "a.png").write_bytes(b"")
    (tmp_path / "tools" / "make.py").write_text("")
    (tmp_path / "docs" / "other.md").write_text(
        "# Other\n\n## Two `words`, here\n\n## Twice\n\n## Twice\n"
    )
    return tmp_path


@pytest.fixture
def problems(tool, repository):
    """Problems of a README with this text, as (line, message)."""

    def check(text, page="README.md"):
        (repository / page).write_text(text, encoding="utf-8")
        return [(problem.line, problem.message) for problem in tool.check(repository)]

    return check


def test_the_pages_of_this_repository_are_right(tool):
    assert [str(problem) for problem in tool.check(ROOT)] == []


@pytest.mark.parametrize(
    "text",
    [
        "[a](docs/other.md)",
        "[a](docs/other.md#two-words-here) and [b](docs/other.md#twice-1)",
        "# Here\n\n[a](#here)",
        "[a\nwith two lines](docs/other.md 'a title')",
        "![a](docs/images/a.png)",
        "[![a](docs/images/a.png)](docs/other.md)",
        '<img src="docs/images/a.png" width="9">',
        "[a][other]\n\n[other]: docs/other.md#other",
        "[a](docs/) and [b](tools/make.py)",
        "[a](https://example.org/x_(y)#z) <https://example.org> <mailto:a@example.org>",
        '<a id="mark"></a>\n\n[a](#mark)',
        "python `tools/make.py`\n\n    python tools/make.py",
        "`[a](no.md)`\n\n```md\n[a](no.md)\n```\n\n    [a](no.md)\n",
        "<!-- [a](no.md) -->",
        "`docs/**/*.md`, `docs/<name>.md`, `other/docs/x.md`, `$HOME/tools/x.py`",
    ],
)
def test_nothing_to_say(problems, text):
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("\n[a](docs/no.md)", 2, "no file docs/no.md"),
        ("[a](docs/Other.md)", 1, "no file docs/Other.md"),
        ("[a](docs/other.md#three)", 1, "no heading docs/other.md#three"),
        ("[a](docs/other.md#twice-2)", 1, "no heading docs/other.md#twice-2"),
        ("[a](tools/make.py#L3)", 1, "no heading tools/make.py#L3"),
        ("[a](#nowhere)", 1, "no heading #nowhere"),
        ("```\n# no heading\n```\n[a](#no-heading)", 4, "no heading #no-heading"),
        ("![a](docs/images/b.png)", 1, "no file docs/images/b.png"),
        ("[![a](docs/images/b.png)](docs/other.md)", 1, "no file docs/images/b.png"),
        ('<img alt="b" src="docs/images/b.png">', 1, "no file docs/images/b.png"),
        ("[a][other]", 1, "no definition of [other]"),
        ("[a][other]\n\n[other]: no.md", 3, "no file no.md"),
        ("[a](../x.md)", 1, "../x.md leads out of the repository"),
        ("[a](/docs/other.md)", 1, "expected a relative path, got '/docs/other.md'"),
        ("[a]()", 1, "expected a relative path, got ''"),
        ("[a](https://exa mple)", 1, "no host: https://exa"),
        ("[a](https:///x)", 1, "no host: https:///x"),
        ("[a](ftp://example.org)", 1, "expected http, https or mailto, got ftp://example.org"),
        (
            "x\n\n    python tools/no.py --x",
            3,
            "the code names tools/no.py, which does not exist",
        ),
        (
            "```sh\npython benchmarks/no.py\n```",
            2,
            "the code names benchmarks/no.py, which does not exist",
        ),
        ("see `docs/no.md`", 1, "the code names docs/no.md, which does not exist"),
    ],
)
def test_what_is_wrong_and_where(problems, text, line, message):
    assert problems(text) == [(line, message)]


def test_links_start_at_their_page(problems):
    assert problems("[a](other.md) [b](../tools/make.py)", "docs/more.md") == []
    assert problems("[a](docs/other.md)", "docs/more.md") == [(1, "no file docs/docs/other.md")]


def test_pages_within_the_source_count(problems):
    assert problems("[a](no.md)", "src/part/README.md") == [(1, "no file src/part/no.md")]


def test_history_may_name_what_is_gone(problems):
    assert problems("`tools/gone.py`", "CHANGELOG.md") == []
    assert problems("[a](tools/gone.py)", "CHANGELOG.md") == [(1, "no file tools/gone.py")]


def test_code_below_a_list_is_prose_of_the_item(problems):
    assert problems("- item\n\n    [a](no.md)") == [(3, "no file no.md")]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("What comes out, measured", "what-comes-out-measured"),
        ("`mini` and `texture`", "mini-and-texture"),
        ("The *same* snake_case", "the-same-snake_case"),
        ("[Unreleased](x.md) - now", "unreleased---now"),
        ("Größe", "größe"),
    ],
)
def test_slugs(tool, heading, anchor):
    assert tool.slug(heading) == anchor


def test_the_command(tool, problems, repository, capsys):
    problems("[a](no.md)")
    assert tool.main([str(repository)]) == 1
    assert capsys.readouterr().out == "README.md:1: no file no.md\n2 pages, 1 problems\n"
    problems("fine")
    assert tool.main([str(repository)]) == 0
    assert tool.main([str(repository / "tools")]) == 2
    assert "expected README.md or docs/" in capsys.readouterr().err
