"""The commands that read a run's files, and what is right to come of it."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fuzzed_run import mutating

_RESUME: Final = "segment photos --out {run} --config given.json --certainty --device cpu"
COMMANDS: Final[dict[str, str]] = {
    "classes": "classes run",
    "name": "classes run --name 3=pond --merge 0,1=both",
    "cut": "classes run --cut 3",
    "report": "report run",
    "report headed": "report headed",
    "report new": "report predicted",
    "export": "export run --format coco --out out",
    "export new": "export predicted --format coco --out out",
    "predict anew": "predict new --model run --out predicted --device cpu",
    "export again": "export run --format voc --out out",
    "predict": "predict new --model run --out pred --device cpu",
    "predict stored": "predict --stored run --model run --out pred --device cpu",
    "predict headed": "predict new --model headed --out pred --device cpu",
    "fit": "fit run --model other --device cpu",
    "fit names": "fit run --with names --device cpu",
    "evaluate": "evaluate --model run --dataset folder --root labelled --json s.json --device cpu",
    "suggest": "suggest run --groups 3 --device cpu --overwrite",
    "suggest read": "suggest run --read --device cpu",
    "corrections": "corrections run",
    "correct": "corrections run --add 2.png:1=meadow",
    "take back": "corrections run --undo",
    "accept": "accept run 1 --device cpu",
    "resume": _RESUME.format(run="run"),
    "resume headed": _RESUME.replace(" --certainty", " --head head").format(run="headed"),
    "refit": _RESUME.format(run="run") + " --seed 5 --overwrite",
    "config json": "segment photos --out fresh --backbone texture --config given.json",
    "config yaml": "segment photos --out fresh --backbone texture --config given.yaml --no-crf",
    "config toml": "segment photos --out fresh --backbone texture --config given.toml --no-crf",
    "import stego": "head import stego.ckpt --out imported --backbone texture",
    "import hp": "head import hp.pth --out imported --backbone texture",
    "mini": "proposals new --out m --backbone mini --size 64 --weights mini.safetensors",
    "mini pth": "proposals new --out m --backbone mini --size 64 --weights mini.pth",
    "studio": "",
}
"""The command line of each; the studio is asked for what its page shows."""


@dataclass(frozen=True)
class Kind:
    """Files of one sort.

    Attributes:
        pattern: Where they lie.
        mutations: What is done to one of them.
        commands: Who reads it.
        derived: Nobody types it: it is wrong to use it changed without a word.
    """

    pattern: str
    mutations: tuple[mutating.Mutation, ...]
    commands: tuple[str, ...]
    derived: bool = True


_NAMING: Final = ("classes", "name", "report", "export", "correct", "suggest", "accept", "studio")
_ALL: Final = (*_NAMING, "predict", "fit", "fit names", "evaluate", "resume", "corrections", "cut")
_MODEL: Final = ("predict", "predict stored", "evaluate", "report", "fit names", "resume", "studio")
_IMAGES: Final = ("report", "export", "suggest", "correct", "resume", "studio")
KINDS: Final[dict[str, Kind]] = {
    "store shard": Kind(
        "run/store/**/*.safetensors",
        mutating.TENSORS,
        ("resume", "refit", "fit", "suggest", "predict stored", "fit names", "report"),
    ),
    "store manifest": Kind("run/store/manifest.json", mutating.JSON, ("resume", *_IMAGES, "fit")),
    "run.json": Kind("run/run.json", mutating.JSON, _ALL, derived=False),
    "classes.yaml": Kind("run/classes.yaml", mutating.YAML, (*_ALL, "suggest read"), derived=False),
    "corrections.jsonl": Kind(
        "run/corrections.jsonl",
        mutating.JSON,
        (*_NAMING, "corrections", "take back", "fit names", "resume"),
        derived=False,
    ),
    "suggestions.csv": Kind(
        "run/suggestions.csv", mutating.TEXT, ("suggest read", "suggest", "studio"), derived=False
    ),
    "edits.jsonl": Kind("run/edits.jsonl", mutating.JSON, ("studio", "name"), derived=False),
    "former names": Kind(
        "run/classes-history/*.yaml", mutating.YAML, ("studio", "name"), derived=False
    ),
    "prototypes": Kind("run/model/prototypes.safetensors", mutating.TENSORS, _MODEL),
    "model.json": Kind("run/model/model.json", mutating.JSON, (*_MODEL, "name"), derived=False),
    "tree.json": Kind("run/model/tree.json", mutating.JSON, ("cut", "resume", "studio", "report")),
    "curves.json": Kind("run/model/curves.json", mutating.JSON, ("report", "resume", "studio")),
    "snapshots": Kind("headed/model/snapshots/*", mutating.TENSORS, ("report headed",)),
    "images.json": Kind("predicted/images.json", mutating.JSON, ("report new", "export new")),
    "predicted labels": Kind(
        "predicted/labels/*.png", mutating.BYTES, ("report new", "export new", "predict anew")
    ),
    "labels": Kind("run/labels/**/*.png", mutating.BYTES, (*_IMAGES, "export again")),
    "proposals": Kind("run/proposals/**/*.png", mutating.BYTES, (*_IMAGES, "fit names")),
    "certainty": Kind("run/certainty/**/*.png", mutating.BYTES, ("resume", "studio", "report")),
    "certainty.jsonl": Kind("run/certainty.jsonl", mutating.JSON, ("resume", "report", "studio")),
    "warnings.jsonl": Kind("run/warnings.jsonl", mutating.JSON, ("report", "resume", "predict")),
    "failures.jsonl": Kind("run/failures.jsonl", mutating.JSON, ("report", "fit", "resume")),
    "candidate": Kind(
        "run/candidates/**/*.json", mutating.JSON, ("accept", "studio", "report"), derived=False
    ),
    "candidate's model": Kind(
        "run/candidates/**/*.safetensors", mutating.TENSORS, ("accept", "studio")
    ),
    "head": Kind("head/head.safetensors", mutating.TENSORS, ("predict headed", "resume headed")),
    "head.json": Kind(
        "head/head.json", mutating.JSON, ("predict headed", "resume headed"), derived=False
    ),
    "STEGO checkpoint": Kind("stego.ckpt", mutating.TORCH, ("import stego",), derived=False),
    "HP checkpoint": Kind("hp.pth", mutating.TORCH, ("import hp",), derived=False),
    "weights": Kind("mini.safetensors", mutating.TENSORS, ("mini",), derived=False),
    "torch weights": Kind("mini.pth", mutating.TORCH, ("mini pth",), derived=False),
    "options, JSON": Kind("given.json", mutating.JSON, ("config json",), derived=False),
    "options, YAML": Kind("given.yaml", mutating.YAML, ("config yaml",), derived=False),
    "options, TOML": Kind("given.toml", mutating.TEXT, ("config toml",), derived=False),
}

_MENDING: Final = ("resume", "resume headed", "refit", "predict anew")
"""Commands after which nothing damaged may lie there any more."""
_TYPED: Final = ("classes.yaml", "corrections.jsonl", "suggestions.csv")


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        code: Its exit code; None = it ended with an exception that is none of ours.
        text: What it said.
        results: Checksums of what it made, by path.
    """

    code: int | None
    text: str
    results: dict[str, str]


