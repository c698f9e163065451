"""Check that a wheel holds the package as it lies in ``src/``, with data and licence.

    python tools/check_wheel.py dist/primaps-*.whl

Every file of ``src/primaps`` must be in it, byte for byte, and nothing else but the metadata, which
must hold the licence and the command ``primaps``. Nothing is installed. Exit code 1 and one line
per problem otherwise.
"""

from __future__ import annotations

import sys
import zipfile
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
    if not any(name.endswith("/LICENSE") for name in metadata):
        found.append("missing: the licence")
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
