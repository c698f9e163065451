"""The tree of a model's clusters: kept beside the model as ``tree.json``, and read from there."""

from __future__ import annotations

from pathlib import Path

from primaps.errors import CheckpointError
from primaps.naming.class_tree import ClassTree, grow_tree, tree_from_record, tree_record
from primaps.runs.model import Model
from primaps.runs.named_files import NamedFolder
from primaps.runs.store import read_json, write_json
from primaps.types import ClassTable


def tree_of(model: Model) -> ClassTree:
    """The tree of a model: of the directions of its prototypes.

    Each counts alike, however many tokens it owns: by tokens, rare things would be merged first,
    and cuts are worse. Those that own nothing do not count.
    """
    return grow_tree(model.prototypes.numpy(), (model.fit.usage > 0).numpy())


def keep_tree(model: Model, folder: Path) -> None:
    """Write ``tree.json`` into the folder of a model, unless the model's lies there.

    Raises:
        OutputError: If it cannot be written.
    """
    path = folder / "tree.json"
    try:
        known = path.exists() and tree_from_record(read_json(path), model.fingerprint) is not None
    except CheckpointError:
        known = False
    if not known:
        write_json(path, tree_record(tree_of(model), model.fingerprint))


def read_tree(folder: str | Path) -> ClassTree | None:
    """The tree of the clusters of a folder; made from the model where an earlier version kept none.
    Nothing is written.

    Args:
        folder: Of a run, of `predict`, or of a model.

    Returns:
        The tree; None if the folder has no model, as that of `predict`.

    Raises:
        CheckpointError: If the folder is none of these, or the model or its tree is damaged.
    """
    root = NamedFolder.find(Path(folder)).root
    home = next((each for each in (root / "model", root) if (each / "model.json").exists()), None)
    if home is None:
        return None
    path, fingerprint = home / "tree.json", str(read_json(home / "model.json")["fingerprint"])
    known = tree_from_record(read_json(path), fingerprint) if path.exists() else None
    return tree_of(Model.load(home)) if known is None else known


def cluster_titles(table: ClassTable) -> list[str]:
    """What the clusters are called: their number, with the name of their class if it has one."""
    names = {cluster: each.name for each in table.classes for cluster in each.clusters}
    return [
        f"{cluster} {name}" if (name := names.get(cluster)) else str(cluster)
        for cluster in range(table.num_clusters)
    ]
