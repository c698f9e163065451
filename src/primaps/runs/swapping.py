"""Files of a folder exchanged for those of another one, as a whole, even if the process is killed
on the way.

Renames cannot exchange several files at once. So the plan is written first; every step can be done
again; and `finish_swap` goes on where a killed exchange ended.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from primaps.errors import OutputError
from primaps.runs.records import check_record, is_mapping, is_text, list_of
from primaps.runs.store import read_json, remove_file, write_json

_PHASES: Final = ("out", "in", "aside")
_PARKED: Final = "swapping"


@dataclass(frozen=True)
class Swap:
    """An exchange that was begun.

    Attributes:
        inside: Path of the folder whose files are exchanged.
        other: Path of the folder of the other files.
        names: Of files or folders in both; some may be missing in either.
        facts: What the caller needs to finish what belongs to it, JSON-ready.
        phase: ``out``: those inside are parked; ``in``: the others come; ``aside``: the parked ones
            go to the other folder.
    """

    inside: str
    other: str
    names: tuple[str, ...]
    facts: dict[str, Any]
    phase: str = "out"


def _is_name(value: Any) -> bool:
    """Of a file within a folder."""
    return is_text(value) and value not in {"", ".", ".."} and Path(value).name == value


def _is_place(value: Any) -> bool:
    """A folder beside the plan, or the one that holds its own."""
    return is_text(value) and (value == ".." or _is_name(value))


_EXPECTED = {
    "inside": _is_place,
    "other": _is_place,
    "names": list_of(_is_name),
    "facts": is_mapping,
    "phase": lambda value: value in _PHASES,
}


def begin_swap(
    plan: Path, inside: Path, other: Path, names: Sequence[str], facts: dict[str, Any]
) -> Swap:
    """Write down what is to be exchanged. Nothing is moved yet.

    Args:
        plan: The file of the plan; it lies in a folder of its own.
        inside: Folder whose files are exchanged.
        other: Folder of the other files, on the same disk.
        names: Of files or folders.
        facts: See `Swap`.

    Raises:
        OutputError: If it cannot be written.
    """
    found = Swap(
        os.path.relpath(inside, plan.parent),
        os.path.relpath(other, plan.parent),
        tuple(names),
        facts,
    )
    write_json(plan, asdict(found))
    return found


def pending_swap(plan: Path) -> Swap | None:
    """The exchange that was begun and has not ended; None if there is none."""
    if not plan.exists():
        return None
    record = read_json(plan)
    advice = f"Move the file away; files of the exchange lie in {plan.parent}."
    check_record(record, _EXPECTED, plan, advice, tuple(_EXPECTED))
    return Swap(**{**{key: record[key] for key in _EXPECTED}, "names": tuple(record["names"])})


def finish_swap(plan: Path, swap: Swap) -> None:
    """Move everything, from wherever an earlier try ended; the plan stays until `end_swap`.

    Raises:
        OutputError: If something cannot be moved.
    """
    inside, other = plan.parent / swap.inside, plan.parent / swap.other
    parked = plan.parent / _PARKED
    ways = {"out": (inside, parked), "in": (other, inside), "aside": (parked, other)}
    try:
        parked.mkdir(exist_ok=True)
        for phase in _PHASES[_PHASES.index(swap.phase) :]:
            swap = replace(swap, phase=phase)
            write_json(plan, asdict(swap))
            source, target = ways[phase]
            for name in swap.names:
                if (source / name).exists():
                    (source / name).rename(target / name)
        parked.rmdir()
    except OSError as error:
        raise OutputError(
            f"Expected to be allowed to move files between {inside} and {other}, but got: {error}."
            " Run the same command again; it goes on from here."
        ) from error


def end_swap(plan: Path) -> None:
    """Everything that belongs to the exchange is done."""
    remove_file(plan)
