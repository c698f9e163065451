"""Models on the Hugging Face hub: sent with their names, head and card, and fetched again."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from primaps.errors import CheckpointError, ConfigError, OutputError
from primaps.features.hub import brief, hub_is_known, no_network, why_refused
from primaps.features.hub_files import HubFile, NotFetchedError, fetch_file
from primaps.features.registry import find_spec
from primaps.heads.files import head_record
from primaps.outputs.model_card import CardFacts, Measured, model_card
from primaps.pipeline.classes import save_classes
from primaps.runs.model import Model
from primaps.types import ClassTable
from primaps.version import __version__

CARD: Final = "README.md"
HEAD: Final = "head"
"""Folder of the head within a model on the hub."""
FILES: Final = (
    "model.json",
    "prototypes.safetensors",
    "classes.yaml",
    CARD,
    f"{HEAD}/*",
)
"""What a model on the hub consists of; nothing else is sent or fetched."""


@dataclass(frozen=True)
class Hub:
    """Where a model lies on the hub.

    Attributes:
        repo_id: ``owner/name``.
        token: Of the user; None = the one that `hf auth login` stored.
    """

    repo_id: str
    token: str | None = None


def push_model(
    hub: Hub,
    model: Model,
    classes: ClassTable,
    source: Path | None,
    *,
    private: bool,
    measured: Measured | None,
) -> str:
    """Send a model with its names, head and card.

    Args:
        hub: Where to; made if it does not exist.
        model: The model.
        classes: Its names.
        source: Folder that it came from; None = it was just fitted.
        private: Nobody else sees it.
        measured: Scores for the card.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: If it shall be private, but exists and is public.
        CheckpointError: If the head's folder has gone.
        OutputError: If it cannot be sent.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=hub.token, library_name="primaps")
    with tempfile.TemporaryDirectory(prefix="primaps-") as temporary:
        folder = Path(temporary)
        write_model(folder, hub.repo_id, model, classes, source, measured=measured)
        try:
            api.create_repo(hub.repo_id, private=private, exist_ok=True)
            is_public = private and not api.model_info(hub.repo_id).private
            if not is_public:
                commit = api.upload_folder(
                    repo_id=hub.repo_id,
                    folder_path=folder,
                    allow_patterns=list(FILES),
                    delete_patterns=f"{HEAD}/*",  # of a model that was there before
                    commit_message="Model of primaps",
                )
        except Exception as error:  # no network, no permission, no such owner: one remedy
            raise OutputError(
                f"Could not send the model to {hub.repo_id!r} ({brief(error)}). Check the name,"
                " the network, and that the token may write: hf auth login."
            ) from error
    if is_public:
        raise ConfigError(
            f"Expected {hub.repo_id!r} to be private, but it exists and is public. Nothing was"
            " sent. Choose another name, or make it private on the hub first."
        )
    return str(commit.commit_url)


def write_model(
    folder: Path,
    repo_id: str,
    model: Model,
    classes: ClassTable,
    source: Path | None,
    *,
    measured: Measured | None = None,
) -> None:
    """Write a model as it lies on the hub; no path of this machine is in it.

    Args:
        folder: Empty.
        repo_id: Its name there.
        model: The model.
        classes: Its names.
        source: Folder that it came from; None = it was just fitted.
        measured: Scores for the card.

    Raises:
        CheckpointError: If the head's folder has gone.
        OutputError: If something cannot be written.
    """
    beside = None if model.head is None else _copy_head(Path(model.head), folder / HEAD)
    # in use unless somebody gave other weights
    goes_along = beside is not None and model.weights == str(Path(str(model.head)) / beside)
    sent = dataclasses.replace(
        model,
        weights=str((folder / HEAD / str(beside)).absolute()) if goes_along else None,
        head=None if model.head is None else str((folder / HEAD).absolute()),
    )
    sent.save(folder)
    save_classes(classes, model.fingerprint, source, folder)
    facts = _facts(repo_id, model, classes, measured, has_weights=goes_along)
    (folder / CARD).write_text(model_card(facts), encoding="utf-8")


def _copy_head(head: Path, target: Path) -> str | None:
    """Copy a head, and the weights of the backbone if they lie beside it.

    Returns:
        Name of the weights file; None = there is none.
    """
    record = head_record(head)
    beside: str | None = record["weights"]
    target.mkdir()
    for name in ("head.json", "head.safetensors", *([] if beside is None else [beside])):
        shutil.copyfile(head / name, target / name)
    return beside


def _facts(
    repo_id: str,
    model: Model,
    classes: ClassTable,
    measured: Measured | None,
    *,
    has_weights: bool,
) -> CardFacts:
    described: dict[str, Any] = dict(model.backbone)
    spec = find_spec(str(described["name"]))
    images = model.settings.get("images")
    from_file = model.weights is not None and not has_weights
    return CardFacts(
        repo_id=repo_id,
        version=__version__,
        images=None if images is None else int(images),
        method=str(model.settings.get("method", "em")),
        size=model.size,
        classes=classes,
        backbone=spec.name,
        source=spec.source,
        training=spec.training,
        licence=str(described["licence"]),
        weights_sha256=str(described["weights_sha256"]) if from_file else None,
        head=None if model.head is None else str(described["head"]["kind"]),
        measured=measured,
    )


def fetch_model(hub: Hub, revision: str | None) -> Path:
    """The folder of a model from the hub, in the hub's cache, downloaded if it is not there yet.

    Args:
        hub: Where it lies.
        revision: Branch, tag or commit; None = the newest.

    Raises:
        CheckpointError: If it cannot be had.
    """
    from huggingface_hub import snapshot_download

    known = hub_is_known()
    try:
        if known:
            _fetch_tensors(hub, revision)
        found = snapshot_download(
            hub.repo_id,
            revision=revision,
            token=hub.token,
            allow_patterns=list(FILES),
            local_files_only=not known,
            library_name="primaps",
        )
    except Exception as error:  # no network, no such model, no permission
        reason = no_network("it")
        if known:
            told = isinstance(error, NotFetchedError)
            reason = str(error) if told else why_refused(error, hub.repo_id, hub.token)
        raise CheckpointError(
            f"Expected a model {hub.repo_id!r} on the hub, but it cannot be had: {reason}. Check"
            " the name, the revision and the network; a private model needs a token."
        ) from error
    return Path(found)


def _fetch_tensors(hub: Hub, revision: str | None) -> None:
    """Bring the large files of a model into the hub's cache, so that one that was cut goes on."""
    from huggingface_hub import HfApi

    api = HfApi(token=hub.token, library_name="primaps")
    try:
        info = api.model_info(hub.repo_id, revision=revision)
    except Exception:  # noqa: BLE001 - whatever it is, who asks next says it, or finds the cache
        return
    for name in (each.rfilename for each in info.siblings or ()):
        wanted = any(fnmatch(name, pattern) for pattern in FILES)
        if wanted and name.endswith(".safetensors"):
            fetch_file(HubFile(hub.repo_id, name, info.sha, hub.token))
