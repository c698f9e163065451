"""Programs that are not this project's, and change the machine or need a network: they are never
run, but a line has to have a form that is known.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from snippets.pages import ROOT
from snippets.parsing import UnknownCommandError, parse_command

_FIRST_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "docker": ("build", "run"),
    "podman": ("build", "run"),
    "hf": ("auth", "download", "upload"),
    "ray": ("start", "stop", "status", "job"),
    "scancel": (),
    "towncrier": ("build", "create"),
    "curl": (),
    "wget": (),
    "sudo": (),
    "apt-get": (),
    "brew": (),
    "ssh": (),
    "tensorboard": (),
    "pre-commit": ("install", "run"),
    "xdg-open": (),
    "open": (),
    "gh": ("attestation",),
    "twine": ("check", "upload"),
    "pip-audit": (),
    "cosign": (),
    "kubectl": (),
}
"""What may follow; empty = anything."""


def check(program: str, words: list[str]) -> None:
    """Look at a line.

    Raises:
        UnknownCommandError: If it has no known form.
    """
    if program == "python":
        program, words = _module(words)
    form = _FORMS.get(program)
    if form is not None:
        form(words)
    elif program not in _FIRST_WORDS:
        raise UnknownCommandError(f"no form of {program} is known: {' '.join(words)}")
    elif _FIRST_WORDS[program] and words[0] not in _FIRST_WORDS[program]:
        raise UnknownCommandError(f"{program} {words[0]}: expected {_FIRST_WORDS[program]}")


def programs() -> list[str]:
    """All that have a form."""
    return sorted({*_FORMS, *_FIRST_WORDS})


def _module(words: list[str]) -> tuple[str, list[str]]:
    """``python -m MODULE`` as a program."""
    if words[:1] == ["-m"] and len(words) > 1:
        return words[1], words[2:]
    raise UnknownCommandError(f"no form of python is known: {' '.join(words)}")


def _project() -> dict[str, Any]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project: dict[str, Any] = tomllib.loads(text)["project"]
    return project


def _make(words: list[str]) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        name, equals, value = word.partition("=")
        known = re.search(rf"\$\({name}\)", text) if equals else re.search(rf"(?m)^{name}:", text)
        if known is None:
            raise UnknownCommandError(f"the Makefile has no {word}")
        if name == "T" and not (ROOT / value.partition("::")[0]).exists():
            raise UnknownCommandError(f"there is no {value}")


def _pip(words: list[str]) -> None:
    if words[:1] not in (["install"], ["uninstall"], ["download"]):
        raise UnknownCommandError(f"no form of pip {words[:1]} is known")
    extras = set(_project()["optional-dependencies"])
    for word in words[1:]:
        found = re.match(r"(?:primaps|\.|.*\.whl)(?:\[([\w,-]+)\])?", word)
        asked = set() if found is None else {each for each in (found[1] or "").split(",") if each}
        if asked - extras:
            raise UnknownCommandError(f"the project has no extra {sorted(asked - extras)}")


def _git(words: list[str]) -> None:
    if words[0] == "clone":
        target = Path(words[2] if len(words) > 2 else Path(words[-1]).stem)
        target.mkdir(exist_ok=True)  # what a line below may change to
    elif words[0] not in {"pull", "fetch", "tag", "push", "checkout"}:
        raise UnknownCommandError(f"no form of git {words[0]} is known")


def _torchrun(words: list[str]) -> None:
    """What it starts is parsed."""
    if words.count("-m") != 1:
        raise UnknownCommandError(f"expected torchrun ... -m primaps, but got {words}")
    after = words[words.index("-m") + 1 :]
    if after[0] == "primaps":
        parse_command(after[1:])


def _batch(words: list[str]) -> None:
    (script, *_) = [word for word in words if not word.startswith("-")]
    if not (ROOT / script).is_file():
        raise UnknownCommandError(f"there is no {script}")


def _venv(words: list[str]) -> None:
    """Its programs are those of the reader's shell."""
    programs = os.environ["PATH"].split(os.pathsep)[0]
    folder = Path(words[-1])
    folder.mkdir(exist_ok=True)
    if not (folder / "bin").exists():
        (folder / "bin").symlink_to(programs)


def _anything(_: list[str]) -> None:
    """Whatever follows."""


_FORMS: Final[dict[str, Callable[[list[str]], None]]] = {
    "make": _make,
    "pip": _pip,
    "pipx": _pip,
    "uv": lambda words: _pip(words[1:] if words[:1] in (["pip"], ["tool"]) else words),
    "git": _git,
    "torchrun": _torchrun,
    "sbatch": _batch,
    "venv": _venv,
    "build": _anything,
    "http.server": _anything,
}
