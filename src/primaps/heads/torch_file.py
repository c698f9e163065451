"""Read a PyTorch checkpoint without PyTorch's loader: what it holds as plain values, tensors when
they are asked for.
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import torch

from primaps.errors import CheckpointError
from primaps.heads.pickle_reader import Builder, Name, plain_key, read_pickle

_DTYPES: Final = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
# How damaged zip files fail: no entry, bad names, bad numbers, encryption, ...
_DAMAGE: Final = (
    OSError,
    EOFError,
    LookupError,
    ValueError,
    RuntimeError,
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
)
_LARGEST: Final = 2**40  # values of a tensor
_LARGEST_PICKLE: Final = 32 * 2**20  # bytes; tensors lie outside of it
# Classes whose objects, and types whose names, lie in the settings of official checkpoints.
_INERT_PACKAGES: Final = ("omegaconf", "pytorch_lightning")
_INERT_NAMES: Final = frozenset(
    {"argparse.Namespace", "torch.device", "pathlib.PosixPath", "pathlib.WindowsPath"}
    | {
        f"builtins.{name}"
        for name in ("bool", "bytes", "dict", "float", "int", "list", "object", "str", "tuple")
    }
    | {f"typing.{name}" for name in ("Any", "Dict", "List", "Optional", "Tuple", "Union")}
    | {
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.dtype",
        "_codecs.encode",
    }
    | {
        f"torch.{name}"
        for name in ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")
    }
)


@dataclass(frozen=True)
class StoredStorage:
    """The bytes behind tensors of a checkpoint.

    Attributes:
        key: Name of its entry in the file.
        dtype: Of its values.
        length: Number of values.
    """

    key: str
    dtype: torch.dtype
    length: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a checkpoint that has not been read yet.

    Attributes:
        storage: Where its values lie.
        offset: First value.
        shape: Its shape.
        stride: Its strides in values.
    """

    storage: StoredStorage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Of the tensor when it is read."""
        return math.prod(self.shape) * self.storage.dtype.itemsize


def read_torch_file(path: Path) -> Any:
    """What a checkpoint holds, with `StoredTensor` in place of tensors; no code of it is run, no
    tensor is read.

    Args:
        path: A file that ``torch.save`` wrote (PyTorch 1.6 or later: a zip archive).

    Returns:
        Plain values and containers; objects of OmegaConf, Lightning and argparse as inert `Record`.

    Raises:
        CheckpointError: If the file is missing, damaged, of another kind, or holds anything else.
    """
    with _Archive(path) as archive:
        builders: dict[str, Builder] = {
            "torch._utils._rebuild_tensor_v2": _tensor,
            "torch._utils._rebuild_parameter": _parameter,
            "torch.Size": _size,
            "collections.OrderedDict": _dictionary,
            "collections.defaultdict": _empty_dictionary,
            "builtins.set": _set,
        }
        return read_pickle(
            archive.read("data.pkl"), builders, _is_inert, archive.storage, str(path)
        )


def read_stored(path: Path, tensors: Mapping[str, StoredTensor]) -> dict[str, torch.Tensor]:
    """Read tensors of a checkpoint.

    Args:
        path: The file that `read_torch_file` read.
        tensors: Which ones, by name.

    Returns:
        The tensors by name, contiguous, on the CPU.

    Raises:
        CheckpointError: If the file is damaged, or the tensors take more memory than the file has
            bytes.
    """
    with _Archive(path) as archive:
        needed, present = sum(stored.num_bytes for stored in tensors.values()), path.stat().st_size
        if needed > present:
            raise CheckpointError(
                f"Refused to read {path}: its tensors share their values and would take {needed}"
                f" bytes, but it has {present}. Get the file from its official source."
            )
        by_storage: dict[StoredStorage, list[str]] = {}
        for name, stored in tensors.items():
            by_storage.setdefault(stored.storage, []).append(name)
        read: dict[str, torch.Tensor] = {}
        # each storage is read once, however many tensors lie in it
        for storage, names in by_storage.items():
            values = archive.values(storage)
            read |= {name: _part(values, tensors[name]) for name in names}
    return {name: read[name] for name in tensors}


class _Archive:
    """The zip file of a checkpoint: one folder with ``data.pkl`` and one file per storage."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise CheckpointError(
                f"Expected a checkpoint, but {path}"
                f" {'is a folder' if path.is_dir() else 'does not exist'}."
            )
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGE as error:
            raise CheckpointError(self._not_an_archive(error)) from error
        pickles = [
            name
            for name in self._zip.namelist()
            if name.endswith("/data.pkl") and name.count("/") == 1
        ]
        if len(pickles) != 1:
            self._zip.close()
            raise CheckpointError(
                f"Expected {path} to be a checkpoint of PyTorch, but it is another kind of zip"
                " file."
            )
        self._folder = pickles[0].removesuffix("data.pkl")
        if (
            f"{self._folder}byteorder" in self._zip.namelist()
            and self.read("byteorder") != b"little"
        ):
            self._zip.close()
            raise CheckpointError(
                f"Expected {path} to be written on a little-endian machine, but it was not. Save it"
                " anew."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _not_an_archive(self, error: Exception) -> str:
        try:
            with self.path.open("rb") as stream:
                start = stream.read(2)
        except OSError:
            start = b""
        if start == b"\x80\x02":
            return (
                f"Expected {self.path} to be in the zip format of PyTorch 1.6 and later, but it is"
                " in the older one. Load it where you trust it, with torch.load, and save it anew"
                " with torch.save."
            )
        return (
            f"Expected {self.path} to be a checkpoint of PyTorch, but it is damaged or incomplete:"
            f" {error}. Download it again."
        )

    def read(self, name: str) -> bytes:
        try:
            entry = self._zip.getinfo(self._folder + name)
            if entry.compress_type != zipfile.ZIP_STORED:
                raise CheckpointError(
                    f"Expected {self.path} to be a checkpoint of PyTorch, but its entry {name} is"
                    " compressed."
                )
            if name == "data.pkl" and entry.file_size > _LARGEST_PICKLE:
                raise CheckpointError(
                    f"Expected {name} of {self.path} to have at most {_LARGEST_PICKLE} bytes, but"
                    f" it has {entry.file_size}. A checkpoint keeps its tensors elsewhere; get the"
                    " file from its official source."
                )
            return self._zip.read(entry)
        except _DAMAGE as error:
            raise CheckpointError(
                f"Expected {self.path} to hold {name}, but got: {error}. Download it again."
            ) from error

    def storage(self, identifier: Any) -> StoredStorage:
        """The storage behind a persistent id: ("storage", type, key, device, number of values)."""
        if not (
            isinstance(identifier, tuple) and len(identifier) == 5 and identifier[0] == "storage"
        ):
            raise ValueError("it refers to something that is no storage of tensors")
        kind, key, length = identifier[1], identifier[2], identifier[4]
        dtype = _DTYPES.get(kind.qualified) if isinstance(kind, Name) else None
        if dtype is None or not isinstance(key, str) or not _is_count(length):
            raise ValueError("it refers to a storage of tensors in a way that is unknown")
        return StoredStorage(key, dtype, length)

    def values(self, storage: StoredStorage) -> torch.Tensor:
        data = self.read(f"data/{storage.key}")
        if len(data) != storage.length * storage.dtype.itemsize:
            raise CheckpointError(
                f"Expected data/{storage.key} of {self.path} to hold {storage.length} values, but"
                f" got {len(data)} bytes. Download the file again."
            )
        return (
            torch.frombuffer(bytearray(data), dtype=storage.dtype)
            if data
            else torch.empty(0, dtype=storage.dtype)
        )


def _part(values: torch.Tensor, stored: StoredTensor) -> torch.Tensor:
    if 0 in stored.shape:
        return torch.empty(stored.shape, dtype=values.dtype)
    return values.as_strided(stored.shape, stored.stride, stored.offset).clone(
        memory_format=torch.contiguous_format
    )


def _is_inert(qualified: str) -> bool:
    return (
        qualified.partition(".")[0] in _INERT_PACKAGES
        or qualified in _INERT_NAMES
        or qualified in _DTYPES
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    """Of (storage, offset, shape, strides, requires gradient, hooks, ...); every value has to lie
    inside the storage.
    """
    if len(arguments) < 4 or not isinstance(arguments[0], StoredStorage):
        raise ValueError("no storage of tensors")
    storage, offset, shape, stride = arguments[:4]
    if not (
        _is_count(offset)
        and _are_counts(shape)
        and _are_counts(stride)
        and len(shape) == len(stride)
    ):
        raise ValueError("no shape and strides")
    last = offset + sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
    values = math.prod(max(side, 1) for side in shape)
    if values > _LARGEST if 0 in shape else max(last + 1, values) > storage.length:
        raise ValueError(f"a tensor of shape {shape} in a storage of {storage.length} values")
    return StoredTensor(storage, offset, shape, stride)


def _are_counts(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) <= 16 and all(_is_count(item) for item in value)


def _parameter(arguments: tuple[Any, ...]) -> StoredTensor:
    if not arguments or not isinstance(arguments[0], StoredTensor):
        raise ValueError("no tensor")
    return arguments[0]


def _size(arguments: tuple[Any, ...]) -> tuple[int, ...]:
    if len(arguments) != 1 or not _are_counts(arguments[0]):
        raise ValueError("no shape")
    shape: tuple[int, ...] = arguments[0]
    return shape


def _dictionary(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if arguments:
        raise ValueError("entries in an unknown form")
    return {}


def _empty_dictionary(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    del arguments  # what missing entries would be made of
    return {}


def _set(arguments: tuple[Any, ...]) -> set[Any]:
    if (
        len(arguments) != 1
        or not isinstance(arguments[0], list)
        or not all(isinstance(item, str | int) for item in arguments[0])
    ):
        raise ValueError("no list of texts or numbers")
    return {plain_key(item) for item in arguments[0]}
