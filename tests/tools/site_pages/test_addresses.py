"""Links out of the documentation become addresses of the project."""

import pytest


@pytest.fixture
def root(tmp_path):
    """A repository with a module, a folder and a page."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").touch()
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n[project.urls]\nSource = "https://host.example/x/"\n'
    )
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](../../src/a.py)", "[a](https://host.example/x/blob/main/src/a.py)"),
        ("[a](../../src/a.py#L3)", "[a](https://host.example/x/blob/main/src/a.py#L3)"),
        ("[all](../../src)", "[all](https://host.example/x/tree/main/src)"),
        ("![p](../../p.png)", "![p](https://host.example/x/blob/main/p.png)"),
        ("[page](../log.md#one) [here](#two)", "[page](../log.md#one) [here](#two)"),
        ("[out](https://other.example/src/a.py)", "[out](https://other.example/src/a.py)"),
        ("`[a](../../src/a.py)`", "`[a](../../src/a.py)`"),
        ("```text\n[a](../../src/a.py)\n```", "```text\n[a](../../src/a.py)\n```"),
        (
            "[a](../../src/a.py) and [b](../../src)",
            (
                "[a](https://host.example/x/blob/main/src/a.py) and"
                " [b](https://host.example/x/tree/main/src)"
            ),
        ),
    ],
)
def test_links(site_pages, root, text, expected):
    assert site_pages("addresses").with_addresses(text, "how-to/page.md", root) == expected
