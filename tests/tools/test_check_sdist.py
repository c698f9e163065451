"""The check of a source distribution, on archives of a few files."""

import importlib.util
import io
import sys
import tarfile
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
FILES = {
    "src/primaps/__init__.py": b"",
    "src/primaps/py.typed": b"",
    ".gitignore": b"dist\n",
    "CHANGELOG.md": b"# Changelog\n",
    "CITATION.cff": b"title: primaps\n",
    "LICENSE": b"Apache\n",
    "README.md": b"# primaps\n",
    "pyproject.toml": b"[project]\n",
    "tools/readme_hook.py": b"",
}
MADE = {"PKG-INFO": b"Name: primaps\n"}


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location("check_sdist", TOOLS / "check_sdist.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("check_wheel", None)


@pytest.fixture
def check(tool, tmp_path, monkeypatch):
    """The command on an archive with these files, beside a checkout of the usual ones."""
    for name, content in FILES.items():
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.setattr(tool, "ROOT", tmp_path / "checkout")

    def run(files, change=lambda member: None):
        path = tmp_path / "primaps-1.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(f"primaps-1/{name}")
                member.size = len(content)
                change(member)
                archive.addfile(member, io.BytesIO(content))
        return tool.main([str(path)])

    return run


def test_a_whole_archive_is_right(check, capsys):
    assert check(FILES | MADE) == 0
    assert capsys.readouterr().out.endswith("10 files, 0 problems\n")


@pytest.mark.parametrize("name", [*FILES, "PKG-INFO"])
def test_a_missing_file_is_named(check, capsys, name):
    files = FILES | MADE
    del files[name]
    assert check(files) == 1
    assert f"missing: {name}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"docs/images/a.jpg": b""}, "not expected: docs/images/a.jpg"),
        ({"src/primaps/a.png": b""}, "not expected: src/primaps/a.png"),
        ({"tests/test_a.py": b""}, "not expected: tests/test_a.py"),
        ({"README.md": b"other"}, "differs from the checkout: README.md"),
        ({"src/primaps/old.py": b""}, "differs from the checkout: src/primaps/old.py"),
        ({"../a": b""}, "no plain file below primaps-VERSION: primaps-1/../a"),
    ],
)
def test_what_does_not_belong_is_named(check, capsys, files, message):
    assert check(FILES | MADE | files) == 1
    assert f"{message}\n" in capsys.readouterr().out


def test_who_built_it_and_when_is_not_told(check, capsys):
    def owned(member):
        member.uname, member.mtime = "somebody", len(member.name)

    assert check(FILES | MADE, owned) == 1
    said = capsys.readouterr().out
    assert "tells who built it: LICENSE\n" in said
    assert "not reproducible: its files have several dates\n" in said


def test_links_are_no_files(check, capsys):
    def link(member):
        if member.name.endswith("LICENSE"):
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            member.size = 0

    assert check(FILES | MADE, link) == 1
    assert "no plain file below primaps-VERSION: primaps-1/LICENSE\n" in capsys.readouterr().out


def test_one_archive_is_asked_for(tool, capsys):
    assert tool.main([]) == 2
    assert "Expected one archive, got 0" in capsys.readouterr().err
