"""A fit, and the names of its clusters: made with the first fit, carried over to every further one.

Before prototypes are replaced, those that the names are for are put aside, so that even a killed
fit carries them over when it is run again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from primaps.errors import CheckpointError, ConfigError
from primaps.naming.carrying import Carried, carry_over
from primaps.naming.corrections import parse_corrections, resolve
from primaps.naming.table import fresh_table, is_touched
from primaps.naming.table_text import ClassesText, parse_classes, update_classes, write_classes
from primaps.outputs.label_files import read_label_image, read_png_info
from primaps.pipeline.classes import default_colours
from primaps.pipeline.fitting import encoded, fit
from primaps.pipeline.number_of_classes import note_of_many
from primaps.pipeline.sampling import evenly
from primaps.prototypes.classifier import logits
from primaps.runs.model import Model
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import Run
from primaps.runs.store import read_tensors, remove_file, write_tensors
from primaps.types import ClassTable, View

IMAGES: Final = 200
"""Images on which the label maps of two fits are compared at most, evenly spread."""


def fit_and_name(
    run: Run, model_folder: Path | None = None, *, events: Path | None = None, processes: int = 1
) -> Model:
    """As `primaps.pipeline.fitting.fit`; the folder has ``classes.yaml`` for its clusters then.

    Names of another fit are carried over where the label maps of both agree by half; which ones,
    and which classes wait for a cluster, is told. A first model in a folder of its own takes the
    run's names in this way.

    Raises:
        ConfigError: If ``classes.yaml`` or the corrections have a mistake: before the fit.
    """
    folder = run.folder.model if model_folder is None else model_folder
    named = names_of_fit(run, model_folder)
    check_names(named)
    _put_aside(named, folder)
    if run.config.num_clusters is not None:
        note_of_many(run, run.usable_images())
    model = fit(run, model_folder, events=events, processes=processes)
    try:
        _settle(run, named, folder, model)
    except ConfigError as error:  # edited while the fit was at work, which is not lost for that
        run.progress.note(f"Names are left as they are: {error}")
    return model


def names_of_fit(run: Run, model_folder: Path | None) -> NamedFolder:
    """Where the names of a fit lie: with the run, or with a model in a folder of its own."""
    if model_folder is None:
        return NamedFolder(run.folder.root.absolute())
    return NamedFolder.of_model(model_folder)


def check_names(named: NamedFolder) -> None:
    """Refuse mistakes in the names and corrections of a folder before hours of work.

    Raises:
        ConfigError: If there is one; the message names the line.
    """
    text = named.read_classes()
    journal = parse_corrections(named.read_corrections(), str(named.corrections))
    if text is not None:
        resolve(journal, parse_classes(text, str(named.classes), default_colours()).table)


def _aside(folder: Path) -> Path:
    return folder / "named.safetensors"


def _put_aside(named: NamedFolder, folder: Path) -> None:
    """Keep the prototypes that a person named, until their names are carried over."""
    text = named.read_classes()
    if text is None or not (folder / "model.json").exists():
        return
    found = parse_classes(text, str(named.classes), default_colours())
    said = any(is_touched(each) for each in found.table.classes) or named.read_corrections()
    if not said:
        return
    try:
        model = Model.load(folder)
    except CheckpointError:
        return  # the fit tells of it
    if found.model in {None, model.fingerprint}:
        write_tensors(_aside(folder), _tensors(model))


def _tensors(model: Model) -> dict[str, torch.Tensor]:
    return {
        "teacher": model.fit.teacher,
        "cosine": torch.tensor(model.fit.cosine),
        "identity": encoded(model.fingerprint),
    }


def _settle(run: Run, named: NamedFolder, folder: Path, model: Model) -> None:
    with named.lock():
        text = named.read_classes()
        if text is None:
            _first_names(run, named, folder, model)
        else:
            former = parse_classes(text, str(named.classes), default_colours())
            same = former.table.num_clusters == model.num_clusters
            unsaid = former.model is None and not _aside_of(folder, model)
            if same and (former.model == model.fingerprint or unsaid):
                named.refresh_copies()
            else:
                _carry(run, named, text, former, _stored_tensors(folder), model)
        remove_file(_aside(folder))


def _aside_of(folder: Path, model: Model) -> bool:
    """Whether other prototypes than the model's were put aside."""
    known = _stored_tensors(folder)
    return known is not None and not torch.equal(known["identity"], encoded(model.fingerprint))