def obey(name: str, root: Path) -> Outcome:
    """Give a command in a folder."""
    os.chdir(root)
    if name == "studio":
        code, text = _ask_studio(root)
    else:
        from typer.testing import CliRunner

        from primaps.cli.app import app

        result = CliRunner().invoke(app, COMMANDS[name].split())
        code, text = result.exit_code, result.output
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            code, text = None, f"{type(result.exception).__name__}: {result.exception}"
    return Outcome(code, text, _results(root))


def _ask_studio(root: Path) -> tuple[int | None, str]:
    """What the page asks for: 0 = all of it came, 1 = some was refused in words."""
    from starlette.testclient import TestClient

    from primaps.errors import PrimapsError
    from primaps.studio.app import Studio
    from primaps.studio.guarding import Door

    told: list[str] = []
    try:
        studio = Studio(root / "run", Door("token", 8765))
        client = TestClient(studio.app, base_url="http://127.0.0.1:8765", follow_redirects=False)
        client.get("/?token=token")
        client.headers.update({"X-Primaps": "1"})
        for place in (
            *("run", "state", "suggestions", "candidate?number=1"),
            *("photo?image=0.png", "maps?image=0.png", "certainty?image=0.png"),
        ):
            answer = client.get(f"/api/{place}")
            if answer.status_code >= 500:
                return None, f"{place}: {answer.status_code} {answer.text[:300]}"
            if answer.status_code >= 400:
                told.append(f"Error: {place}: {answer.text}")
    except PrimapsError as error:
        return 1, f"Error: {error}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        return None, f"{type(error).__name__}: {error}"
    return (1 if told else 0), "\n".join(told)


