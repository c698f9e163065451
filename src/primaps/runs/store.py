"""On-disk store of features and proposals: one safetensors shard per image, atomic writes, a
readable manifest.

One shard per image (not per batch of images) makes the image the unit of resuming: a killed run
redoes at most the image it was working on, and a changed photograph replaces exactly one file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from primaps.errors import CheckpointError, OutputError
from primaps.runs.checksums import refuse_damaged, with_checksum
from primaps.runs.records import (
    Check,
    check_record,
    is_number,
    is_text,
    list_of,
    maybe,
    tuple_of,
    with_keys,
)
from primaps.types import MaskProposals, ReadingNote, View

if TYPE_CHECKING:
    import torch

    from primaps.runs.digest import Digest

TEMPORARY_SUFFIX = ".primaps-tmp"
LOCK_NAME = ".primaps-lock"
EXPORT_RECORD = ".primaps-export"
"""Hidden folder by which an export of this package is known."""
_FORMAT = "primaps-shard-1"
_UNUSABLE = (OSError, LookupError, ValueError, RecursionError, CheckpointError)
_SOUND: dict[Path, tuple[int, int]] = {}
"""Size and time of change of shards whose checksum was found right in this process."""
_HELD: dict[str, int] = {}  # file descriptors of this process's locks by folder


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file so that it is either complete or absent: temporary name in the same folder, then
    rename.

    Args:
        path: Target; missing parent folders are made.
        data: The whole content.

    Raises:
        OutputError: If the folder is read-only, the disk is full, or a part of the path is a file.
    """
    atomic_write_parts(path, (data,))


def atomic_write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """As `atomic_write`, of a file that need not be in memory as a whole.

    Args:
        path: Target; missing parent folders are made.
        parts: The content, in order.

    Raises:
        OutputError: As `atomic_write`.
    """
    temporary = path.parent / f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            for part in parts:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(write_problem(path, error)) from error
    finally:
        # renamed by now, or what an error or an interruption left
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_problem(path: Path, error: OSError) -> str:
    """Why a file could not be written, and what to do, as the message of an `OutputError`."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return (
            f"The disk is full: {path} could not be written. Free some space and run the same"
            " command again; it resumes."
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return (
            f"Expected to be allowed to write {path}, but the folder is read-only. Choose another"
            " folder, or have this one made writable."
        )
    if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
        return (
            f"Expected {path} to be a writable file in a folder, but a part of this path is"
            " something else. Choose another folder."
        )
    return f"Could not write {path}: {error.strerror or error}."


def remove_file(path: Path) -> None:
    """Delete a file if it is there.

    Raises:
        OutputError: If it may not be deleted.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(write_problem(path, error)) from error


def remove_temporaries(root: Path) -> None:
    """Delete what killed writers left behind below ``root``, but not in folders below it that have
    a lock of their own.

    Another process may be writing there; whoever holds such a folder tidies it up.
    """
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if not (Path(folder) / name / LOCK_NAME).exists()]
        for name in files:
            if name.startswith(".") and name.endswith(TEMPORARY_SUFFIX):
                # a left-over that cannot be deleted does no harm
                with contextlib.suppress(OSError):
                    (Path(folder) / name).unlink()


def hold(root: Path) -> None:
    """Keep other processes from working in a folder until `release`, or until this process ends in
    whatever way.

    The lock is one of the operating system on a hidden file, so a killed process leaves none. Not
    enforced on Windows, and on network file systems without locks.

    Raises:
        OutputError: If another process holds the folder, or it cannot be written.
    """
    if sys.platform == "win32":
        return
    import fcntl

    release(root)
    path = root / LOCK_NAME
    try:
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OutputError(write_problem(path, error)) from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in {errno.EACCES, errno.EAGAIN}:
            return
        raise OutputError(
            f"Expected to be the only command at work in {root}, but another one is. Wait for it to"
            " end, or choose another folder."
        ) from error
    _HELD[os.path.realpath(root)] = descriptor


