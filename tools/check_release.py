"""Check that a checkout is ready to be released under a tag, and print the release's notes.

    python tools/check_release.py v0.2.0

The tag is the version's, CITATION.cff and CHANGELOG.md name the version too, and no fragment of a
change is left in ``changelog.d``. The notes are the version's section of CHANGELOG.md. Exit code 1
and one line per problem otherwise.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def stated_version(root: Path) -> str:
    """The version of the package, as its source says."""
    text = (root / "src" / "primaps" / "version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    assert found is not None
    return found[1]


def notes(changelog: str, version: str) -> str | None:
    """The section of a version, without its heading; None = there is none that has a date.

    Args:
        changelog: Markdown, in the format of Keep a Changelog.
        version: of the section.
    """
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    found = re.search(rf"{heading}\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    return None if found is None else found[1].strip()


def problems(root: Path, tag: str) -> list[str]:
    """What has to be done before a release.

    Args:
        root: the repository.
        tag: of the release.

    Returns:
        One line per problem.
    """
    version, found = stated_version(root), []
    if tag != f"v{version}":
        found.append(f"The tag is {tag}, but src/primaps/version.py says {version}.")
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    if f"\nversion: {version}\n" not in citation:
        found.append(f"CITATION.cff does not say version: {version}")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not notes(changelog, version):
        found.append(f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD'.")
    if "## [Unreleased]" in changelog:
        found.append("CHANGELOG.md still has a section '## [Unreleased]'.")
    left = [path.name for path in (root / "changelog.d").glob("*.md") if path.name != "README.md"]
    found += [f"changelog.d/{name} is in no section yet: towncrier build" for name in sorted(left)]
    return found


def main(arguments: list[str]) -> int:
    """Check one tag.

    Args:
        arguments: the tag.

    Returns:
        The exit code.
    """
    if len(arguments) != 1:
        print(f"Expected one tag, got {len(arguments)}: {arguments}", file=sys.stderr)
        return 2
    found = problems(ROOT, arguments[0])
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        version = stated_version(ROOT)
        print(notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
