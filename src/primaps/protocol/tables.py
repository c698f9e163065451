"""Rows as Markdown and LaTeX, and rows joined into the paper's table, published scores beside
measured ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from primaps.data.dataset import dataset_title
from primaps.errors import CheckpointError, ConfigError
from primaps.protocol.deviations import HEAD_DROPOUT, deviations, head_dropout
from primaps.runs.store import read_json

HEADLINE: Final = "teacher+crf"
"""The variant that stands in rows and tables. Which one the published table shows is not stated;
this is the likeliest.
"""
ORACLE_MARK: Final = "oracle"
ORACLE_NOTE: Final = (
    "oracle: the checkpoint was chosen by its score on the labels that are measured; not"
    " unsupervised."
)
TRIAL_NOTE: Final = "trial: measured on a part of the images only; not comparable."

_VARIANTS: Final = ("teacher", "teacher+crf", "student", "student+crf", "linear", "linear+crf")
_COLUMNS: Final = ("cityscapes", "cocostuff", "potsdam")
"""Data sets of the published table, in its order; others follow them."""
_METHODS: Final = {"baseline": "Baseline", "clusters": "Clusters of proposals", "em": "PriMaPs-EM"}
_BACKBONES: Final = {
    "dino_vits8": "DINO ViT-S/8",
    "dino_vits8_300ep": "DINO ViT-S/8 (300 epochs)",
    "dino_vitb8": "DINO ViT-B/8",
    "dinov2_vits14": "DINOv2 ViT-S/14",
    "dinov2_vitb14": "DINOv2 ViT-B/14",
}


@dataclass(frozen=True)
class _Line:
    """What tells the lines of a joined table apart."""

    method: str
    backbone: str
    head: str | None
    preset: str
    select: str
    dropout: bool
    differences: tuple[str, ...]
    weights: str | None
    heads: int
    trial: bool

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> _Line:
        row = metrics["row"]
        names = (row["method"], row["backbone"], metrics["head"], row["preset"], row["select"])
        heads = len(metrics.get("heads", ()))  # 0 where deviations are over seeds
        return cls(
            *names,
            head_dropout(metrics),
            deviations(metrics),
            metrics["weights"],
            heads,
            row["limit"] is not None,
        )

    @property
    def titles(self) -> tuple[str, str, str]:
        """Method, backbone, and the settings that a reader must know."""
        selected = f"{ORACLE_MARK} (labels)" if self.select == "oracle" else self.select
        selected = "" if self.method == "head" else selected  # of one there is no choice
        marks = [HEAD_DROPOUT] if self.dropout and HEAD_DROPOUT not in self.differences else []
        marks += [f"{self.heads} heads"] if self.heads else []
        settings = [
            self.preset,
            selected,
            *marks,
            *self.differences,
            f"weights {self.weights}" if self.weights else "",
        ]
        head = self.head.upper() if self.head else ""
        method = (
            f"{head} alone"
            if self.method == "head"
            else _METHODS[self.method] + (f" on {head}" if head else "")
        )
        # With a head, the published table calls this backbone by the name of the usual one.
        backbone = self.backbone.removesuffix("_300ep") if self.head else self.backbone
        return method, _BACKBONES.get(backbone, backbone), ", ".join(filter(None, settings))


def markdown_row(metrics: Mapping[str, Any]) -> str:
    """All variants of one row as a Markdown table, in per cent, with the published scores, how far
    the measured ones are from them, in points, and what a reader must know.
    """
    line, published = _Line.of(metrics), metrics["published"]
    method, backbone, settings = line.titles
    dataset = metrics["row"]["dataset"]
    lines = [
        f"{method}, {backbone}, {dataset_title(dataset)}, accuracy / mIoU in %",
        f"({settings})" if line.heads else f"({settings}; seeds: {len(metrics['selection'])})",
        "",
        "| variant | measured | published | difference |",
        "|---|---|---|---|",
    ]
    for variant in _VARIANTS:
        if variant in metrics["variants"]:
            scores = metrics["variants"][variant]
            beside = ("", "")
            if variant == HEADLINE:
                beside = _published(published), _difference(scores, published)
            title = f"{variant} (supervised)" if scores["uses_labels_to_fit"] else variant
            lines.append(f"| {title} | {_cell(scores, '±')} | {beside[0]} | {beside[1]} |")
    return "\n".join([*lines, *_notes([line]), *_figures(metrics)]) + "\n"


def _figures(metrics: Mapping[str, Any]) -> list[str]:
    """Images of the record, as paths below the folder of the row; of several heads, numbers in the
    record are theirs.
    """
    record, heads = (
        metrics.get("record", {}),
        {str(number): name for number, name in enumerate(metrics.get("heads", ()))},
    )
    titles = {number: heads[number] if heads else f"seed {number}" for number in record}
    lines = [
        f"![{name}, {titles[number]}]({path})"
        for number, figures in record.items()
        for name, path in figures.items()
    ]
    return ["", *lines] if lines else []


def latex_row(metrics: Mapping[str, Any]) -> str:
    """The headline variant of one row as a line of a LaTeX table: method, backbone, data set,
    settings, measured, published and, in brackets, the difference.
    """
    line, dataset = _Line.of(metrics), metrics["row"]["dataset"]
    cells = (*line.titles[:2], dataset_title(dataset), line.titles[2])
    measured = _cell(metrics["variants"][HEADLINE], r"$\pm$")
    columns = [*map(_escaped, cells), measured, _beside(metrics, minus="$-$") or "--"]
    return (
        "% method & backbone & data set & settings & accuracy / mIoU & published\n"
        + " & ".join(columns)
        + r" \\"
        + "\n"
    )


def read_metrics(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The metrics of finished rows.

    Raises:
        CheckpointError: If a folder holds no finished row, or its metrics are incomplete.
    """
    found = []
    for folder in folders:
        file = folder / "metrics.json"
        if not file.exists():
            raise CheckpointError(
                f"Expected {folder} to hold a finished row (metrics.json), but it does not. Run"
                " `primaps benchmark` with this folder as --out first."
            )
        metrics = read_json(file)
        if metrics.get("format") != 1 or "variants" not in metrics:
            raise CheckpointError(
                f"Expected {file} to be written by `primaps benchmark`, but it is something else."
            )
        _check(metrics, file)
        found.append(metrics)
    return found


