"""Messages that name an option of the command line: it exists, for the command that says it.

A message of a module that several commands share names the command: "--size of `primaps segment`".
"""

import ast
import re
from pathlib import Path

import typer

import primaps
from primaps.cli import app


def commands_of(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(commands_of(typer.main.get_command(app)))
OPTIONS = {
    path: {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    for path, command in ALL.items()
}
COMMANDS = "|".join(sorted((" ".join(path) for path in ALL), key=len, reverse=True))
OTHER_PROGRAMS = {"--force-reinstall", "--no-deps", "--nnodes"}
SPEAKERS = {
    "compute/processes.py": ("fit", "evaluate"),
    "data/bands.py": ("segment", "proposals", "predict"),
    "data/check_report.py": ("check",),
    "data/decoded.py": ("segment", "proposals", "predict"),
    "data/tiff.py": ("segment", "proposals", "predict"),
    "data/value_ranges.py": ("segment", "proposals", "predict"),
    "pipeline/input_ranges.py": ("segment", "proposals", "predict"),
    "evaluation": ("evaluate",),
    "features/timm_loading.py": ("segment", "proposals", "fit", "predict", "demo", "benchmark"),
    "features/mini": ("segment", "proposals", "fit", "predict", "demo", "benchmark"),
    "features/device.py": ("segment", "proposals", "fit", "predict", "demo", "evaluate"),
    "config.py": ("segment",),
    "heads/loading.py": ("fit", "predict", "evaluate", "report", "suggest", "accept"),
    "heads/official.py": ("head import",),
    "naming": ("classes",),
    "outputs/export": ("export",),
    "pipeline/classes.py": ("classes",),
    "pipeline/class_overview.py": ("classes",),
    "pipeline/commands.py": ("fit",),
    "pipeline/dry_run.py": ("segment", "proposals", "fit", "predict"),
    "pipeline/exporting.py": ("export",),
    "pipeline/failures.py": ("segment",),
    "pipeline/fitting.py": ("segment", "fit"),
    "pipeline/heads/head_crops.py": ("head stego fit", "head hp fit"),
    "pipeline/heads/head_centres.py": ("head stego fit", "head hp fit"),
    "pipeline/heads/head_fitting.py": ("head stego fit", "head hp fit"),
    "pipeline/heads/head_import.py": ("head import",),
    "pipeline/number_of_classes.py": ("segment", "fit", "demo"),
    "pipeline/opening.py": ("segment", "proposals", "predict", "demo", "benchmark"),
    "pipeline/portable.py": ("export",),
    "pipeline/predicting.py": ("predict",),
    "pipeline/settings.py": ("segment", "proposals", "predict", "demo"),
    "pipeline/suggesting.py": ("suggest",),
    "protocol": ("benchmark",),
    "runs/run.py": ("segment", "demo"),
    "studio/serving.py": ("studio",),
}  # fmt: skip
"""Who says what stands in a module that several commands share, or one alone."""


def messages():
    """Texts of the package that are no docstrings, what is put into them as ``{}``, by module."""
    root = Path(primaps.__file__).parent
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root).as_posix()
        if module.startswith("cli/"):  # options are made there
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr | ast.JoinedStr):
                inside |= {id(each) for each in ast.walk(node)} - {id(node)}
            if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
                inside -= {id(each) for each in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    each.value if isinstance(each, ast.Constant) else "{}" for each in node.values
                )
                yield module, "".join(map(str, parts))
            elif (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in inside
            ):
                yield module, node.value


def speakers_of(module):
    return next((SPEAKERS[key] for key in SPEAKERS if module.startswith(key)), None)


def unknown_options(module, text):
    """Options that a text names and nobody has who might say it."""
    for found in re.finditer(r"(?<![\w-])--[a-z][a-z-]*", text):
        option, sentence = found.group(), re.split(r"(?<=[.;:]) ", text[: found.start()])[-1]
        after = re.match(
            rf"[^.;,]*?(?:of|to|with) ((?:(?:or )?`primaps (?:{COMMANDS})`(?: or )?)+)",
            text[found.end() :],
        )
        before = re.findall(rf"primaps ({COMMANDS})\b", sentence)
        if after:
            named = re.findall(rf"primaps ({COMMANDS})", after.group(1))
        else:
            named = before[-1:] or speakers_of(module)
        if option in OTHER_PROGRAMS:
            continue
        if named is None:
            named = [" ".join(path) for path in ALL if option in OPTIONS[path]][:1] or ["segment"]
        for command in named:
            if option not in OPTIONS[tuple(command.split())]:
                yield f"{module}: {option} is no option of {command}: {text}"


def test_messages_name_options_that_exist():
    wrong = [each for module, text in messages() for each in unknown_options(module, text)]
    assert not wrong, "\n".join(wrong)


def test_wrong_options_in_messages_are_found():
    assert list(unknown_options("pipeline/commands.py", "Choose another --size."))
    assert list(unknown_options("runs/store.py", "Give --nonsense."))
    assert list(unknown_options("runs/store.py", "Run `primaps fit RUN --size 3`."))
    assert list(unknown_options("runs/store.py", "Give a lower --size to `primaps fit`."))
    assert not list(unknown_options("runs/store.py", "Give a lower --size to `primaps segment`."))
