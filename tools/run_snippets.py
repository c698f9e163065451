"""Carry the blocks of code in README and docs out: `python tools/run_snippets.py [PAGE...]`.

Shell, Python, YAML, TOML and JSON, page by page from top to bottom, in a folder that has what the
pages name. What a page marks by ``<!-- not run: REASON -->`` is only parsed. One line per block;
what failed is shown; exit code 1 if anything did.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from snippets.pages import page_paths
from snippets.reader import Reader
from snippets.running import run_page


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "pages", nargs="*", metavar="PAGE", help="README.md, docs/...; default: all"
    )
    pages = parser.parse_args().pages or page_paths()
    problems = 0
    with tempfile.TemporaryDirectory(prefix="snippets") as work, Reader(Path(work)).at_work() as it:
        for page in pages:
            for outcome in run_page(page, it):
                counts = f"{outcome.ran} run, {outcome.parsed} parsed, {outcome.seconds:.1f} s"
                print(f"{outcome.block.place}: {counts}", flush=True)
                if outcome.problem is not None:
                    print(outcome.problem)
                    problems += 1
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
