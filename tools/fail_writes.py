"""Let every write of every command fail once: `python tools/fail_writes.py`.

The operations of a command that change files are counted. Then it is run once for each of them,
with the disk full from there on (before the operation, or half way through it), with the disk
read-only from there on, or with this one operation giving an input/output error. Right is: exit
code 1 and one line that says what is wrong, or success without having needed the operation; no file
that is half; and that the same command, run again, ends with the bytes of one that nothing
disturbed. The exit code is 1 if anything else happened.

Every command is forked from this process, which has imported everything and has no threads.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from write_faults.attempts import Attempt, attempt, contents, warm_up
from write_faults.cases import CASES, Case, Places
from write_faults.operations import KINDS, TAKING_SPACE, Fault
from write_faults.photographs import draw_photographs
from write_faults.short_fits import shorten_fits
from write_faults.workers_inside import work_inside

WORDS: Final = {
    "full": r"disk is full|No space left",
    "full inside": r"disk is full|No space left",
    "read-only": r"read-only|Read-only",
    "broken": r"Input/output error",
}
"""What the message has to say, as a pattern."""


@dataclass(frozen=True)
class Undisturbed:
    """What a case does when nothing fails.

    Attributes:
        before: Its folder when it begins.
        after: When it ends.
        told: Its operations.
    """

    before: dict[str, bytes]
    after: dict[str, bytes]
    told: tuple[str, ...]


def undisturbed(case: Case, places: Places, out: Path) -> Undisturbed:
    """Run a case as nobody disturbs it.

    Raises:
        RuntimeError: If it does not end well.
    """
    case.begin(places, out)
    before = contents(out, case.left_out) if out.exists() else {}
    done = attempt(case.command(places, out), out)
    if done.code:
        raise RuntimeError(f"{case.name} ended with {done.code}:\n{done.text}")
    return Undisturbed(before, contents(out, case.left_out), done.told)


def faults(told: tuple[str, ...], *, every: bool) -> list[Fault]:
    """Of operations with these names: every kind for each, or one kind each in turn."""
    found = []
    for number, name in enumerate(told, 1):
        operation = name.split(" ")[0]
        kinds = [
            kind
            for kind in KINDS
            if (kind != "full" or operation in TAKING_SPACE)
            and (kind != "full inside" or operation == "write")
        ]
        found += [
            Fault(number, kind)
            for place, kind in enumerate(kinds)
            if every or place == number % len(kinds)
        ]
    return found


def examine(case: Case, places: Places, out: Path, whole: Undisturbed, fault: Fault) -> list[str]:
    """What is wrong with a case of which one operation fails; empty if nothing is."""
    case.begin(places, out)
    made = attempt(case.command(places, out), out, fault)
    wrong = _wrong_end(made, fault)
    now = contents(out, case.left_out) if out.exists() else {}
    halves = [
        name
        for name, data in now.items()
        if data not in (whole.before.get(name), whole.after.get(name)) and not is_whole(name, data)
    ]
    wrong += [f"left half: {halves}"] if halves else []
    if made.code == 0:
        other = differing(now, whole.after)
        return [*wrong, *([f"ended well with other bytes in {other}"] if other else [])]
    again = attempt(case.command(places, out), out)
    if again.code:
        wrong.append(f"run again, it ended with {again.code}: {again.text[-600:]}")
    elif other := differing(contents(out, case.left_out), whole.after):
        wrong.append(f"run again, it has other bytes in {other}")
    return wrong


def _wrong_end(made: Attempt, fault: Fault) -> list[str]:
    if made.code == 0:
        return []
    wrong = [] if made.code == 1 else [f"exit code {made.code}"]
    if "Traceback" in made.text or "Error: " not in made.text:
        wrong.append(f"no message of ours: {made.text[-1500:]}")
    elif not re.search(WORDS[fault.kind], made.text):
        wrong.append(f"the message does not tell the reason: {made.text[-400:]}")
    return wrong


def is_whole(name: str, data: bytes) -> bool:
    """Whether a file that differs from before and after can be read as what it is; temporary files
    and lines that are added one by one need not.
    """
    if name.endswith((".primaps-tmp", "certainty.jsonl")):
        return True
    try:
        if name.endswith(".json"):
            json.loads(data)
        elif name.endswith(".jsonl"):
            [json.loads(line) for line in data.splitlines()]
        elif name.endswith(".safetensors"):
            from safetensors.torch import load

            load(data)
        elif name.endswith(".tar") and not name.startswith(".parts/"):
            return data.endswith(bytes(1024))
        elif name.endswith(".png"):
            return data.endswith(b"IEND\xaeB`\x82")
    except Exception:  # noqa: BLE001 - whatever a cut file raises
        return False
    return True


def differing(now: dict[str, bytes], wanted: dict[str, bytes]) -> list[str]:
    """Names of files that differ, but for temporary ones."""
    return [
        name
        for name in sorted(now | wanted)
        if now.get(name) != wanted.get(name) and not name.endswith(".primaps-tmp")
    ][:6]


def measure(case: Case, places: Places, work: Path, *, every: bool, most: int | None) -> int:
    """Examine all faults of a case and tell; returns the number of wrong ones."""
    started, out = time.perf_counter(), work / "out"
    whole = undisturbed(case, places, out)
    struck = faults(whole.told, every=every or most is not None)
    if most is not None and len(struck) > most:
        drawn = random.Random(case.name).sample(range(len(struck)), most)
        struck = [struck[each] for each in sorted(drawn)]
    found = 0
    for fault in struck:
        wrong = examine(case, places, out, whole, fault)
        for line in wrong:
            place = f"{fault.kind} at {fault.number}, {whole.told[fault.number - 1]}"
            print(f"WRONG {case.name}, {place}: {line}", flush=True)
        found += bool(wrong)
    shutil.rmtree(out, ignore_errors=True)
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(f.kind for f in struck).items())
    print(
        f"{case.name}: {len(whole.told)} operations, {len(struck)} faults ({kinds}), {found} wrong,"
        f" {time.perf_counter() - started:.0f} s",
        flush=True,
    )
    return found


def fill_disk(case: Case, places: Places, disk: Path, levels: int) -> int:
    """Let a case meet a file system that is really full, at so many levels of what it needs;
    returns the number of wrong ones.

    Args:
        case: A command that makes its folder.
        places: What it begins from.
        disk: An empty folder in a small file system of its own.
        levels: In how many places it gets full.
    """
    out, ballast = disk / "out", disk / "ballast"
    whole = undisturbed(case, places, out)
    needed = sum(each.stat().st_blocks * 512 for each in out.rglob("*"))
    found = 0
    for level in range(levels):
        case.begin(places, out)
        room = int(needed * (level + 0.5) / levels)
        ballast.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - room)))
        made = attempt(case.command(places, out), out)
        ballast.unlink()
        wrong = [] if made.code == 1 else [f"exit code {made.code}"]
        wrong += _wrong_end(made, Fault(0, "full"))
        again = attempt(case.command(places, out), out)
        if again.code or differing(contents(out, case.left_out), whole.after):
            wrong.append(f"run again: {again.code}, {again.text[-600:]}")
        for line in wrong:
            print(f"WRONG {case.name} with {room} bytes free: {line}", flush=True)
        found += bool(wrong)
    shutil.rmtree(out)
    print(f"{case.name}: needs {needed} bytes, full at {levels} levels, {found} wrong", flush=True)
    return found


def main() -> None:
    """Examine all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="of fits")
    parser.add_argument("--every", action="store_true", help="every kind at every operation")
    parser.add_argument("--most", type=int, help="faults per command, drawn from all")
    parser.add_argument("--disk", type=Path, help="a small file system to fill, and nothing else")
    parser.add_argument("--only", nargs="*", help="commands; otherwise all")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="primaps-fail-") as temporary:
        work = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(work / "cache")
        places = Places(draw_photographs(work / "photos", given.images), work / "run")
        shorten_fits(given.steps)
        work_inside()
        warm_up(CASES[0].command(places, places.run))
        cases = [case for case in CASES if given.only is None or case.name in given.only]
        if given.disk is not None:
            new = [case for case in cases if not case.on_run]
            found = sum(fill_disk(case, places, given.disk, 10) for case in new)
        else:
            found = sum(
                measure(case, places, work, every=given.every, most=given.most) for case in cases
            )
    print(f"{found} wrong")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
