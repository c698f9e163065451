"""One run: its folder (where files lie, which settings made them, what happened) and its state
while at work.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from primaps.compute.compiling.announcing import compilation_told_to
from primaps.config import GENERATION, Config, comparable, differences, from_record
from primaps.errors import CheckpointError, ConfigError
from primaps.progress import Progress, Silent, tell_failures, tell_warnings
from primaps.runs.counting import Counters
from primaps.runs.digest import read_digest
from primaps.runs.metrics import metrics_text
from primaps.runs.named_files import NamedFolder
from primaps.runs.records import (
    Check,
    check_record,
    is_count,
    is_mapping,
    is_number,
    is_text,
    is_whole,
    list_of,
    maybe,
    tuple_of,
    values_of,
    with_keys,
)
from primaps.runs.store import (
    FeatureStore,
    atomic_write,
    fingerprint,
    hold,
    read_json,
    read_json_lines,
    remove_file,
    remove_temporaries,
    write_json,
)
from primaps.runs.watching import Unwatched, Watch
from primaps.types import (
    Failure,
    FeatureExtractor,
    ImageFile,
    NumberChoice,
    ReadingNote,
    ThresholdChoice,
    ThresholdStatistics,
    View,
)
from primaps.version import __version__

ALGORITHM = 3
"""Raised when a change of the code changes features or proposals, so that stored ones are made
anew. 3: photographs in another colour profile, of more than 8 bits, with further bands or pixels
without data are read otherwise.
"""

REMEDY: Final = "Choose another --out, or add --overwrite to redo there what depends on them."
"""What a command can do about a folder that was made with other settings."""

MANIFEST: Final = "manifest.json"
"""Name of the list of a run's images."""

_FORMAT = 1
_REPORTED_VERSIONS = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "numba",
    "scipy",
    "pillow",
    "tifffile",
    "safetensors",
)


_BACKBONE: Final = {
    **dict.fromkeys(("name", "implementation", "licence", "source", "levels"), maybe(is_text)),
    **dict.fromkeys(("dim", "patch_size"), is_count),
    "head": maybe(is_mapping),
}
_EXPECTED: Final[Mapping[str, Check]] = {
    "config": is_mapping,
    "settings": with_keys(
        {
            "backbone": with_keys(_BACKBONE, ("name",)),
            "proposals": with_keys({"threshold": maybe(is_number)}),
            "model": with_keys({"fingerprint": is_text}),
        }
    ),
    **dict.fromkeys(("weights", "head"), maybe(is_text)),
    **dict.fromkeys(("status", "command", "finished", "about"), is_text),
    "defaults": is_whole,
    "inputs": list_of(is_text),
    "seconds": values_of(is_number),
    "versions": values_of(is_text),
    "counts": with_keys(
        {
            "dead_clusters": list_of(is_count),
            "proposals_per_image": values_of(is_number),
            "coverage": values_of(is_number),
            "images_with_guard": values_of(is_count),
            "certainty": values_of(is_number),
        }
    ),
    "dated": with_keys({"of": is_text, "date": is_text}),
    "threshold": with_keys(
        {
            "value": is_number,
            "source": is_text,
            "candidates": list_of(values_of(is_number)),
            "sample": list_of(is_text),
        },
        ("value", "source"),
    ),
    "number_of_classes": with_keys(
        {"value": is_whole, "curve": list_of(tuple_of(is_whole, is_number))}, ("value", "curve")
    ),
    "num_clusters": is_whole,
    "accepted": maybe(list_of(is_count)),
    "named": maybe(is_mapping),
}


def _check(record: Mapping[str, Any], path: Path) -> None:
    """Make sure that the record of a run can be used.

    Raises:
        CheckpointError: If it is damaged.
    """
    advice = "If the record was damaged, delete it to resume; otherwise choose another folder."
    check_record(record, {**_EXPECTED, "settings": values_of(is_mapping)}, path, advice)
    check_record(record, _EXPECTED, path, advice)
    try:
        from_record(record.get("config", {}))
    except ConfigError as error:
        raise CheckpointError(f"Expected usable settings in {path}. {error} {advice}") from error


