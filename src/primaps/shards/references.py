"""From folders, URLs and tar files to references: where each image lies and what it is called,
without having been read.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from primaps.data.image_names import Namer, absolute
from primaps.data.paths import is_printable, printable
from primaps.data.patterns import has_wildcard, split_pattern
from primaps.data.scanning import is_image_name, is_run_folder, is_run_record, look, scan
from primaps.errors import CheckpointError, DatasetError, ImageError, PlaceError
from primaps.shards.places import Found, is_url, listed, place_of
from primaps.shards.tar_files import Refused, read_members, safe_name
from primaps.types import Failure, ImageFile

TAR: Final = ".tar"
_BRACES: Final = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}/]*,[^{}/]*))\}")
_MOST_BRACES: Final = 1_000_000
_BUFFER: Final = 4 * 1024 * 1024
_COMPRESSED: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an image lies.

    Attributes:
        name: Of the image; unique, names its outputs. Of a member of a tar file:
            ``<tar file without .tar>/<member>``.
        url: Absolute path or URL of the file, or of the tar file that holds it.
        size: Of the image in bytes.
        stamp: Differs where the content differs, as far as a listing tells: the time of the last
            change in nanoseconds on disk, an entity tag or a time in an object store.
        member: Name in the tar file; None = the file is the image.
        offset: Of its first byte in the tar file.
    """

    name: str
    url: str
    size: int
    stamp: str
    member: str | None = None
    offset: int | None = None

    @property
    def place(self) -> str:
        """Where it lies, as failures name it."""
        return self.url if self.member is None else f"{self.url}, member {self.member}"

    def record(self) -> dict[str, Any]:
        """JSON values; `from_record` reads them back."""
        fields = {"name": self.name, "url": self.url, "size": self.size, "stamp": self.stamp}
        if self.member is None:
            return fields
        return {**fields, "member": self.member, "offset": self.offset}


def from_record(record: Mapping[str, Any]) -> Reference:
    """The reference of a record.

    Raises:
        CheckpointError: If it is none.
    """
    kinds: dict[str, type] = {"name": str, "url": str, "size": int, "stamp": str}
    if "member" in record:
        kinds |= {"member": str, "offset": int}
    if set(record) != set(kinds) or not all(
        type(record[key]) is kind for key, kind in kinds.items()
    ):
        raise CheckpointError(f"Expected a reference to an image, but got {dict(record)!r:.200}.")
    return Reference(**record)


