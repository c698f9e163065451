"""Check that a wheel holds the package as it lies in ``src/``, with data and licence.

    python tools/check_wheel.py dist/primaps-*.whl

Every file of ``src/primaps`` must be in it, byte for byte, and nothing else but the metadata, which
must hold the licence, the command ``primaps``, and a description whose links all have a host. Files
of other kinds than the package has, such as pictures, are a problem wherever they come from.
Nothing is installed. Exit code 1 and one line per problem otherwise.
"""

from __future__ import annotations

import re
import sys
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
# kinds of files that the package cannot do without; a pattern that matches nothing is a problem
NEEDED = (
    "primaps/py.typed",
    "primaps/features/mini/*.safetensors",
    "primaps/protocol/published_rows/*.toml",
    "primaps/outputs/viewer/web/*.js",
    "primaps/outputs/viewer/web/*.css",
    "primaps/outputs/viewer/web/studio/*.js",
)
# all kinds of files that the package has; a star stands for folders too
ALLOWED = (
    "primaps/*.py",
    "primaps/py.typed",
    "primaps/features/mini/mini.safetensors",
    "primaps/protocol/published_rows/*.toml",
    "primaps/outputs/viewer/web/*.js",
    "primaps/outputs/viewer/web/*.css",
    "primaps/outputs/viewer/jsconfig.json",
    "primaps/*/README.md",
)
_RELATIVE = re.compile(r"\]\((?![a-z][a-z0-9+.-]*:|#)([^)\s]+)", re.IGNORECASE)


def source_files(source: Path) -> dict[str, Path]:
    """The files of the package by their names in a wheel, without what Python compiles."""
    return {
        path.relative_to(source).as_posix(): path
        for path in sorted((source / "primaps").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def problems(wheel: zipfile.ZipFile, source: Path) -> list[str]:
    """What is wrong with a wheel.

    Args:
        wheel: the wheel, open.
        source: the folder that holds the folder of the package.

    Returns:
        One line per problem.
    """
    expected = source_files(source)
    metadata = {name for name in wheel.namelist() if name.split("/")[0].endswith(".dist-info")}
    held = set(wheel.namelist()) - metadata
    found = [f"missing: {name}" for name in sorted(expected.keys() - held)]
    found += [f"not of the package: {name}" for name in sorted(held - expected.keys())]
    found += [
        f"differs: {name}"
        for name in sorted(held & expected.keys())
        if wheel.read(name) != expected[name].read_bytes()
    ]
    found += [
        f"no file like {pattern}"
        for pattern in NEEDED
        if not any(Path(name).match(pattern) for name in held)
    ]
    found += [
        f"no file of the package is of this kind: {name}"
        for name in sorted(held)
        if not any(fnmatchcase(name, pattern) for pattern in ALLOWED)
    ]
    return found + _metadata_problems(wheel, metadata)


def _metadata_problems(wheel: zipfile.ZipFile, metadata: set[str]) -> list[str]:
    found = []
    if not any(name.endswith("/LICENSE") for name in metadata):
        found.append("missing: the licence")
    for name in metadata:
        if name.endswith("/METADATA"):
            links = _RELATIVE.findall(wheel.read(name).decode())
            found += [f"a link that leads nowhere on the package index: {link}" for link in links]
    commands = [name for name in metadata if name.endswith("/entry_points.txt")]
    if not any("primaps = primaps.cli:main" in wheel.read(name).decode() for name in commands):
        found.append("missing: the command primaps")
    return found


def main(arguments: list[str]) -> int:
    """Check one wheel.

    Args:
        arguments: its path.

    Returns:
        The exit code.
    """
    if len(arguments) != 1:
        print(f"Expected one wheel, got {len(arguments)}: {arguments}", file=sys.stderr)
        return 2
    with zipfile.ZipFile(arguments[0]) as wheel:
        found = problems(wheel, SOURCE)
        for line in found:
            print(line)
        print(f"{arguments[0]}: {len(wheel.namelist())} files, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