def release(root: Path) -> None:
    """Let other processes work in a folder again; nothing happens if it is not held."""
    descriptor = _HELD.pop(os.path.realpath(root), None)
    if descriptor is not None:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON (sorted as given, two spaces, UTF-8) atomically.

    Raises:
        OutputError: If it cannot be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_write(path, text.encode("utf-8", errors="surrogateescape"))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: If the file is missing, damaged, or not an object.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        value = json.loads(text, parse_constant=_no_number)
    except FileNotFoundError as error:
        raise CheckpointError(f"Expected a file {path}, but there is none.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"Expected {path} to be readable JSON, but got: {error}.") from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"Expected {path} to hold a JSON object, but got {type(value).__name__}."
        )
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no number of JSON")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object per line.

    Raises:
        CheckpointError: If a line is none, or the file cannot be read.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
        values = [json.loads(line, parse_constant=_no_number) for line in lines]
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"Expected {path} to hold one JSON object per line, but got: {error}. Delete it."
        ) from error
    for value in values:
        if not isinstance(value, dict):
            raise CheckpointError(
                f"Expected {path} to hold one JSON object per line, but got {repr(value)[:80]}."
                " Delete it."
            )
    return values


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors as safetensors, atomically, with a checksum in their metadata.

    Raises:
        OutputError: If the file cannot be written.
    """
    from safetensors.torch import save

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    atomic_write_parts(path, with_checksum(save(contiguous, dict(metadata) if metadata else None)))


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read all tensors of a safetensors file.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with path.open("rb") as stream:
            refuse_damaged(stream)
        tensors: dict[str, torch.Tensor] = load_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"Expected a file {path}, but there is none.") from error
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"Expected {path} to be a safetensors file, but got: {error}."
        ) from error
    return tensors


def fingerprint(value: Any) -> str:
    """Short stable hash of a JSON value: equal settings give equal fingerprints on every
    machine.
    """
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:16]


@dataclass(frozen=True)
class ShardInfo:
    """What the store knows about one image without reading its tensors.

    Attributes:
        settings: Fingerprint of everything that determined the content.
        sha256: Of the image file's bytes.
        file_size: Of the image file in bytes.
        mtime_ns: Of the image file when it was read.
        height: Of the image at its own size, after EXIF orientation.
        width: Likewise.
        num_masks: K.
        coverage: Fraction of pixels that belong to a proposal.
        scores: (K,) mean cosine similarity of each proposal to its anchor.
        guards: Degenerate cases that were handled.
        values: Kind, low and high of the range that values deeper than 8 bits were stretched by,
            the image's own or the folder's; None = it has 8 bits.
        ignored: Fraction of the pixels that hold no data.
        notes: What was done to the image because it is not plain 8-bit RGB.
    """

    settings: str
    sha256: str
    file_size: int
    mtime_ns: int
    height: int
    width: int
    num_masks: int
    coverage: float
    scores: tuple[float, ...]
    guards: tuple[str, ...]
    values: tuple[str, float, float] | None = None
    ignored: float = 0.0
    notes: tuple[ReadingNote, ...] = ()


_USUALLY: dict[str, Any] = {"values": None, "ignored": 0.0, "notes": ()}


def info_record(info: ShardInfo) -> dict[str, Any]:
    """JSON values; of plain 8-bit RGB images those that earlier versions wrote too."""
    record = asdict(info)
    return {key: value for key, value in record.items() if _USUALLY.get(key, record) != value}


def _is_size(value: Any) -> bool:
    """A whole number; nanoseconds are beyond those that `is_whole` takes."""
    return type(value) is int and 0 <= value < 2**63


_EXPECTED: dict[str, Check] = {
    **dict.fromkeys(("settings", "sha256"), is_text),
    **dict.fromkeys(("file_size", "mtime_ns", "height", "width", "num_masks"), _is_size),
    "coverage": is_number,
    "scores": list_of(is_number),
    "guards": list_of(is_text),
}


def info_from_record(fields: Any, path: Path) -> ShardInfo:
    """What `info_record` was made of.

    Raises:
        CheckpointError: If something in it is not as expected.
    """
    further = {
        "values": maybe(tuple_of(is_text, is_number, is_number)),
        "ignored": is_number,
        "notes": list_of(with_keys({"kind": is_text, "text": is_text}, ("kind", "text"))),
    }
    check_record(fields, {**_EXPECTED, **further}, path, "Segment again.", tuple(_EXPECTED))
    values = fields.get("values")
    changed = {
        "scores": tuple(fields["scores"]),
        "guards": tuple(fields["guards"]),
        "values": None if values is None else tuple(values),
        "notes": tuple(ReadingNote(**each) for each in fields.get("notes", ())),
    }
    known = {key: fields[key] for key in (*_EXPECTED, "ignored") if key in fields}
    return ShardInfo(**{**known, **changed})


class FeatureStore:
    """Features and proposals of a run, by image name.

    Args:
        root: Folder of the store; made on the first write.
        settings: Fingerprint of the settings; shards written under other settings count as absent.
        views: The views of an image, in order; a shard holds all of them, or the first ones.
        digest: What is known of images that have no shard any more.
    """

    def __init__(
        self, root: Path, settings: str, views: Sequence[View], digest: Digest | None = None
    ) -> None:
        self.root = root
        self.settings = settings
        self.views = tuple(views)
        self.digest = digest

    def path(self, name: str) -> Path:
        """Where the shard of image ``name`` lies."""
        return self.root / f"{name}.safetensors"

    def info(self, name: str) -> ShardInfo | None:
        """What is known of an image, from its shard or the digest, or None if there is nothing
        usable under these settings.
        """
        found, _ = self._shard(name)
        if found is None and self.digest is not None:
            known = self.digest.infos.get(name)
            return known if known is not None and known.settings == self.settings else None
        return found

    def held(self, name: str) -> int:
        """How many of the views, from the first one on, are stored of an image under these
        settings.
        """
        return self._shard(name)[1]

    def _shard(self, name: str) -> tuple[ShardInfo | None, int]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path(name), framework="pt") as shard:
                metadata = shard.metadata() or {}
                if metadata.get("format") != _FORMAT:
                    return None, 0
                held = shard.get_slice("features").get_shape()[0]
            info = info_from_record(json.loads(metadata["info"]), self.path(name))
        except (*_UNUSABLE, SafetensorError):
            return None, 0  # absent, damaged, or left by a foreign program: it is made again
        return (info, held) if info.settings == self.settings else (None, 0)

    def is_current(self, name: str, image_path: Path) -> bool:
        """Whether the shard was made from the file's present content.

        An equal size and modification time is taken as unchanged; otherwise the content decides.
        """
        info = self.info(name)
        if info is None:
            return False
        try:
            status = image_path.stat()
            if (status.st_size, status.st_mtime_ns) == (info.file_size, info.mtime_ns):
                return True
            return (
                status.st_size == info.file_size
                and hashlib.sha256(image_path.read_bytes()).hexdigest() == info.sha256
            )
        except OSError:
            return False  # unreadable now: reading it again will say why

    def write(
        self, name: str, features: torch.Tensor, proposals: MaskProposals, info: ShardInfo
    ) -> None:
        """Store one image.

        Args:
            name: Image name.
            features: (V, C, h, w) float; kept as float16.
            proposals: At working size.
            info: Its description.

        Raises:
            OutputError: If the shard cannot be written, or the features do not fit float16.
        """
        import torch

        half = features.to(device="cpu", dtype=torch.float16)
        if not torch.isfinite(half).all():
            raise OutputError(
                f"Expected finite features below 65504 for {name}, but some do not fit float16."
            )
        smallest = torch.uint8 if proposals.num_masks < 256 else torch.int32
        tensors = {
            "features": half,
            "proposals": torch.from_numpy(proposals.label_image).to(smallest),
        }
        write_tensors(
            self.path(name), tensors, {"format": _FORMAT, "info": json.dumps(info_record(info))}
        )

    def thin(self, name: str) -> None:
        """Leave the plain view of an image alone, which is the first one.

        Raises:
            CheckpointError: If the shard is damaged.
            OutputError: If it cannot be written.
        """
        with self._open(name) as shard:
            metadata, features = shard.metadata(), shard.get_slice("features")
            if features.get_shape()[0] == 1:
                return
            # clones: the file that they are mapped from is replaced
            tensors = {
                "features": features[:1].clone(),
                "proposals": shard.get_tensor("proposals").clone(),
            }
        write_tensors(self.path(name), tensors, metadata)

    def features(self, name: str, view: View) -> torch.Tensor:
        """(C, h, w) float16 features of one view, read from disk.

        Raises:
            CheckpointError: If the shard is missing or damaged, or was kept without this view.
        """
        position = self.views.index(view)
        with self._open(name) as shard:
            stored = shard.get_slice("features")
            shape = stored.get_shape()
            if len(shape) != 4 or stored.get_dtype() != "F16":
                raise ValueError(f"features of shape {shape} and type {stored.get_dtype()}")
            if position >= shape[0]:
                raise CheckpointError(
                    f"Expected all views of {name} in {self.path(name)}, but only plain ones were"
                    " kept (--store light). Run the proposals stage again with --store full."
                )
            rows: torch.Tensor = stored[position]
        return rows

    def proposals(self, name: str) -> torch.Tensor:
        """(H, W) int64 proposal ids at working size.

        Raises:
            CheckpointError: If the shard is missing or damaged.
        """
        return self.proposals_as_stored(name).long()

    def proposals_as_stored(self, name: str) -> torch.Tensor:
        """(H, W) uint8 or int32 proposal ids at working size, mapped into memory.

        Raises:
            CheckpointError: If the shard is missing or damaged.
        """
        with self._open(name) as shard:
            labels: torch.Tensor = shard.get_tensor("proposals")
            if labels.ndim != 2 or labels.is_floating_point():
                raise ValueError(f"proposals of shape {tuple(labels.shape)} and {labels.dtype}")
        return labels

    def is_sound(self, name: str) -> bool:
        """Whether a shard is as it was written, by its checksum. Those of earlier versions have
        none and count as sound, as do those that are not there.
        """
        try:
            self._check(name)
        except FileNotFoundError:
            return True
        except (OSError, ValueError):
            return False
        return True

    def _check(self, name: str) -> None:
        """Compare the checksum of a shard, once as long as its file is not touched.

        Raises:
            OSError: If it cannot be read.
            ValueError: If it is damaged.
        """
        path = self.path(name)
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns)
        if _SOUND.get(path) != stamp:
            with path.open("rb") as stream:
                refuse_damaged(stream)
            _SOUND[path] = stamp

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[Any]:
        from safetensors import SafetensorError, safe_open

        try:
            self._check(name)
            with safe_open(self.path(name), framework="pt") as shard:
                yield shard
        except (OSError, ValueError, IndexError, SafetensorError) as error:
            raise CheckpointError(
                f"Expected stored features of {name} in {self.path(name)}, but got: {error}. Delete"
                " the file if it is there. Run the proposals stage again with the same --out, with"
                " --store full if the store was not kept."
            ) from error

    def source(self, names: Sequence[str]) -> StoredImages:
        """The stored images with these names as a source to fit prototypes to."""
        return StoredImages(self, tuple(names))


class StoredImages:
    """A `FeatureSource` over a store: index -> image, in the order of ``names``."""

    def __init__(self, store: FeatureStore, names: tuple[str, ...]) -> None:
        self.store = store
        self.names = names

    @property
    def views(self) -> tuple[View, ...]:
        """The views that every image has."""
        return self.store.views

    def __len__(self) -> int:
        return len(self.names)

    def features(self, index: int, view: View) -> torch.Tensor:
        """(C, h, w) float16 features of one view of image ``index``."""
        return self.store.features(self.names[index], view)

    def proposals(self, index: int) -> torch.Tensor:
        """(H, W) uint8 or int32 proposal ids of image ``index``, 0 = unassigned."""
        return self.store.proposals_as_stored(self.names[index])
