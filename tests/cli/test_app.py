import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import shellingham
import typer
from typer.testing import CliRunner

from primaps.cli import app
from primaps.config import PRESET_NOTES


def test_help_lists_the_commands(run):
    result = run("--help")
    assert result.exit_code == 0
    commands = (
        "segment",
        "proposals",
        "fit",
        "predict",
        "classes",
        "evaluate",
        "check",
        "report",
        "benchmark",
        "demo",
        "list",
        "doctor",
    )
    for command in commands:
        assert command in result.stdout


def commands_of(group, path=()):
    """All commands, those of groups within groups too, with the words that call them."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, (*path, name))
        else:
            yield (*path, name), command


def test_help_swallows_no_default():
    """What stands in square brackets is taken for markup and does not show."""
    swallowed = re.compile(r"\[[a-z#/@][^\]]*\]")
    seen, written = 0, []
    for path, command in commands_of(typer.main.get_command(app)):
        texts = [
            command.help or "",
            *(getattr(parameter, "help", None) or "" for parameter in command.params),
        ]
        assert not [line for line in texts if swallowed.search(line)], path
        written += [
            (path, default) for line in texts for default in re.findall(r"\(default: [^)]*\)", line)
        ]
        seen += 1
    assert seen >= 14
    for path in (("fit",), ("head", "import")):
        shown = "".join(
            CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200"}).stdout.split()
        )
        for _, default in (entry for entry in written if entry[0] == path):
            assert "".join(default.split()) in shown
    assert {path for path, _ in written} >= {
        ("fit",),
        ("head", "import"),
        ("segment",),
        ("head", "stego", "fit"),
    }


def test_version(run):
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.strip()[0].isdigit()


def test_module_and_script_start_without_torch(run):
    code = "import sys, primaps.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


ALL = dict(commands_of(typer.main.get_command(app)))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_help_page_has_two_examples_that_parse(path):
    shown = CliRunner().invoke(app, [*path, "-h"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    examples = [line.strip() for line in shown.stdout.split("Examples:")[1].splitlines()]
    examples = [line for line in examples if line.startswith("primaps ")]
    assert len(examples) >= 2
    for example in examples:
        words = shlex.split(re.split(r" [|>] ", example)[0])[1:]
        assert tuple(words[: len(path)]) == path
        ALL[path].make_context(" ".join(path), words[len(path) :])
    assert "<bool>" not in shown.stdout
    assert "......" not in shown.stdout
    assert "}..." not in shown.stdout or "{IMAGES}..." in shown.stdout


def test_groups_say_no_types_of_flags_and_answer_to_h():
    for words in ([], ["head"], ["head", "stego"]):
        shown = CliRunner().invoke(app, [*words, "-h"])
        assert shown.exit_code == 0
        assert "<bool>" not in shown.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed(shell, tmp_path, monkeypatch):
    """Whatever process runs the tests."""
    monkeypatch.setattr(shellingham, "detect_shell", lambda *_: (shell, f"/bin/{shell}"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = CliRunner()
    shown = asked.invoke(app, ["--show-completion"], prog_name="primaps")
    assert (shown.exit_code, "_PRIMAPS_COMPLETE" in shown.stdout) == (0, True)
    installed = asked.invoke(app, ["--install-completion"], prog_name="primaps")
    assert installed.exit_code == 0
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_PRIMAPS_COMPLETE" in text for text in written)
    by_variable = asked.invoke(
        app, prog_name="primaps", env={"_PRIMAPS_COMPLETE": f"source_{shell}"}
    )
    assert by_variable.stdout.strip() == shown.stdout.strip()


def test_completion_knows_commands_and_options():
    for typed, wanted in (("primaps seg", "segment"), ("primaps fit --ov", "--overwrite")):
        env = {"_PRIMAPS_COMPLETE": "complete_bash", "COMP_WORDS": typed}
        env["COMP_CWORD"] = str(len(typed.split()) - 1)
        assert wanted in CliRunner().invoke(app, prog_name="primaps", env=env).stdout.split()


def test_presets_are_explained():
    listed = CliRunner().invoke(app, ["list"]).stdout
    helped = CliRunner().invoke(app, ["segment", "--help"], env={"COLUMNS": "300"}).stdout
    for note in PRESET_NOTES.values():
        assert note in listed
        assert "".join(note.split()) in "".join(re.sub("[│]", "", helped).split())


@pytest.mark.parametrize(("given", "found"), [(None, "1"), ("0", "0")])
def test_the_hub_is_told_of_no_versions_unless_somebody_says_so(monkeypatch, given, found):
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "")
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY")
    if given is not None:
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", given)
    module = sys.modules["primaps.cli.app"]
    monkeypatch.setattr(module, "app", lambda: None)
    module.main()
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == found
