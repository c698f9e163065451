"""The command that serves."""

import importlib.util
import subprocess
import sys

import pytest


def test_its_help_tells_where_it_listens(run):
    result = run("studio", "--help")
    assert result.exit_code == 0
    for option in ("--host", "--port", "--no-browser"):
        assert option in result.stdout


def test_without_its_extra_it_says_what_to_install(run, text, monkeypatch, tmp_path):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "primaps.cli.studio.importlib.util.find_spec",
        lambda name: None if name in {"starlette", "uvicorn"} else real(name),
    )
    result = run("studio", tmp_path)
    assert result.exit_code == 2
    assert "starlette, uvicorn" in text(result)
    assert "pip install 'primaps[studio]'" in text(result)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ((), "has neither run.json nor model.json"),
        (("model.json",), "is that of a model"),
    ],
)
def test_a_folder_without_label_maps_is_refused(run, text, tmp_path, files, words):
    pytest.importorskip("starlette", reason="the extra studio is not installed")
    for name in files:
        (tmp_path / name).write_text("{}")
    result = run("studio", tmp_path, "--no-browser")
    assert result.exit_code == 2, text(result)
    assert words in text(result)


def test_a_folder_that_is_not_there_is_told(run, text, tmp_path):
    pytest.importorskip("starlette", reason="the extra studio is not installed")
    result = run("studio", tmp_path / "nowhere", "--no-browser")
    assert result.exit_code == 2
    assert "but it does not exist" in text(result)


def test_the_model_within_a_run_leads_to_the_run(run, text, tmp_path):
    pytest.importorskip("starlette", reason="the extra studio is not installed")
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text('{"format": 1}')
    (tmp_path / "run" / "model" / "model.json").write_text("{}")
    result = run("studio", tmp_path / "run" / "model", "--no-browser")
    assert result.exit_code == 2
    assert f"primaps studio {tmp_path / 'run'}" in text(result)


def test_the_command_line_loads_no_server():
    code = "import sys; import primaps.cli; print({'starlette', 'uvicorn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