def _first_names(run: Run, named: NamedFolder, folder: Path, model: Model) -> None:
    """A folder's first names: those of the run if this is another model on its features."""
    fresh = write_classes(fresh_table(model.num_clusters, default_colours()), model.fingerprint)
    own = names_of_fit(run, None)
    text = None if own.root == named.root else own.read_classes()
    if text is None or not (run.folder.model / "model.json").exists():
        named.write_classes(fresh)
        return
    former = parse_classes(text, str(own.classes), default_colours())
    of_run = Model.load(run.folder.model)
    touched = any(is_touched(each) for each in former.table.classes)
    if folder == run.folder.model or not touched or former.model != of_run.fingerprint:
        named.write_classes(fresh)
        return
    _carry(run, named, text, former, _tensors(of_run), model)


def _stored_tensors(folder: Path) -> dict[str, torch.Tensor] | None:
    path = _aside(folder)
    return read_tensors(path) if path.exists() else None


def _carry(
    run: Run,
    named: NamedFolder,
    text: str,
    former: ClassesText,
    prototypes: dict[str, torch.Tensor] | None,
    model: Model,
) -> None:
    fits = (
        prototypes is not None
        and prototypes["teacher"].shape[1] == model.prototypes.shape[1]
        and (former.model is None or torch.equal(prototypes["identity"], encoded(former.model)))
    )
    overlap = label_overlap(run, prototypes if fits else None, former, model)
    known = bool(overlap.any())
    journal = parse_corrections(named.read_corrections(), str(named.corrections))
    said = {int(each.class_id) for each in resolve(journal, former.table)}
    carried = carry_over(former.table, overlap, default_colours(), said)
    named.write_classes(update_classes(text, former, carried.table, model.fingerprint))
    if any(is_touched(each) for each in former.table.classes):
        run.progress.note(_told(carried, former.table, named.root, known=known))


def label_overlap(
    run: Run, prototypes: dict[str, torch.Tensor] | None, former: ClassesText, model: Model
) -> NDArray[np.int64]:
    """(K, L) tokens of the run's images that the former fit gives to cluster k and the new one to
    cluster l.

    Args:
        run: The run whose features the new model was fitted to.
        prototypes: The former ones, if they go with these features; None = label maps that were
            made with them are looked at instead, where such lie in the run folder.
        former: The former names.
        model: The new model.
    """
    counts = np.zeros((former.table.num_clusters, model.num_clusters), dtype=np.int64)
    names = [image.name for image in run.usable_images()]
    for index in evenly(len(names), IMAGES):
        features = run.store.features(names[index], View()).float()
        new = logits(features, model.prototypes, cosine=model.fit.cosine).argmax(dim=0).numpy()
        if prototypes is not None:
            scores = logits(features, prototypes["teacher"], cosine=bool(prototypes["cosine"]))
            old = scores.argmax(dim=0).numpy()
        else:
            path = run.folder.labels(names[index])
            if former.model is None or read_png_info(path).get("model") != former.model:
                continue
            old = read_label_image(path, new.shape)
        inside = old < former.table.num_clusters
        np.add.at(counts, (old[inside], new[inside]), 1)
    return counts


def _told(carried: Carried, former: ClassTable, root: Path, *, known: bool) -> str:
    """What the user should know of names and a new fit."""
    if not known:
        names = ", ".join(each.title for each in former.classes if is_touched(each))
        return (
            "The clusters are new, and those that the names were for are not at hand, so that"
            f" nothing could be carried over. These classes are kept and own no cluster: {names}."
            f" Give them some: primaps classes {root} --merge CLASS=NAME"
        )
    lines = ["The clusters are new. Names carried over (share that the class held before):"]
    by_class: dict[str, list[str]] = {}
    for entry, cluster, share in carried.found:
        by_class.setdefault(entry.title, []).append(f"cluster {cluster} ({share:.0%})")
    lines += [f"  {title}: {', '.join(parts)}" for title, parts in by_class.items()] or ["  none"]
    if carried.waiting:
        lines.append("These classes own no cluster now. Look at the report and give them some:")
        for entry, most, share in carried.waiting:
            best = "" if most is None else f" (it held {share:.0%} of cluster {most})"
            lines.append(
                f"  class {entry.id}, in classes.yaml{best}"
                if entry.name is None
                else f"  primaps classes {root} --merge CLASS={entry.name}{best}"
            )
    return "\n".join(lines)