def _results(root: Path) -> dict[str, str]:
    """What stands in the outputs that other programs, and later commands, go by."""
    from primaps.errors import PrimapsError
    from primaps.outputs.label_files import read_label_image
    from primaps.runs.store import read_tensors

    found: dict[str, str] = {}
    for place in ("run", "headed", "predicted", "pred", "out", "other", "fresh", "imported", "m"):
        for path in sorted((root / place).rglob("*")):
            name, content = str(path.relative_to(root)), b""
            try:
                if path.suffix == ".png" and {"labels", "proposals"} & set(path.parts):
                    content = read_label_image(path).tobytes()
                elif path.name in {"prototypes.safetensors", "head.safetensors"}:
                    tensors = read_tensors(path)
                    content = b"".join(tensors[key].numpy().tobytes() for key in sorted(tensors))
                elif path.name == "instances.json":
                    content = path.read_bytes()
            except PrimapsError:
                content = b"damaged"
            if content:
                found[name] = hashlib.sha256(content).hexdigest()
    scores = root / "s.json"
    if scores.exists():
        found["s.json"] = scores.read_text()
    return found


def judged(
    trial: tuple[Kind, Path, str],
    root: Path,
    before: dict[str, bytes],
    made: Outcome,
    usual: Outcome,
) -> str:
    """What became of a mutated file.

    Args:
        trial: Its sort, where it lies, and the command.
        root: Of everything.
        before: What people typed, by name of its file, before the command.
        made: What the command did.
        usual: What it does without a mutation.

    Returns:
        "the same", "refused", "told" or "used"; or what is wrong, beginning with "WRONG".
    """
    kind, path, command = trial
    failed = made.code in {1, 2}
    lost = _lost(root / "run", before, failed=failed)
    if any(root.rglob(mutating.MARKER)):
        return "WRONG: code was run"
    if made.code not in {0, 1, 2, 3} or "Traceback" in made.text:
        return f"WRONG: exit code {made.code}: {made.text[:400]}"
    if lost:
        return f"WRONG: {lost} is lost; exit code {made.code}: {made.text[:300]}"
    if failed:
        return _refusal(path, made.text)
    return _use(kind, str(path.relative_to(root)), command, made, usual)


def _use(kind: Kind, name: str, command: str, made: Outcome, usual: Outcome) -> str:
    """What became of a file that was not refused."""
    changed = {
        key
        for key in usual.results.keys() | made.results.keys()
        if made.results.get(key) != usual.results.get(key)
    }
    if command not in _MENDING:  # it lies there as it was
        changed.discard(name)
    if not changed:
        told = _words(made.text) != _words(usual.text)
        return "told" if told else "the same"
    if not kind.derived:
        return "used"
    if _words(made.text) != _words(usual.text):
        return "told"
    return f"WRONG: used without a word; other results: {', '.join(sorted(changed))[:200]}"


def _refusal(path: Path, text: str) -> str:
    """Whether a refusal says which file is meant."""
    if "Error: " not in text and "Usage: " not in text:
        return f"WRONG: no error is told: {text[:300]}"
    names = {path.name, path.stem, path.parent.name, path.parent.parent.name}
    if not any(name and name in text for name in names):
        return f"WRONG: {path.name} is not named: {text[:400]}"
    return "refused"


def _words(text: str) -> str:
    return re.sub(r"[\d.]+ s\b|\d{4}-\d\d-\d\dT\S+|[\d.]+ GB", "", text)


def typed(root: Path) -> dict[str, bytes]:
    """What people typed, by name of its file."""
    return {
        name: (root / "run" / name).read_bytes()
        for name in _TYPED
        if (root / "run" / name).exists()
    }


def _lost(run: Path, before: dict[str, bytes], *, failed: bool) -> str:
    """The file whose typed content is nowhere any more; "" = none."""
    for name, content in before.items():
        path = run / name
        now = path.read_bytes() if path.exists() else b""
        if now == content:
            continue
        if failed and name != "suggestions.csv":
            return name
        if name == "classes.yaml":
            kept = [each.read_bytes() for each in (run / "classes-history").glob("*.yaml")]
            if content not in kept:
                return name
        elif name == "corrections.jsonl" and not now.startswith(content.rstrip(b"\n")):
            return name
    return ""


def found_files(kind: Kind, root: Path) -> list[Path]:
    """The files of a sort, in the order of their names."""
    return sorted(path for path in root.glob(kind.pattern) if path.is_file())


def chosen(number: int, root: Path) -> tuple[str, Path, str, np.random.Generator]:
    """Trial ``number``: sort, file, command, and chance for the mutation."""
    generator = np.random.default_rng(number)
    name = list(KINDS)[number % len(KINDS)]
    paths = found_files(KINDS[name], root)
    path = paths[int(generator.integers(len(paths)))]
    commands = KINDS[name].commands
    return name, path, commands[int(generator.integers(len(commands)))], generator