class RunFolder:
    """Paths and records of a run. Settings are kept per stage, so that one stage can be redone
    without the others.

    Args:
        root: The folder given as ``--out``; need not exist yet.

    Attributes:
        resumed: The command at work goes on from where a stopped or killed one was.

    Raises:
        ConfigError: If the path exists and is not a folder, or is no usable path (too long, not
            UTF-8).
        CheckpointError: If it holds a ``run.json`` that this package did not write.
    """

    def __init__(self, root: Path) -> None:
        try:
            str(root).encode("utf-8")
            is_file = root.exists() and not root.is_dir()
        except (OSError, UnicodeEncodeError) as error:
            raise ConfigError(
                "Expected the folder of a run to be a usable path in UTF-8, but got:"
                f" {error}. Choose another one."
            ) from error
        if is_file:
            raise ConfigError(f"Expected the folder of a run, but {root} is a file. Name a folder.")
        self.root = root
        self.record: dict[str, Any] = {}
        self.resumed = self._stopped_before = self._at_work = False
        if self.run_json.exists():
            try:
                self.record = read_json(self.run_json)
            except CheckpointError as error:
                raise CheckpointError(
                    f"{error} If it is the damaged record of a run, delete it to resume; otherwise"
                    " choose another folder."
                ) from error
            if self.record.get("format") != _FORMAT:
                raise CheckpointError(
                    f"Expected {self.run_json} to be the record of a run (format {_FORMAT}), but it"
                    " is something else. Choose another folder."
                )
            _check(self.record, self.run_json)

    @property
    def run_json(self) -> Path:
        """Versions, settings, seconds per stage, counts."""
        return self.root / "run.json"

    @property
    def failures_file(self) -> Path:
        """One JSON line per input that could not be used; absent if there is none."""
        return self.root / "failures.jsonl"

    @property
    def warnings_file(self) -> Path:
        """One JSON line per input that was used in another way than plain 8-bit RGB; absent if
        there is none.
        """
        return self.root / "warnings.jsonl"

    @property
    def metrics_file(self) -> Path:
        """The counters for Prometheus, see `primaps.runs.metrics`."""
        return self.root / "metrics.prom"

    @property
    def certainties(self) -> Path:
        """How certain the label maps are, one line per image."""
        return self.root / "certainty.jsonl"

    def certainty(self, name: str) -> Path:
        """Certainty of each pixel of one image, 8-bit; made on request."""
        return self.root / "certainty" / f"{name}.png"

    def overlay(self, name: str) -> Path:
        """The photograph with its classes painted over it; made on request."""
        return self.root / "overlays" / f"{name}.jpg"

    @property
    def images_file(self) -> Path:
        """Where the images of `predict` lie; those of a run stand in the manifest of its store."""
        return self.root / "images.json"

    @property
    def store(self) -> Path:
        """Cached features and proposals."""
        return self.root / "store"

    @property
    def digest(self) -> Path:
        """What is kept of a store that was removed, see `primaps.runs.digest`."""
        return self.root / "digest.safetensors"

    @property
    def manifest(self) -> Path:
        """The list of a run's images: in its store, or beside its digest."""
        return manifest_of(self.root) or self.store / MANIFEST

    @property
    def model(self) -> Path:
        """Fitted prototypes."""
        return self.root / "model"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.root / "report.html"

    def proposals(self, name: str) -> Path:
        """16-bit proposals of one image."""
        return self.root / "proposals" / f"{name}.png"

    def labels(self, name: str) -> Path:
        """8-bit label map of one image."""
        return self.root / "labels" / f"{name}.png"

    @property
    def generation(self) -> int | None:
        """Generation of the defaults that the folder was made with; None if it is new."""
        return int(self.record.get("defaults", 1)) if self.record else None

    @property
    def threshold(self) -> ThresholdChoice | None:
        """The similarity threshold on record; None if there is none. Earlier versions recorded its
        value only.
        """
        value = self.record.get("settings", {}).get("proposals", {}).get("threshold")
        if value is None:
            return None
        known = self.record.get("threshold", {})
        if known.get("value") != value:
            given = self.record.get("config", {}).get("proposals", {}).get("threshold") is not None
            return ThresholdChoice(value, "given" if given else "backbone")
        candidates = tuple(ThresholdStatistics(**each) for each in known.get("candidates", ()))
        return ThresholdChoice(value, known["source"], candidates, tuple(known.get("sample", ())))

    @property
    def number(self) -> NumberChoice | None:
        """The number of classes that was proposed; None if none was."""
        known = self.record.get("number_of_classes")
        if known is None:
            return None
        return NumberChoice(
            int(known["value"]), tuple((int(each), float(score)) for each, score in known["curve"])
        )

    @property
    def num_clusters(self) -> int:
        """The number of classes on record: given or proposed."""
        given = self.record["config"]["num_clusters"]
        return int(self.record["number_of_classes"]["value"] if given is None else given)

    def keep_number(self, choice: NumberChoice) -> None:
        """Put a proposed number of classes on record.

        Raises:
            OutputError: If the folder cannot be written.
        """
        self.record["number_of_classes"] = {
            "value": choice.value,
            "curve": [[each, round(score, 6)] for each, score in choice.curve],
        }
        self.record.get("settings", {}).get("fit", {})["num_clusters"] = choice.value
        write_json(self.run_json, self.record)

    def claim(
        self,
        settings: Mapping[str, Mapping[str, Any]],
        *,
        overwrite: bool,
        outdated: Sequence[str] = (),
        remedy: str = REMEDY,
    ) -> None:
        """Take the folder for these settings, or refuse if it was made with others.

        Args:
            settings: Per stage; only the stages named here are compared.
            overwrite: Accept a difference; what depends on it is made anew, the rest is kept.
            outdated: Files in the folder that other settings than these are removed with, before
                the new ones are on record, so that a killed run cannot leave them as its own.
            remedy: What a refusal advises.

        Raises:
            ConfigError: If a setting differs and ``overwrite`` is not set; every difference is
                named.
            OutputError: If the folder cannot be written, or another process is at work in it.
        """
        known: dict[str, Any] = self.record.get("settings", {})
        settings = json.loads(json.dumps(settings))  # as it will be read back
        changed = [
            line
            for stage in settings
            if stage in known
            for line in differences(known[stage], settings[stage], f"{stage}.")
        ]
        if changed and not overwrite:
            listed = "\n  ".join(changed)
            raise ConfigError(f"{self.root} holds a run with other settings:\n  {listed}\n{remedy}")
        hold(self.root)
        if known:
            with NamedFolder(self.root).lock():  # else a file that names are written to would go
                remove_temporaries(self.root)
        if changed or not settings.keys() <= known.keys():
            for name in outdated:
                remove_file(self.root / name)
        if not known:
            self.record["defaults"] = GENERATION
        self.record |= {
            "format": _FORMAT,
            "settings": {**known, **settings},
            "versions": versions(),
        }
        if not self._at_work:
            before = self.record.get("status")
            self._stopped_before = before in {"interrupted", "failed"}
            # one that was killed could not say so
            self.resumed = self._stopped_before or before == "running"
        self._at_work = True
        self.record["status"] = "running"
        write_json(self.run_json, self.record)

    def finish(
        self,
        command: str,
        inputs: Sequence[str],
        seconds: Mapping[str, float],
        counts: Mapping[str, Any],
        failures: Sequence[Failure],
    ) -> None:
        """Write the record and the list of failures of a completed command.

        Raises:
            OutputError: If the folder cannot be written.
        """
        self.write_failures(failures)
        self._at_work = False
        self.record |= {
            "status": "finished with failures" if failures else "finished",
            "command": command,
            "inputs": [text.encode("utf-8", "backslashreplace").decode("utf-8") for text in inputs],
            "finished": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "seconds": self.added_seconds(seconds),
            "counts": {**self.record.get("counts", {}), **counts, "failures": len(failures)},
        }
        write_json(self.run_json, self.record)

    def stop(self, seconds: Mapping[str, float], status: str) -> None:
        """Record that a command ended early.

        Raises:
            OutputError: If the folder cannot be written.
        """
        self._at_work = False
        self.record |= {"seconds": self.added_seconds(seconds), "status": status}
        write_json(self.run_json, self.record)

    def keep_counters(self, counters: Counters) -> None:
        """Write figures of the command at work.

        Raises:
            OutputError: If the folder cannot be written.
        """
        self.record["counters"] = counters.record()
        write_json(self.run_json, self.record)
        command, status = str(self.record["command"]), str(self.record["status"])
        text = metrics_text(counters, str(self.root.absolute()), command, status)
        atomic_write(self.metrics_file, text.encode("utf-8"))

    def added_seconds(self, seconds: Mapping[str, float]) -> dict[str, float]:
        """Seconds per stage on record, and those of a command in their place; what a stopped
        command had spent is added.
        """
        old = self.record.get("seconds", {})
        earlier = old if self._stopped_before else {}
        return {
            **old,
            **{
                stage: round(earlier.get(stage, 0.0) + value, 3) for stage, value in seconds.items()
            },
        }

    def write_failures(self, failures: Sequence[Failure]) -> None:
        """Replace the list of inputs that could not be used.

        Raises:
            OutputError: If the folder cannot be written.
        """
        if failures:
            lines = [json.dumps(asdict(failure), ensure_ascii=True) for failure in failures]
            atomic_write(self.failures_file, ("\n".join(lines) + "\n").encode("ascii"))
        else:
            remove_file(self.failures_file)

    def write_warnings(self, notes: Mapping[ImageFile, Sequence[ReadingNote]]) -> None:
        """Replace the list of inputs that were used in another way than plain 8-bit RGB.

        Args:
            notes: What was done to each image.

        Raises:
            OutputError: If the folder cannot be written.
        """
        lines = [
            json.dumps(
                {
                    "path": image.place,
                    "stage": "read",
                    "image": image.name,
                    "notes": [note.text for note in found],
                    "kinds": [note.kind for note in found],
                },
                ensure_ascii=True,
            )
            for image, found in notes.items()
            if found
        ]
        if lines:
            atomic_write(self.warnings_file, ("\n".join(lines) + "\n").encode("ascii"))
        else:
            remove_file(self.warnings_file)