@dataclass(frozen=True)
class Listing:
    """What inputs contain.

    Attributes:
        references: Sorted by name.
        failures: Inputs that cannot be used (stage "scan").
        passed_over: Number of other files by lower-case extension, sorted by extension.
        runs: Run folders in the inputs, which were not entered.
    """

    references: tuple[Reference, ...]
    failures: tuple[Failure, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    runs: tuple[str, ...] = ()


def list_references(inputs: Sequence[str | Path], exclude: str | Path | None = None) -> Listing:
    """Find images in folders, URLs and tar files.

    Folders and files on disk are scanned by `primaps.data.scanning.scan`, under the same names.
    URLs of folders are listed recursively by the same rules, ``*`` and ``?`` are a pattern, and
    ``{000..099}`` counts, ``{a,b}`` lists. Tar files, also those in folders, are taken as folders
    of the images in them; they must not be compressed.

    Args:
        inputs: Files, folders, glob patterns, URLs.
        exclude: Folder or URL that is not entered, normally the outputs.

    Raises:
        DatasetError: If there is no image at all, or an input is the excluded folder itself.
        ConfigError: If a URL is none that can be used.
        MissingExtraError: If the package for a kind of URL is not installed.
    """
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    expanded = [_local_if_file(each) for one in given for each in expand_braces(one)]
    local_exclude = None if exclude is None or is_url(exclude) else Path(exclude)
    tars = list(_local_tars(expanded, local_exclude))
    if not tars and not any(is_url(each) for each in expanded):
        found = scan(expanded, exclude=local_exclude)
        return Listing(
            tuple(_local_reference(image, image.name) for image in found.images),
            found.failures,
            found.passed_over,
            tuple(map(str, found.runs)),
        )
    lister = _Lister(None if exclude is None else place_of(exclude).url)
    lister.add_local(
        [each for each in expanded if not is_url(each) and not _is_local_tar(each)], local_exclude
    )
    for root, path in tars:
        lister.add_local_tar(root, path)
    for each in expanded:
        if is_url(each):
            lister.add_url(str(each))
    listing = lister.result()
    if not listing.references:
        raise DatasetError(_nothing_found(given, listing))
    return listing


def _local_if_file(given: str | Path) -> str | Path:
    """A ``file://`` URL as the path that it is."""
    place = place_of(given) if is_url(given) else None
    return place.url if place is not None and place.is_local else given


def expand_braces(given: str | Path) -> list[str | Path]:
    """What ``{000..099}`` and ``{a,b}`` in an input stand for; itself where there are none, or a
    file has just this name.

    Raises:
        DatasetError: If it stands for more than a million inputs.

    Examples:
        >>> expand_braces("x-{08..10}.tar")
        ['x-08.tar', 'x-09.tar', 'x-10.tar']
    """
    text = str(given)
    match = _BRACES.search(text)
    if match is None or (not is_url(given) and os.path.lexists(text)):
        return [given]
    pieces: list[list[str]] = []
    position = 0
    for match in _BRACES.finditer(text):
        pieces += [[text[position : match.start()]], _alternatives(match)]
        position = match.end()
    pieces.append([text[position:]])
    count = 1
    for piece in pieces:
        count *= len(piece)
    if count > _MOST_BRACES:
        raise DatasetError(f"Expected at most {_MOST_BRACES} inputs, but {text!r} stands for more.")
    return ["".join(each) for each in itertools.product(*pieces)]


def _alternatives(match: re.Match[str]) -> list[str]:
    low, high, names = match.groups()
    if names is not None:
        return list(dict.fromkeys(names.split(",")))
    if len(high) > 7 or int(high) - int(low) >= _MOST_BRACES:
        raise DatasetError(f"Expected at most {_MOST_BRACES} inputs, but {match[0]} is more.")
    return [f"{number:0{len(low)}d}" for number in range(int(low), int(high) + 1)]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A reference that is yet to be named: what Namer wants, and all else."""

    root: Path
    path: Path
    url: str
    size: int
    stamp: str
    member: str | None = None
    offset: int | None = None


class _Lister:
    """State of one listing."""

    def __init__(self, exclude: str | None) -> None:
        self._exclude = exclude
        self._entries: list[_Entry] = []
        self._roots: dict[Path, bool] = {}
        self._failures: dict[str, Failure] = {}
        self._passed_over: Counter[str] = Counter()
        self._runs: set[str] = set()

    def add_local(self, inputs: Sequence[str | Path], exclude: Path | None) -> None:
        """Scan what lies on disk."""
        found = look(inputs, exclude=exclude)
        roots = sorted(_local_roots(inputs), key=lambda root: len(root.parts))
        for root in roots:
            self._root(root, folder=root.is_dir())
        for image in found.images:
            path = absolute(image.path)
            root = next(
                (each for each in reversed(roots) if path.is_relative_to(each)), path.parent
            )
            self._root(root, folder=False)
            reference = _local_reference(image, image.name)
            self._entries.append(_Entry(root, path, reference.url, reference.size, reference.stamp))
        for failure in found.failures:
            self._failures.setdefault(failure.path, failure)
        # tar files are taken apart from the others
        self._passed_over.update({k: n for k, n in found.passed_over.items() if k != TAR})
        self._runs.update(map(str, found.runs))

    def add_local_tar(self, root: Path, path: Path) -> None:
        """Take the images of a tar file on disk.

        Args:
            root: What its name is relative to, absolute.
            path: Of the tar file.
        """
        self._root(root, folder=path.parent != root)
        if not is_printable(path):
            self._fail(printable(path), _UNSAFE)
            return
        try:
            status = path.stat()
            with path.open("rb") as stream:

                def read(start: int, count: int) -> bytes:
                    stream.seek(start)
                    return stream.read(count)

                found = Found(path.name, status.st_size, str(status.st_mtime_ns))
                self._take_tar(root, absolute(path), str(absolute(path)), found, read)
        except OSError as error:
            self._fail(str(path), f"Expected a readable tar file, but got: {error.strerror}.")

    def add_url(self, given: str) -> None:
        """Take what a URL names: a file, a folder or a pattern."""
        place = place_of(given)
        try:
            root, files = listed(place.url)
        except PlaceError as error:
            self._fail(place.url, str(error))
            return
        if not files:
            self._fail(
                place.url,
                "Expected a file, a folder or a pattern, but there is nothing at this address."
                " Check it.",
            )
        pseudo = _as_path(root)
        alone = len(files) == 1 and f"{root}/{files[0].path}" == place.url
        self._root(pseudo, folder=not alone and not has_wildcard(given))
        skipped = self._runs_in(root, files)
        for found in files:
            url = f"{root}/{found.path}"
            if self._is_excluded(url) or any(found.path.startswith(run) for run in skipped):
                continue
            if not alone and any(part.startswith(".") for part in found.path.split("/")):
                continue
            self._take_remote(pseudo, url, found, alone=alone)

    def _take_remote(self, root: Path, url: str, found: Found, *, alone: bool) -> None:
        suffix = PurePosixPath(found.path).suffix.lower()
        if suffix == TAR and safe_name(found.path) is not None:
            place = place_of(url)
            buffered = _Buffered(lambda start, size: place.read_range("", start, size), found.size)
            self._take_tar(root, root / found.path, url, found, buffered.read)
        elif suffix != TAR and not alone and not is_image_name(Path(found.path)):
            self._passed_over[suffix] += 1
            if found.path.lower().endswith(_COMPRESSED):
                self._fail(url, _COMPRESSED_TAR)
        elif safe_name(found.path) is None:
            self._fail(url, _UNSAFE)
        else:
            self._entries.append(_Entry(root, root / found.path, url, found.size, found.stamp))

    def _take_tar(
        self,
        root: Path,
        path: Path,
        url: str,
        found: Found,
        read: Callable[[int, int], bytes],
    ) -> None:
        """Take the images of a tar file; the first of several with one name."""
        names: set[str] = set()
        try:
            for member in read_members(read, found.size):
                is_image = is_image_name(Path(member.name))
                shown = f"{url}, member {printable(member.name)}"
                if isinstance(member, Refused):
                    if is_image and member.kind != "a folder":
                        self._fail(shown, f"Expected an image file, but this is {member.kind}.")
                    continue
                name = safe_name(member.name)
                if name is not None and any(part.startswith(".") for part in name.split("/")):
                    continue
                if not is_image:
                    self._passed_over[PurePosixPath(member.name).suffix.lower()] += 1
                elif name is None:
                    self._fail(shown, _UNSAFE)
                elif name in names:
                    self._fail(f"{shown} at byte {member.offset}", _TWICE)
                else:
                    names.add(name)
                    inner = path.with_name(path.name[: -len(TAR)]) / name
                    self._entries.append(
                        _Entry(
                            root, inner, url, member.size, found.stamp, member.name, member.offset
                        )
                    )
        except (ImageError, PlaceError) as error:
            self._fail(url, str(error))

    def result(self) -> Listing:
        """The references, named."""
        namer = Namer(self._roots, [root for root, folder in self._roots.items() if folder])
        named: dict[str, Reference] = {}
        places: set[tuple[str, int | None]] = set()
        for entry in sorted(self._entries, key=lambda each: (each.url, each.offset or 0)):
            if (entry.url, entry.offset) in places:
                continue  # given twice
            places.add((entry.url, entry.offset))
            name = namer.name(entry.root, entry.path)
            reference = Reference(
                name, entry.url, entry.size, entry.stamp, entry.member, entry.offset
            )
            other = named.setdefault(name, reference)
            if other is not reference:
                self._fail(
                    reference.place,
                    f"Expected a name of its own, but {other.place} has the name {name!r} too."
                    " Rename one.",
                )
        return Listing(
            tuple(named[name] for name in sorted(named)),
            tuple(self._failures.values()),
            dict(sorted(self._passed_over.items())),
            tuple(sorted(self._runs)),
        )

    def _runs_in(self, root: str, files: Sequence[Found]) -> tuple[str, ...]:
        """Beginnings of the paths in run folders."""
        inner: list[str] = []
        for found in files:
            if PurePosixPath(found.path).name != "run.json":
                continue
            folder = found.path.removesuffix("run.json")
            try:
                record = json.loads(place_of(root).read(found.path))
            except (PlaceError, ValueError, RecursionError):
                continue
            if is_run_record(record):
                inner.append(folder)
                self._runs.add(f"{root}/{folder}".rstrip("/"))
        return tuple(inner)

    def _is_excluded(self, url: str) -> bool:
        return self._exclude is not None and f"{url}/".startswith(f"{self._exclude}/")

    def _root(self, root: Path, *, folder: bool) -> None:
        self._roots[root] = self._roots.get(root, False) or folder

    def _fail(self, path: str, reason: str) -> None:
        self._failures.setdefault(path, Failure(printable(path), "scan", reason))


_UNSAFE: Final = (
    "Expected a name that is a relative path inside its folder, without control characters and in"
    " UTF-8, since outputs are named after it. Rename it."
)
_TWICE: Final = (
    "Expected a name that comes once in the tar file, but it comes again; the first is taken."
)
_COMPRESSED_TAR: Final = (
    "Expected a tar file that is not compressed, since images in it are read one by one. Unpack it."
)


class _Buffered:
    """Small reads of a large remote file as few large ones."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size = read, size
        self._start, self._content = 0, b""

    def read(self, start: int, count: int) -> bytes:
        """Up to ``count`` bytes from ``start`` on."""
        count = max(0, min(count, self._size - start))
        inner = start - self._start
        if inner < 0 or inner + count > len(self._content):
            size = min(max(count, _BUFFER), self._size - start)
            self._start, inner = start, 0
            self._content = self._read(start, size) if size > 0 else b""
        return self._content[inner : inner + count]


def _as_path(url: str) -> Path:
    scheme, _, rest = url.partition("://")
    return Path("/") / scheme / rest


def _local_reference(image: ImageFile, name: str) -> Reference:
    path = absolute(image.path)
    try:
        status = path.stat()
    except OSError:
        return Reference(name, str(path), 0, "")  # reading it will say why
    return Reference(name, str(path), status.st_size, str(status.st_mtime_ns))


def _is_local_tar(given: str | Path) -> bool:
    return not is_url(given) and Path(given).suffix.lower() == TAR and not Path(given).is_dir()


def _local_tars(inputs: Sequence[str | Path], exclude: Path | None) -> Iterator[tuple[Path, Path]]:
    """Root and path of the tar files that are given, match a pattern, or lie in folders."""
    hidden_from = None if exclude is None else os.path.realpath(exclude)
    for given in inputs:
        if is_url(given):
            continue
        path = Path(given)
        if _is_local_tar(given) and not path.exists() and has_wildcard(str(given)):
            root, parts = split_pattern(str(given))
            yield from (
                (absolute(root), each)
                for each in sorted(root.glob("/".join(parts)))
                if not each.name.startswith(".")
            )
        elif _is_local_tar(given):
            yield absolute(path).parent, path
        elif path.is_dir():
            for folder, below, files in os.walk(path):
                below[:] = sorted(
                    name
                    for name in below
                    if not name.startswith(".")
                    and os.path.realpath(Path(folder) / name) != hidden_from
                    and not is_run_folder(Path(folder) / name)
                )
                for name in sorted(files):
                    if name.lower().endswith(TAR) and not name.startswith("."):
                        yield absolute(path), Path(folder) / name


def _local_roots(inputs: Sequence[str | Path]) -> set[Path]:
    roots: set[Path] = set()
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            roots.add(absolute(path))
        elif path.exists() or not has_wildcard(str(given)):
            roots.add(absolute(path).parent)
        else:
            roots.add(absolute(split_pattern(str(given))[0]))
    return roots


def _nothing_found(given: Sequence[str | Path], listing: Listing) -> str:
    lines = [f"Expected images in {', '.join(map(printable, given))}, but found none."]
    if listing.passed_over:
        counts = ", ".join(
            f"{count} {printable(suffix) or 'without extension'}"
            for suffix, count in listing.passed_over.items()
        )
        lines.append(f"Other files there: {counts}.")
    lines += [f"{run} is a run folder, whose outputs are no photographs." for run in listing.runs]
    lines += [f"{failure.path}: {failure.reason}" for failure in listing.failures[:20]]
    return "\n".join(lines)
