"""Write the software bill of materials of an environment that primaps is installed in.

    python tools/make_sbom.py dist/primaps.cdx.json [--environment DIR] [--extras demo,studio]

CycloneDX, as JSON. `cyclonedx-py` describes all that is installed; kept are primaps and what it
needs with these extras, so that tests and tools of a development environment do not pass for parts
of the product. The same environment gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[1]
PRODUCT: Final = canonicalize_name("primaps")

Needs = dict[NormalizedName, set[NormalizedName]]


def needs(installed: Iterable[Distribution], extras: frozenset[str]) -> Needs:
    """What primaps needs, directly or not.

    Args:
        installed: what is there.
        extras: of primaps.

    Returns:
        Of every package in use, primaps among them, those that it needs itself.

    Raises:
        ValueError: If primaps is not there.
    """
    known = {canonicalize_name(each.metadata["Name"]): each for each in installed}
    if PRODUCT not in known:
        raise ValueError("Expected an environment with primaps, but it is not installed there.")
    found: Needs = {}
    asked: dict[NormalizedName, set[str]] = {}
    waiting: list[tuple[NormalizedName, frozenset[str]]] = [(PRODUCT, extras)]
    while waiting:
        name, wanted = waiting.pop()
        if name not in known or (name in found and wanted <= asked[name]):
            continue
        asked.setdefault(name, set()).update(wanted)
        for text in known[name].requires or ():
            need = Requirement(text)
            if need.marker is None or any(
                need.marker.evaluate({"extra": extra}) for extra in ("", *asked[name])
            ):
                target = canonicalize_name(need.name)
                found.setdefault(name, set()).add(target)
                waiting.append((target, frozenset(need.extras)))
        found.setdefault(name, set())
    return found


def bill(described: dict[str, Any], found: Needs, version: str) -> dict[str, Any]:
    """Keep of a description what is needed.

    Args:
        described: all that is installed, as `cyclonedx-py` tells it.
        found: from `needs`.
        version: of primaps.

    Returns:
        The bill. primaps is what it is about, all others are its components.
    """
    product = described["metadata"]["component"]
    product |= {"version": version, "purl": f"pkg:pypi/primaps@{version}"}
    kept = {
        each["bom-ref"]: canonicalize_name(each["name"])
        for each in described["components"]
        if canonicalize_name(each["name"]) in found.keys() - {PRODUCT}
    }
    named = {name: reference for reference, name in kept.items()}
    references = {product["bom-ref"]: PRODUCT, **kept}
    return {
        **described,
        "components": [each for each in described["components"] if each["bom-ref"] in kept],
        "dependencies": [
            {
                "ref": reference,
                "dependsOn": sorted(named[each] for each in found[name] if each in named),
            }
            for reference, name in sorted(references.items())
        ],
    }


def describe(python: Path) -> dict[str, Any]:
    """All that is installed beside an interpreter, by `cyclonedx-py`."""
    command = [
        *(sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"),
        *("--mc-type", "library", "--pyproject", str(ROOT / "pyproject.toml"), str(python)),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    described: dict[str, Any] = json.loads(done.stdout)
    return described


def _interpreter(environment: Path) -> Path:
    folder, name = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")
    return environment / folder / name


def _packages(python: Path) -> list[Distribution]:
    asking = "import json, sys; print(json.dumps(sys.path[1:]))"
    told = subprocess.run([str(python), "-I", "-c", asking], stdout=subprocess.PIPE, check=True)
    return list(distributions(path=json.loads(told.stdout)))


def main(arguments: list[str]) -> int:
    """Write one bill.

    Args:
        arguments: where to, and of what.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description="Write a bill of materials.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--environment", type=Path, default=Path(sys.prefix), metavar="DIR")
    parser.add_argument("--extras", default="", help="of primaps, with commas between")
    chosen = parser.parse_args(arguments)
    python = _interpreter(chosen.environment)
    if not python.exists():
        print(f"Expected an environment, but there is no {python}.", file=sys.stderr)
        return 2
    installed = _packages(python)
    extras = frozenset(filter(None, chosen.extras.split(",")))
    try:
        found = needs(installed, extras)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    versions = {canonicalize_name(each.metadata["Name"]): each.version for each in installed}
    written = bill(describe(python), found, versions[PRODUCT])
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(f"{chosen.out}: primaps {versions[PRODUCT]}, {len(written['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