def _check(metrics: Mapping[str, Any], file: Path) -> None:
    """Everything that tables read is there."""
    try:
        markdown_row(metrics)
        latex_row(metrics)
    except (KeyError, TypeError, AttributeError, AssertionError) as error:
        raise CheckpointError(
            f"Expected {file} to be complete, but something is missing or of another kind"
            f" ({type(error).__name__}: {error}). Run `primaps benchmark` with this folder as --out"
            " again."
        ) from error


def joined_tables(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Rows joined into one table: a line per method, backbone and settings, two columns per data
    set.

    Args:
        rows: From `read_metrics`.

    Returns:
        Markdown and LaTeX.

    Raises:
        ConfigError: If there is no row, or two rows belong into one cell.
    """
    if not rows:
        raise ConfigError(
            "Expected folders of finished rows, but got none. Give them after --table."
        )
    cells: dict[_Line, dict[str, Mapping[str, Any]]] = {}
    for metrics in rows:
        cell, dataset = cells.setdefault(_Line.of(metrics), {}), metrics["row"]["dataset"]
        if dataset in cell:
            raise ConfigError(
                f"Expected one row per cell, but two are {', '.join(_Line.of(metrics).titles)} on"
                f" {dataset}. Leave one of them out."
            )
        cell[dataset] = metrics
    present = {metrics["row"]["dataset"] for metrics in rows}
    datasets = [name for name in _COLUMNS if name in present] + sorted(present - set(_COLUMNS))
    return _markdown(cells, datasets), _latex(cells, datasets)


def _markdown(
    cells: Mapping[_Line, Mapping[str, Mapping[str, Any]]], datasets: Sequence[str]
) -> str:
    titles = [dataset_title(name) for name in datasets]
    head = [
        "method",
        "backbone",
        "settings",
        *(text for title in titles for text in (title, "published")),
    ]
    lines = [
        f"Accuracy / mIoU in %, {HEADLINE}; in brackets: points above or below what is published.",
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
    ]
    lines += [
        f"| {' | '.join(_columns(line, by_dataset, datasets, '±'))} |"
        for line, by_dataset in cells.items()
    ]
    return "\n".join([*lines, *_notes(list(cells))]) + "\n"


def _latex(cells: Mapping[_Line, Mapping[str, Mapping[str, Any]]], datasets: Sequence[str]) -> str:
    head = [
        "Method",
        "Backbone",
        "Settings",
        *(text for name in datasets for text in (dataset_title(name), "published")),
    ]
    lines = [
        rf"\begin{{tabular}}{{lll{'cc' * len(datasets)}}}",
        r"\hline",
        " & ".join(map(_escaped, head)) + r" \\",
        r"\hline",
    ]
    for line, by_dataset in cells.items():
        columns = _columns(line, by_dataset, datasets, r"$\pm$")
        lines.append(" & ".join([*map(_escaped, columns[:3]), *columns[3:]]) + r" \\")
    notes = [f"% {note}" for note in _notes(list(cells)) if note]
    return (
        "\n".join(
            [
                f"% Accuracy / mIoU in per cent, {HEADLINE}; in brackets: measured less published.",
                *notes,
                *lines,
                r"\hline",
                r"\end{tabular}",
            ]
        )
        + "\n"
    )


def _columns(
    line: _Line, by_dataset: Mapping[str, Mapping[str, Any]], datasets: Sequence[str], sign: str
) -> list[str]:
    columns = list(line.titles)
    for name in datasets:
        metrics = by_dataset.get(name)
        columns.append(_cell(metrics["variants"][HEADLINE], sign) if metrics else "")
        columns.append(_beside(metrics, "-" if sign == "±" else "$-$") if metrics else "")
    return columns


def _cell(variant: Mapping[str, Any], sign: str) -> str:
    return " / ".join(_number(variant[name], sign) for name in ("accuracy", "miou"))


def _number(value: Mapping[str, float | None], sign: str) -> str:
    mean, deviation = value["mean"], value["std"]
    assert mean is not None
    return (
        f"{mean * 100:.1f}"
        if deviation is None
        else f"{mean * 100:.1f} {sign} {deviation * 100:.1f}"
    )


def _published(scores: Mapping[str, Any] | None) -> str:
    return "" if scores is None else f"{scores['accuracy'] * 100:.1f} / {scores['miou'] * 100:.1f}"


def _difference(
    measured: Mapping[str, Any], scores: Mapping[str, Any] | None, minus: str = "-"
) -> str:
    """Measured less published, in points, of what is printed: rounded before."""
    if scores is None:
        return ""
    points = (
        round(round(measured[name]["mean"] * 100, 1) - round(scores[name] * 100, 1), 1) + 0.0
        for name in ("accuracy", "miou")
    )
    return " / ".join(f"{each:+.1f}" for each in points).replace("-", minus)


def _beside(metrics: Mapping[str, Any], minus: str) -> str:
    """The published scores, and in brackets how far the headline variant is from them."""
    scores = metrics["published"]
    difference = _difference(metrics["variants"][HEADLINE], scores, minus)
    return f"{_published(scores)} ({difference})" if difference else ""


def _notes(lines: Sequence[_Line]) -> list[str]:
    notes = []
    if any(line.select == "oracle" for line in lines):
        notes.append(ORACLE_NOTE)
    if any(line.trial for line in lines):
        notes.append(TRIAL_NOTE)
    return ["", *notes] if notes else []


def _escaped(text: str) -> str:
    return "".join(f"\\{character}" if character in "&%$#_{}" else character for character in text)
