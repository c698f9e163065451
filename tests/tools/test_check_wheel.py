"""The check of a wheel, on wheels of a few files."""

import importlib.util
import zipfile
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "check_wheel.py"
PACKAGE = {
    "primaps/__init__.py": b"",
    "primaps/py.typed": b"",
    "primaps/features/mini/mini.safetensors": b"weights",
    "primaps/protocol/published_rows/a.toml": b"",
    "primaps/outputs/viewer/web/report.js": b"",
    "primaps/outputs/viewer/web/style.css": b"",
    "primaps/outputs/viewer/web/studio/api.js": b"",
}
METADATA = {
    "primaps-1.dist-info/licenses/LICENSE": b"Apache",
    "primaps-1.dist-info/entry_points.txt": b"[console_scripts]\nprimaps = primaps.cli:main\n",
}


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("check_wheel", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def check(tool, tmp_path, monkeypatch):
    """The command on a wheel with these files, beside a source tree with those of the package."""
    for name, content in PACKAGE.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.setattr(tool, "SOURCE", tmp_path / "src")

    def run(files):
        path = tmp_path / "primaps-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            for name, content in files.items():
                wheel.writestr(name, content)
        return tool.main([str(path)])

    return run


def test_a_whole_wheel_is_right(check, capsys):
    assert check(PACKAGE | METADATA) == 0
    assert capsys.readouterr().out.endswith("9 files, 0 problems\n")


def test_compiled_files_are_not_asked_for(check, tmp_path):
    (tmp_path / "src" / "primaps" / "__pycache__").mkdir()
    (tmp_path / "src" / "primaps" / "__pycache__" / "a.pyc").write_bytes(b"")
    assert check(PACKAGE | METADATA) == 0


@pytest.mark.parametrize("name", sorted(PACKAGE))
def test_a_missing_file_is_named(check, capsys, name):
    files = PACKAGE | METADATA
    del files[name]
    assert check(files) == 1
    assert f"missing: {name}\n" in capsys.readouterr().out


def test_data_that_neither_wheel_nor_source_has_is_named(check, capsys, tmp_path):
    (tmp_path / "src" / "primaps" / "py.typed").unlink()
    assert check({name: PACKAGE[name] for name in PACKAGE if name != "primaps/py.typed"}) == 1
    assert "no file like primaps/py.typed\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tests/test_a.py": b""}, "not of the package: tests/test_a.py"),
        ({"primaps/__init__.py": b"other"}, "differs: primaps/__init__.py"),
        ({"primaps-1.dist-info/entry_points.txt": b""}, "missing: the command primaps"),
    ],
)
def test_what_does_not_belong_is_named(check, capsys, change, message):
    assert check(PACKAGE | METADATA | change) == 1
    assert f"{message}\n" in capsys.readouterr().out


def test_a_wheel_without_a_licence(check, capsys):
    assert (
        check(PACKAGE | {name: METADATA[name] for name in METADATA if "LICENSE" not in name}) == 1
    )
    assert "missing: the licence\n" in capsys.readouterr().out


def test_one_wheel_is_asked_for(tool, capsys):
    assert tool.main([]) == 2
    assert "Expected one wheel, got 0" in capsys.readouterr().err
