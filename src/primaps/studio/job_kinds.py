"""The kinds of jobs: what each is asked with, and what it calls."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from primaps.errors import ConfigError
from primaps.naming.table import MAX_CLASS_ID
from primaps.outputs.export.registry import PORTABLE
from primaps.outputs.export.splitting import SPLIT_NAMES
from primaps.pipeline.accepting import accept
from primaps.pipeline.exporting import ExportSettings, export
from primaps.pipeline.named_fit import fit_with_names
from primaps.pipeline.portable import export_model
from primaps.pipeline.splitting import MOST_PARTS, split_class
from primaps.progress import Progress
from primaps.studio.answering import Refused, printable
from primaps.studio.asking import fields, fraction, shown, whole
from primaps.studio.formats import FORMATS
from primaps.studio.jobs import Work
from primaps.studio.served import Served

LAST_CANDIDATE: Final = 99_999
LARGEST_REGION: Final = 1_000_000_000
_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")


def export_name(value: object) -> str:
    """The name of an export: that of a folder below ``RUN/exports``, so letters that no file system
    takes for anything else.

    Raises:
        Refused: If it is none.
    """
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise Refused(
        400,
        "Expected the name of an export, 1 to 64 of the letters a-z, digits, - and _, but got"
        f" {shown(value)}.",
    )


def candidate_number(value: object) -> int:
    """The number of a candidate.

    Raises:
        Refused: If it is none.
    """
    return whole(value, "candidate", 1, LAST_CANDIDATE)


def exports(root: Path, name: str) -> Path:
    """The folder of an export of a run."""
    return root / "exports" / name


def job_of(served: Served, asked: Mapping[str, Any]) -> tuple[str, Work]:
    """What a request for a job asks for.

    Args:
        served: The folder.
        asked: The request.

    Returns:
        The kind of the job, and its work.

    Raises:
        Refused: If there is no such kind, or a field does not fit.
    """
    kind = asked.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise Refused(
            400, f"Expected the kind of a job, one of {', '.join(_KINDS)}, but got {shown(kind)}."
        )
    return kind, _KINDS[kind](served, asked)


def _refit(served: Served, _: Mapping[str, Any]) -> Work:
    return lambda progress: _candidate(served, fit_with_names(served.run(progress)).number)


def _split(served: Served, asked: Mapping[str, Any]) -> Work:
    class_id = whole(asked.get("class"), "class", 0, MAX_CLASS_ID)
    parts = whole(asked.get("parts"), "parts", 2, MOST_PARTS)
    return lambda progress: _candidate(
        served, split_class(served.run(progress), class_id, parts).number
    )


def _candidate(served: Served, number: int) -> dict[str, Any]:
    served.refresh()
    return {"candidate": number}


def _accept(served: Served, asked: Mapping[str, Any]) -> Work:
    return _exchange(served, "accept", candidate_number(asked.get("candidate")))


def _back(served: Served, _: Mapping[str, Any]) -> Work:
    return _exchange(served, "back", None)


def _exchange(served: Served, kind: str, number: int | None) -> Work:
    def work(progress: Progress) -> dict[str, Any]:
        with served.exchanging(kind):
            return {"candidate": accept(served.run(progress), number)}

    return work


@dataclass(frozen=True)
class _Asked:
    """What is asked of an export.

    Attributes:
        name: Of the export.
        settings: As for `primaps.pipeline.exporting.export`.
    """

    name: str
    settings: ExportSettings


def _asked_export(asked: Mapping[str, Any]) -> _Asked:
    format_name, options = asked.get("format"), fields(asked.get("options", {}), "options")
    if not isinstance(format_name, str) or format_name not in FORMATS:
        raise Refused(
            400, f"Expected a format, one of {', '.join(FORMATS)}, but got {shown(format_name)}."
        )
    name, unknown = options.get("name"), options.get("unknown_below")
    polygons = options.get("polygons", False)
    if not isinstance(polygons, bool):
        raise Refused(400, f"Expected polygons as true or false, but got {shown(polygons)}.")
    return _Asked(
        export_name(format_name if name is None else name),
        ExportSettings(
            format=format_name,
            split=_shares(options.get("split") or []),
            seed=whole(options.get("seed", 0), "seed", 0, 2**31 - 1),
            min_area=whole(options.get("min_area", 0), "min_area", 0, LARGEST_REGION),
            unknown_below=None if unknown is None else fraction(unknown, "unknown_below"),
            polygons=polygons,
        ),
    )


def _shares(value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) > len(SPLIT_NAMES):
        raise Refused(400, f"Expected split as up to three shares, but got {shown(value)}.")
    shares = tuple(fraction(each, "share of a split") for each in value)
    if shares and abs(sum(shares) - 1) > 1e-6:
        raise Refused(400, f"Expected shares that add up to 1, but these add up to {sum(shares)}.")
    return shares


def _export(served: Served, asked: Mapping[str, Any]) -> Work:
    wanted = _asked_export(asked)
    out = exports(served.root, wanted.name)

    def work(progress: Progress) -> dict[str, Any]:
        if out.parent.is_symlink() or out.is_symlink():
            raise ConfigError(
                f"Expected {out} to lie in the run, but it is a link. Move the link away."
            )
        if wanted.settings.format == PORTABLE:
            export_model(served.root, out, progress=progress)
            failures: list[dict[str, str]] = []
        else:
            found = export(served.root, out, wanted.settings, progress=progress)
            failures = [
                {key: printable(text) for key, text in asdict(each).items()}
                for each in found.failures
            ]
        sizes = [path.stat().st_size for path in files_of(out)]
        return {
            "name": wanted.name,
            "folder": printable(os.fspath(out)),
            "files": len(sizes),
            "bytes": sum(sizes),
            "failures": failures,
        }

    return work


def files_of(folder: Path) -> list[Path]:
    """The files of an export, in order; none whose name begins with a dot, for these are the
    record by which it is resumed.
    """
    found = []
    for root, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [Path(root) / name for name in sorted(files) if not name.startswith(".")]
    return found


_KINDS: Final[dict[str, Callable[[Served, Mapping[str, Any]], Work]]] = {
    "refit": _refit,
    "split": _split,
    "accept": _accept,
    "back": _back,
    "export": _export,
}
