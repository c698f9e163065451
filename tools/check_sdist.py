"""Check that a source distribution holds what the wheel is built from, and nothing else.

    python tools/check_sdist.py dist/primaps-*.tar.gz

Every file is of an expected kind and, where the checkout has it, equal to it byte for byte; none of
the package is missing; no member is a link, leads elsewhere or tells who built it. Exit code 1 and
one line per problem otherwise.
"""

from __future__ import annotations

import sys
import tarfile
from fnmatch import fnmatchcase
from pathlib import Path

from check_wheel import ALLOWED, source_files

ROOT = Path(__file__).resolve().parents[1]
BESIDE = frozenset(
    {
        ".gitignore",
        "CHANGELOG.md",
        "CITATION.cff",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
        "tools/readme_hook.py",
    }
)
"""What there is beside the package. PKG-INFO is made by the build."""


def problems(archive: tarfile.TarFile, root: Path) -> list[str]:
    """What is wrong with a source distribution.

    Args:
        archive: the distribution, open.
        root: the checkout that it was built from.

    Returns:
        One line per problem.
    """
    found, held = [], set()
    members = archive.getmembers()
    for member in members:
        top, _, name = member.name.partition("/")
        if not member.isfile() or not top.startswith("primaps-") or ".." in member.name.split("/"):
            found.append(f"no plain file below primaps-VERSION: {member.name}")
            continue
        held.add(name)
        if member.uid or member.gid or member.uname or member.gname:
            found.append(f"tells who built it: {name}")
        if name not in BESIDE and not any(fnmatchcase(name, f"src/{kind}") for kind in ALLOWED):
            found.append(f"not expected: {name}")
        elif name != "PKG-INFO":
            content = archive.extractfile(member)
            assert content is not None
            if not (root / name).is_file() or content.read() != (root / name).read_bytes():
                found.append(f"differs from the checkout: {name}")
    expected = BESIDE | {f"src/{name}" for name in source_files(root / "src")}
    found += [f"missing: {name}" for name in sorted(expected - held)]
    if len({member.mtime for member in members}) > 1:
        found.append("not reproducible: its files have several dates")
    return found


def main(arguments: list[str]) -> int:
    """Check one source distribution.

    Args:
        arguments: its path.

    Returns:
        The exit code.
    """
    if len(arguments) != 1:
        print(f"Expected one archive, got {len(arguments)}: {arguments}", file=sys.stderr)
        return 2
    with tarfile.open(arguments[0]) as archive:
        found = problems(archive, ROOT)
        for line in found:
            print(line)
        print(f"{arguments[0]}: {len(archive.getnames())} files, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
