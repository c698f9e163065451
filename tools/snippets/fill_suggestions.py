"""What a reader does in a spreadsheet: fill in the column ``class`` of a table of suggestions.

    python fill_suggestions.py TABLE NAME NAME...

The names take turns.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path


def main() -> None:
    """Fill in."""
    path, *names = sys.argv[1:]
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["class"] = row["class"] or names[number % len(names)]
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
