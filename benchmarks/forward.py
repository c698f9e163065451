"""How much does a forward pass of the bundled backbone cost beside ViT-S/8, which the published
experiments use?

    python benchmarks/forward.py

`tools/measure_backbone.py forward`, as lines of the benchmark table.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from jobs import REPOSITORY, run_job
from rows import Row, add_rows_option, publish


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=["mini", "texture"])
    parser.add_argument("--rounds", type=int, default=5)
    add_rows_option(parser)
    options = parser.parse_args()
    publish([measure(name, options.rounds) for name in options.backbones], options.rows)


def measure(backbone: str, rounds: int) -> Row:
    """Processor time of one forward pass and its ratio to that of the reference."""
    tool = REPOSITORY / "tools" / "measure_backbone.py"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "numbers.json"
        run_job(
            [
                sys.executable,
                str(tool),
                "forward",
                "--backbone",
                backbone,
                "--rounds",
                str(rounds),
                "--json",
                str(file),
            ]
        )
        numbers = json.loads(file.read_text(encoding="utf-8"))["numbers"]
    measured = (
        f"{numbers['seconds'] * 1000:.0f} ms; {numbers['reference']}"
        f" {numbers['reference_seconds'] * 1000:.0f} ms"
    )
    return Row(
        f"forward pass of `{backbone}` at 320 x 320, one thread",
        f"{measured}: {numbers['ratio']:.1f} x as fast",
    )


if __name__ == "__main__":
    main()
