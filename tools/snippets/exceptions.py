"""Single lines that are not run, end with another code than 0, or come after work by hand.

A line that no page has any more is an error.
"""

from __future__ import annotations

from typing import Final

_PROCESSES: Final = "tests/ddp/test_command.py"

NOT_RUN_LINES: Final[dict[str, str]] = {
    "primaps fit run --processes 4": _PROCESSES,
    "primaps fit run --processes 2": _PROCESSES,
    "primaps evaluate --model run --dataset camvid --root CAMVID --split val --processes 2": (
        _PROCESSES
    ),
    "primaps fit run --processes 4 --device cuda": "GPU",
    "primaps proposals photos --out run --workers 4": "tests/engine/test_folders.py",
    (
        "primaps benchmark --dataset camvid --root CAMVID --head A --head B --head C --method em"
        " --out rows/camvid-heads"
    ): "tests/protocol/test_several_heads.py",
    "primaps proposals s3://bucket/photos --out s3://bucket/out --engine ray": "cluster",
    "primaps export run --format onnx --out portable": "tests/pipeline/test_portable.py",
}
"""Why a line is only parsed, by the line without its comment: one of `pages.REASONS`, or a test."""

EXIT_CODES: Final[dict[str, int]] = {
    # the data sets here are smaller than the published ones
    "primaps check cityscapes --root CITYSCAPES": 3,
    "primaps check cocostuff --root ROOT --make-lists": 3,
    "primaps check camvid --root CAMVID --split val --json found.json": 3,
}
"""Exit codes by the line without its comment."""

BY_HAND: Final[dict[str, str]] = {
    "primaps suggest run --read": (
        "python tools/snippets/fill_suggestions.py run/suggestions.csv road building"
    ),
    "primaps corrections run --from-export dataset": (
        "rm -rf dataset && primaps export run --format coco --out dataset"
    ),
}
"""What a reader has done right before a line, by the line without its comment."""