@dataclass
class Run:
    """One command at work in one run folder.

    Attributes:
        folder: Where everything is written.
        backbone: The frozen feature extractor.
        config: All settings.
        images: The inputs that are images by name, in the order of their names.
        progress: Who is told.
        failures: Inputs that could not be used, so far.
        seconds: Per stage.
        counts: Figures for ``run.json``.
        warnings: What was done to images that were read so far and are not plain 8-bit RGB.
        most_failures: With more `failures` the work ends; None = it goes on.
        chosen_threshold: The similarity threshold, once it is settled
            (`primaps.pipeline.threshold`).
        chosen_number: The number of classes, once one is proposed
            (`primaps.pipeline.number_of_classes`).
        watch: Who is told which images are in work.
    """

    folder: RunFolder
    backbone: FeatureExtractor
    config: Config
    images: tuple[ImageFile, ...]
    progress: Progress = field(default_factory=Silent)
    failures: list[Failure] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    warnings: dict[ImageFile, Sequence[ReadingNote]] = field(default_factory=dict)
    most_failures: int | None = None
    chosen_threshold: ThresholdChoice | None = None
    chosen_number: NumberChoice | None = None
    watch: Watch = field(default_factory=Unwatched)

    def settings(self) -> dict[str, dict[str, Any]]:
        """Settings per stage, as compared between runs in the same folder."""
        config = self.config
        proposals = comparable(config.proposals, "proposals")
        proposals["threshold"] = self._known_threshold()
        proposals["max_pixels"] = config.predict.max_pixels
        return {
            "backbone": dict(self.backbone.describe()),
            "features": comparable(config.features, "features"),
            "proposals": proposals,
            "fit": {
                "num_clusters": self._known_number(),
                "seed": config.seed,
                **comparable(config.fit, "fit"),
            },
            "predict": comparable(config.predict, "predict"),
            **_comparable_inputs(config),
        }

    @property
    def threshold(self) -> float:
        """The similarity threshold in force.

        Raises:
            ConfigError: If none is given, settled, or published for the backbone.
        """
        known = self._known_threshold()
        if known is None:
            raise ConfigError(
                f"Expected a threshold for {self.backbone.name!r}, for which none is published, but"
                " got none. Give --threshold T to `primaps segment`."
            )
        return known

    @property
    def num_clusters(self) -> int:
        """The number of classes in force.

        Raises:
            ConfigError: If none is given, and none was proposed yet.
        """
        known = self._known_number()
        if known is None:
            raise ConfigError(
                "Expected a number of classes, but none is given, and none was proposed yet. Give"
                " --classes K."
            )
        return known

    def _known_number(self) -> int | None:
        if self.config.num_clusters is not None or self.chosen_number is None:
            return self.config.num_clusters
        return self.chosen_number.value

    def _known_threshold(self) -> float | None:
        if self.config.proposals.threshold is not None:
            return self.config.proposals.threshold
        return (
            self.backbone.threshold
            if self.chosen_threshold is None
            else self.chosen_threshold.value
        )

    @property
    def store(self) -> FeatureStore:
        """The run's features and proposals under the present settings."""
        return FeatureStore(
            self.folder.store,
            store_fingerprint(self.settings()),
            cached_views(self.config),
            read_digest(self.folder.digest),
        )

    def usable_images(self) -> list[ImageFile]:
        """The images whose proposals are known, in the order of their names; their features are in
        the store, unless it was not kept.
        """
        store = self.store
        failed = {failure.path for failure in self.failures}
        return [
            image
            for image in self.images
            if image.place not in failed and store.info(image.name) is not None
        ]

    def fail(self, failures: Sequence[Failure]) -> None:
        """Note inputs that could not be used."""
        if failures:
            self.failures.extend(failures)
            tell_failures(self.progress, failures)

    def warn(self, image: ImageFile, notes: Sequence[ReadingNote]) -> None:
        """Note what was done to an image because it is not plain 8-bit RGB, if anything; called by
        several threads.
        """
        if notes:
            self.warnings[image] = notes
            tell_warnings(self.progress, image.name, notes)

    def keep_lists(self) -> None:
        """Write the failures and warnings of a command that ends early; earlier warnings of images
        that it did not come to are kept.

        Raises:
            OutputError: If a list cannot be written.
        """
        self.folder.write_failures(self.failures)
        earlier = known_warnings(self.folder)
        self.folder.write_warnings(
            {image: self.warnings.get(image, earlier.get(image.name, ())) for image in self.images}
        )

    @contextlib.contextmanager
    def stage(self, name: str, total: int) -> Iterator[None]:
        """Time a stage and draw its progress."""
        started = time.perf_counter()
        self.progress.start(name, total)
        try:
            with compilation_told_to(self.progress.note):
                yield
        finally:
            self.progress.finish()
            if total:  # a stage that had nothing to do keeps the seconds of the run that did it
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def _comparable_inputs(config: Config) -> dict[str, Any]:
    """How files become photographs, as a further stage, where it is not the usual way.

    Ranges that were measured are left out: they stay as they are in a folder, and each stored image
    says which one it was made with. So are pages, which give images of other names, and the limit
    of what is read.
    """
    inputs = comparable(config.inputs, "inputs")
    found = {key: value for key, value in inputs.items() if key in {"value_range", "bands"}}
    return {"inputs": found} if found else {}


