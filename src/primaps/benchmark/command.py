"""What ``primaps benchmark`` does with its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from primaps.benchmark.images import open_parts
from primaps.benchmark.measure import measure_row
from primaps.benchmark.row import Row, read_row
from primaps.benchmark.tables import joined_tables, markdown_row, read_metrics
from primaps.errors import ConfigError
from primaps.features.backbone import backbone_name, load_backbone
from primaps.features.registry import find_spec
from primaps.outputs.events import require_tensorboard
from primaps.progress import Progress
from primaps.run import Run
from primaps.store import atomic_write


@dataclass(frozen=True)
class Places:
    """Where a row reads and writes, and where it is computed.

    Attributes:
        root: Folder of the data set.
        out: Folder of the row; None = named after it.
        store: Run folder of the features; None = in ``out``.
        weights: Weights file of the backbone; None = bundled or downloaded.
        head: Folder of a head (STEGO, HP) on top of the backbone; None = none.
        device: Of the backbone and the fit.
        events: Also write TensorBoard events into ``out``.
        head_dropout: The head drops channels in inference too.
    """

    root: Path | None
    out: Path | None
    store: Path | None
    weights: Path | None
    head: Path | None
    device: str
    events: bool = False
    head_dropout: bool = False


def choose_row(name: str | None, given: Mapping[str, Any], head: Path | None = None) -> Row:
    """The row that options describe: one that comes with the package, or the options alone.

    Args:
        name: Name of a row; None = options alone.
        given: Fields of `Row`; None where the user gave none.
        head: Folder of a head, which knows its backbone.

    Raises:
        ConfigError: If the row is unknown, an option contradicts its identity, or data set or backbone are missing.
        CheckpointError: If there is no head in the folder.
    """
    options = {key: value for key, value in given.items() if value is not None}
    if name is None and head is not None:
        options["backbone"] = backbone_name(options.get("backbone"), head)
    if name is None:
        missing = [f"--{key}" for key in ("dataset", "backbone") if key not in options]
        if missing:
            raise ConfigError(f"Expected --row, or --dataset and --backbone, but {' and '.join(missing)} is missing.")
        return Row(**options)
    row = read_row(name)
    for key in ("dataset", "backbone", "method"):
        if options.get(key, getattr(row, key)) != getattr(row, key):
            raise ConfigError(
                f"Expected no other --{key} than that of row {name}, {getattr(row, key)}, but got {options[key]}. Leave it out."
            )
    return Row(**{**vars(row), **options})


def measure(row: Row, places: Places, *, overwrite: bool, progress: Progress) -> tuple[str, Run]:
    """Measure a row.

    Returns:
        The text to print, and the run of the row.

    Raises:
        ConfigError: If there is no root, a setting is out of range, or channels of a head are to be dropped without a head.
        MissingExtraError: If events are wanted and tensorboard is not installed.
        PrimapsError: Whatever else keeps the row from being measured.
    """
    if places.root is None:
        raise ConfigError(f"Expected --root, the folder of the data set {row.dataset}, but got none.")
    if places.head_dropout and places.head is None:
        raise ConfigError("Expected --head-dropout with --head DIR only, but got no head. Give one, or leave the option out.")
    if places.events:
        require_tensorboard()
    name = row.name if places.head is None else f"{row.name}-{places.head.name}{'-dropout' if places.head_dropout else ''}"
    out = Path(f"benchmark-{name}") if places.out is None else places.out
    find_spec(row.backbone)
    parts = open_parts(row, places.root)  # before weights are downloaded in vain
    backbone = load_backbone(
        row.backbone, weights=places.weights, device=places.device, head=places.head, head_dropout=places.head_dropout
    )
    metrics, run = measure_row(
        row,
        places.root,
        out,
        backbone,
        parts=parts,
        store=places.store,
        events=places.events,
        overwrite=overwrite,
        progress=progress,
    )
    return f"{markdown_row(metrics)}\nScores: {out / 'metrics.json'}", run


def join(folders: Sequence[Path], out: Path | None, others: Mapping[str, Any]) -> str:
    """Join finished rows into a table.

    Args:
        folders: Folders of rows.
        out: Write ``table.md`` and ``table.tex`` there; None = do not.
        others: Options that make no sense here; all must be None.

    Returns:
        The text to print: Markdown, then LaTeX.

    Raises:
        ConfigError: If another option is given, there is no folder, or two rows belong into one cell.
        CheckpointError: If a folder holds no finished row.
        OutputError: If the table cannot be written.
    """
    unwanted = [f"--{key.replace('_', '-')}" for key, value in others.items() if value is not None]
    if unwanted:
        raise ConfigError(f"Expected folders and --out after --table, but got {', '.join(unwanted)}. Leave it out.")
    markdown, latex = joined_tables(read_metrics(folders))
    if out is not None:
        atomic_write(out / "table.md", markdown.encode("utf-8"))
        atomic_write(out / "table.tex", latex.encode("utf-8"))
    return f"{markdown}\n{latex}"
