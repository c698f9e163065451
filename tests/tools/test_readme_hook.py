"""The README as the package index shows it."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="hatchling is not installed here")

ROOT = Path(__file__).parents[2]
SOURCE = "https://example.org/o/primaps"


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("readme_hook", ROOT / "tools" / "readme_hook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[a](docs/a.md)", f"[a]({SOURCE}/blob/v1.2.3/docs/a.md)"),
        ("[a](./docs/a.md#x)", f"[a]({SOURCE}/blob/v1.2.3/docs/a.md#x)"),
        ("![a](docs/a.png)", f"![a]({SOURCE}/raw/v1.2.3/docs/a.png)"),
        (
            "[![a](docs/a.JPG)](docs/a.md)",
            f"[![a]({SOURCE}/raw/v1.2.3/docs/a.JPG)]({SOURCE}/blob/v1.2.3/docs/a.md)",
        ),
        ("[`a`\nb](c.md)", f"[`a`\nb]({SOURCE}/blob/v1.2.3/c.md)"),
        ("[a]: docs/a.md", f"[a]: {SOURCE}/blob/v1.2.3/docs/a.md"),
        ('<img src="docs/a.png">', f'<img src="{SOURCE}/raw/v1.2.3/docs/a.png">'),
    ],
)
def test_relative_links_become_addresses_of_the_tag(hook, text, shown):
    assert hook.absolute(text, SOURCE, "1.2.3") == shown


@pytest.mark.parametrize(
    "text",
    [
        "[a](https://example.org/a.md)",
        "[a](mailto:a@example.org)",
        "[a](#heading)",
        "`[a](docs/a.md)`",
        "```sh\n[a](docs/a.md)\n```\n",
        "a ``[b](`c`.md)`` d",
    ],
)
def test_all_else_stays(hook, text):
    assert hook.absolute(text, SOURCE, "1.2.3") == text


def test_the_metadata_get_the_text_with_the_address_of_the_project(hook, tmp_path):
    (tmp_path / "README.md").write_text("[ä](b.md)\n", encoding="utf-8")
    metadata = {"urls": {"Source": SOURCE}, "version": "0.9.0"}
    hook.CustomMetadataHook(str(tmp_path), {}).update(metadata)
    assert metadata["readme"] == {
        "content-type": "text/markdown",
        "text": f"[ä]({SOURCE}/blob/v0.9.0/b.md)\n",
    }
