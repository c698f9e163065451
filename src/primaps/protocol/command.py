"""What ``primaps benchmark`` does with its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from primaps.errors import ConfigError
from primaps.features.registry import find_spec
from primaps.heads.files import head_record
from primaps.heads.loading import load_backbone
from primaps.outputs.events import require_tensorboard
from primaps.progress import Progress
from primaps.protocol.images import open_parts
from primaps.protocol.measure import RowPlace, measure_row
from primaps.protocol.row import Row, read_row
from primaps.protocol.several_heads import measure_heads
from primaps.protocol.tables import joined_tables, markdown_row, read_metrics
from primaps.runs.run import Run
from primaps.runs.store import atomic_write
from primaps.types import FeatureExtractor


@dataclass(frozen=True)
class Places:
    """Where a row reads and writes, and where it is computed.

    Attributes:
        root: Folder of the data set.
        out: Folder of the row; None = named after it.
        store: Run folder of the features; None = in ``out``.
        weights: Weights file of the backbone; None = bundled or downloaded.
        heads: Folders of heads (STEGO, HP) on top of the backbone: the row is measured on each.
        device: Of the backbone and the fit.
        events: Also write TensorBoard events into ``out``.
        head_dropout: The head drops channels in inference too.
    """

    root: Path | None
    out: Path | None
    store: Path | None
    weights: Path | None
    heads: tuple[Path, ...]
    device: str
    events: bool = False
    head_dropout: bool = False


def choose_row(name: str | None, given: Mapping[str, Any], heads: Sequence[Path] = ()) -> Row:
    """The row that options describe: one that comes with the package, or the options alone.

    Args:
        name: Name of a row; None = options alone.
        given: Fields of `Row`; None where the user gave none.
        heads: Folders of heads, which know their kind and backbone.

    Raises:
        ConfigError: If the row is unknown, an option contradicts its identity, the heads are not
            those that it asks for, or data set or backbone are missing.
        CheckpointError: If there is no head in a folder.
    """
    options = {key: value for key, value in given.items() if value is not None}
    carried = _carried(heads)
    if name is None:
        row = Row(**_complete({**carried, **options}))
    else:
        known = read_row(name)
        for key in ("dataset", "backbone", "method"):
            if options.get(key, getattr(known, key)) != getattr(known, key):
                raise ConfigError(
                    f"Expected no other --{key} than that of row {name}, {getattr(known, key)}, but"
                    f" got {options[key]}. Leave it out."
                )
        row = Row(**{**vars(known), **options})
    _check_heads(row, name, carried)
    return row


def _complete(options: Mapping[str, Any]) -> Mapping[str, Any]:
    missing = [f"--{key}" for key in ("dataset", "backbone") if key not in options]
    if missing:
        raise ConfigError(
            f"Expected --row, or --dataset and --backbone, but {' and '.join(missing)} is missing."
        )
    return options


def _carried(heads: Sequence[Path]) -> dict[str, str]:
    """Kind and backbone of the heads; nothing without any."""
    found = {}
    for folder in heads:
        record = head_record(folder)
        found[folder] = {"head": record["kind"], "backbone": record["backbone"]["name"]}
        if found[folder] != found[heads[0]]:
            one, other = (
                f"{found[path]['head']} on {found[path]['backbone']}" for path in (heads[0], folder)
            )
            raise ConfigError(
                f"Expected heads of one kind on one backbone, but {heads[0]} is {one} and {folder}"
                f" is {other}. Measure them apart."
            )
    return found[heads[0]] if heads else {}


def _check_heads(row: Row, name: str | None, carried: Mapping[str, str]) -> None:
    """The heads are those that the row asks for."""
    title = (
        f"row {name}"
        if name is not None
        else f"--backbone {row.backbone}"
        if carried
        else "--method head"
    )
    if not carried:
        if row.head is not None or row.method == "head":
            kind = "stego or hp" if row.head is None else row.head
            on = f" on {row.backbone}" if row.head is not None else ""
            raise ConfigError(
                f"Expected --head DIR with {title}, the folder of a head of kind {kind}{on}, but"
                " got none. Import one with `primaps head import`, or train one with `primaps"
                " head`."
            )
        return
    if row.head is None:
        raise ConfigError(
            f"Expected no --head with {title}, which is measured without one. Leave it out, give"
            " --dataset and --method instead of --row, or take a row with a head: see `primaps"
            " list`."
        )
    if (row.head, row.backbone) != (carried["head"], carried["backbone"]):
        raise ConfigError(
            f"Expected a head of kind {row.head} on {row.backbone} with {title}, but got one of"
            f" kind {carried['head']} on {carried['backbone']}."
        )


def measure(row: Row, places: Places, *, overwrite: bool, progress: Progress) -> tuple[str, Run]:
    """Measure a row.

    Returns:
        The text to print, and the run of the row.

    Raises:
        ConfigError: If there is no root, a setting is out of range, or channels of a head are to be
            dropped without a head.
        MissingExtraError: If events are wanted and tensorboard is not installed.
        PrimapsError: Whatever else keeps the row from being measured.
    """
    if places.root is None:
        raise ConfigError(
            f"Expected --root, the folder of the data set {row.dataset}, but got none."
        )
    if places.head_dropout and not places.heads:
        raise ConfigError(
            "Expected --head-dropout with --head DIR only, but got no head. Give one, or leave the"
            " option out."
        )
    if places.events:
        require_tensorboard()
    out = Path(f"benchmark-{_title(row, places)}") if places.out is None else places.out
    find_spec(row.backbone)
    parts = open_parts(row, places.root)  # before weights are downloaded in vain

    def load(head: Path | None) -> FeatureExtractor:
        return load_backbone(
            row.backbone,
            weights=places.weights,
            device=places.device,
            head=head,
            head_dropout=places.head_dropout,
            levels=row.levels,
        )

    place = RowPlace(places.root, out, places.store, places.events, overwrite)
    if len(places.heads) > 1:
        metrics, run = measure_heads(row, place, places.heads, load, parts=parts, progress=progress)
    else:
        backbone = load(places.heads[0] if places.heads else None)
        metrics, run = measure_row(row, place, backbone, parts=parts, progress=progress)
    return f"{markdown_row(metrics)}\nScores: {out / 'metrics.json'}", run


def _title(row: Row, places: Places) -> str:
    """What the folder of a row is named after by default."""
    heads = (
        [f"{len(places.heads)}-heads"]
        if len(places.heads) > 1
        else [folder.name for folder in places.heads]
    )
    levels = (
        [] if row.levels is None else [f"levels-{row.levels.replace(':', 'x').replace(',', '-')}"]
    )
    return "-".join([row.name, *levels, *heads, *(["dropout"] if places.head_dropout else [])])


def join(folders: Sequence[Path], out: Path | None, others: Mapping[str, Any]) -> str:
    """Join finished rows into a table.

    Args:
        folders: Folders of rows.
        out: Write ``table.md`` and ``table.tex`` there; None = do not.
        others: Options that make no sense here; all must be None.

    Returns:
        The text to print: Markdown, then LaTeX.

    Raises:
        ConfigError: If another option is given, there is no folder, or two rows belong into one
            cell.
        CheckpointError: If a folder holds no finished row.
        OutputError: If the table cannot be written.
    """
    unwanted = [f"--{key.replace('_', '-')}" for key, value in others.items() if value is not None]
    if unwanted:
        raise ConfigError(
            f"Expected folders and --out after --table, but got {', '.join(unwanted)}. Leave it"
            " out."
        )
    markdown, latex = joined_tables(read_metrics(folders))
    if out is not None:
        atomic_write(out / "table.md", markdown.encode("utf-8"))
        atomic_write(out / "table.tex", latex.encode("utf-8"))
    return f"{markdown}\n{latex}"