def store_fingerprint(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """What stands in the shards of a store for the settings that determined them.

    Args:
        settings: Per stage, as of `Run.settings` or on the record of a run.
    """
    determined = {stage: settings[stage] for stage in ("backbone", "features", "proposals")}
    if settings.get("inputs"):
        determined["inputs"] = settings["inputs"]
    return fingerprint([ALGORITHM, determined])


def manifest_of(root: Path) -> Path | None:
    """The list of the images of a run; None for other folders, such as one of `predict`."""
    for path in (root / "store" / MANIFEST, root / MANIFEST):
        if path.exists():
            return path
    return None


def cached_views(config: Config) -> tuple[View, ...]:
    """The views that are stored of every image, the plain one first."""
    flips = (False, True) if config.features.flip else (False,)
    draws: tuple[int | None, ...] = (None, *range(config.features.photometric_views))
    return tuple(View(flip, draw) for draw in draws for flip in flips)


def read_failures(folder: RunFolder) -> list[Failure]:
    """The inputs that the last command could not use.

    Raises:
        CheckpointError: If the list is damaged.
    """
    path = folder.failures_file
    if not path.exists():
        return []
    lines, keys = read_json_lines(path), ("path", "stage", "reason")
    for line in lines:
        check_record(line, dict.fromkeys(keys, is_text), path, "Delete it.", keys)
    return [Failure(*(line[key] for key in keys)) for line in lines]


def read_warnings(folder: RunFolder) -> dict[str, tuple[ReadingNote, ...]]:
    """What was done to images that are not plain 8-bit RGB, by the name of the image.

    Raises:
        CheckpointError: If the list is damaged.
    """
    path = folder.warnings_file
    if not path.exists():
        return {}
    lines = read_json_lines(path)
    texts = list_of(is_text)
    wanted = {"image": is_text, "kinds": texts, "notes": texts}
    for line in lines:
        check_record(line, wanted, path, "Delete it.", tuple(wanted))
        if len(line["kinds"]) != len(line["notes"]):
            raise CheckpointError(
                f"Expected {path} to hold as many kinds as notes of {line['image']}, but it does"
                " not. Delete it."
            )
    return {line["image"]: tuple(map(ReadingNote, line["kinds"], line["notes"])) for line in lines}


def known_warnings(folder: RunFolder) -> dict[str, tuple[ReadingNote, ...]]:
    """As `read_warnings`, for a command that is about to replace the list: nothing if it is
    damaged.
    """
    try:
        return read_warnings(folder)
    except CheckpointError:
        return {}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "primaps": __version__,
    }
    for package in _REPORTED_VERSIONS:
        found[package] = importlib.metadata.version(package)
    return found
