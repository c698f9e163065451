"""Wheel and source distribution of this checkout: what they hold, and that they are the same again.

They are built by the backend that `make dist` calls, without an environment of its own.
"""

import email
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="hatchling is not installed here")

from primaps.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WHEEL = f"primaps-{__version__}-py3-none-any.whl"
SDIST = f"primaps-{__version__}.tar.gz"


def build(source, out, kind):
    out.mkdir(exist_ok=True)
    code = f"import sys, hatchling.build as b; b.build_{kind}(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, str(out)],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with both, built from the checkout; and one with the wheel built from the sdist."""
    folder = tmp_path_factory.mktemp("distribution")
    build(ROOT, folder / "direct", "sdist")
    build(ROOT, folder / "direct", "wheel")
    with tarfile.open(folder / "direct" / SDIST) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    build(folder / "unpacked" / SDIST.removesuffix(".tar.gz"), folder / "from-sdist", "wheel")
    return folder


@pytest.fixture(scope="module")
def metadata(built):
    with zipfile.ZipFile(built / "direct" / WHEEL) as wheel:
        text = wheel.read(f"primaps-{__version__}.dist-info/METADATA").decode()
    return email.message_from_string(text)


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built / "direct" / WHEEL) as wheel:
        assert tool("check_wheel").problems(wheel, ROOT / "src") == []
        assert sum(each.file_size for each in wheel.infolist()) < 10e6


def test_the_sdist_holds_what_the_wheel_is_built_from(built, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    with tarfile.open(built / "direct" / SDIST) as archive:
        assert tool("check_sdist").problems(archive, ROOT) == []
    sys.modules.pop("check_wheel", None)


def test_the_sdist_without_git_gives_the_same_wheel_byte_for_byte(built):
    digests = {
        hashlib.sha256((built / folder / WHEEL).read_bytes()).hexdigest()
        for folder in ("direct", "from-sdist")
    }
    assert len(digests) == 1


def test_the_same_sdist_comes_out_again(built, tmp_path):
    unpacked = built / "unpacked" / SDIST.removesuffix(".tar.gz")
    build(unpacked, tmp_path / "again", "sdist")
    listed = []
    for path in (built / "direct" / SDIST, tmp_path / "again" / SDIST):
        with tarfile.open(path) as archive:
            listed.append([(each.name, each.size, each.mtime, each.mode) for each in archive])
    assert listed[0] == listed[1]


def test_the_metadata_say_what_the_project_says(metadata):
    assert metadata["Name"] == "primaps"
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == PROJECT["license"]
    urls = dict(each.split(", ", 1) for each in metadata.get_all("Project-URL"))
    assert urls == PROJECT["urls"]


def test_links_and_picture_of_the_readme_work_away_from_the_repository(metadata):
    text = metadata.get_payload()
    assert metadata["Description-Content-Type"] == "text/markdown"
    targets = re.findall(r"\]\(([^)\s]+)", text)
    assert targets
    assert all(re.match(r"https?://|#|mailto:", target) for target in targets)
    source = PROJECT["urls"]["Source"]
    below = re.compile(rf"{re.escape(source)}/(?:blob|raw)/v{re.escape(__version__)}/([^#]*)")
    ours = [match[1] for target in targets if (match := below.match(target))]
    assert ours
    assert all((ROOT / path).exists() for path in ours)


def test_the_index_can_show_the_page(built):
    twine = pytest.importorskip("twine.commands.check", reason="twine is not installed here")
    files = [str(built / "direct" / name) for name in (WHEEL, SDIST)]
    assert twine.check(files, strict=True) is False
