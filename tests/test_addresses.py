"""The project's address stands in `pyproject.toml`; other files that show it show the same."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
# any repository called primaps; the official code of the paper has another owner
OURS = re.compile(r"https?://(?!example\.)[\w.-]+/([\w.-]+)/primaps\b(?!\.)")
OFFICIAL = "visinf"
HOSTS = (
    ("pypi", "org"),
    ("pypi", "python", "org"),
    ("pythonhosted", "org"),
    ("download", "pytorch", "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("deb", "debian", "org"),
    ("docker", "io"),
    ("quay", "io"),
    ("ghcr", "io"),
)
REGISTRIES = re.compile("|".join(rf"\b{r'[.]'.join(parts)}\b" for parts in HOSTS), re.IGNORECASE)


def pages():
    """Files of the repository that are text, with their content."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no checkout of git")
    for name in sorted(filter(None, listed.stdout.decode().split("\0"))):
        path = ROOT / name
        if path.is_file() and path.suffix not in {".png", ".jpg", ".safetensors", ".ipynb"}:
            yield name, path.read_text(encoding="utf-8")


def test_the_urls_are_all_of_one_address():
    source = URLS["Source"]
    assert set(URLS) == {"Source", "Documentation", "Changelog", "Issues"}
    assert re.fullmatch(r"https://[\w.-]+/[\w.-]+/primaps", source)
    for name in ("Changelog", "Issues"):
        assert URLS[name].startswith(f"{source}/"), name


def test_every_file_shows_the_same_address():
    seen = set()
    for name, text in pages():
        for match in OURS.finditer(text):
            if match[1] != OFFICIAL:
                assert match[0] == URLS["Source"], name
                seen.add(name)
    assert seen >= {"pyproject.toml", "CITATION.cff", "SECURITY.md"}


def test_no_file_names_the_host_of_a_package_registry():
    for name, text in pages():
        if name != "tests/test_addresses.py":
            found = REGISTRIES.search(text)
            assert found is None, f"{name}: {found[0]}"
