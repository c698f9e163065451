"""Photographs of a labelled data set, with the features and mask proposals that a run
folder keeps of them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from primaps.config import preset_config
from primaps.data.dataset import DATASETS, load_dataset
from primaps.errors import DatasetError
from primaps.pipeline import PROPOSAL_STAGES, proposals
from primaps.pipeline.opening import claim
from primaps.progress import Progress
from primaps.runs.run import Run, RunFolder
from primaps.runs.store import FeatureStore, fingerprint
from primaps.types import FeatureExtractor, ImageFile

SPLIT: Final = "train"


@dataclass(frozen=True)
class Photographs:
    """Some photographs of a data set.

    Attributes:
        folder: The run folder with their features and proposals.
        store: In it.
        names: Of the photographs, as the store knows them.
        truths: (H, W) uint8 class ids of each, 255 = unlabelled; for scores alone.
        class_names: By class id.
    """

    folder: Path
    store: FeatureStore
    names: tuple[str, ...]
    truths: tuple[NDArray[np.uint8], ...]
    class_names: tuple[str, ...]

    def subset(self, chosen: Sequence[int]) -> Photographs:
        """Those with these numbers, in order."""
        kept = sorted(chosen)
        names, truths = (
            tuple(self.names[index] for index in kept),
            tuple(self.truths[index] for index in kept),
        )
        return Photographs(self.folder, self.store, names, truths, self.class_names)

    def fingerprint(self) -> str:
        """Changes with any photograph, label, or setting of features and proposals."""
        contents = []
        for name, truth in zip(self.names, self.truths, strict=True):
            info = self.store.info(name)
            if info is None:
                raise DatasetError(
                    f"Expected features of {name} in {self.folder}, but they are gone. Run this"
                    " again."
                )
            contents.append(
                [name, info.sha256, list(truth.shape), hashlib.sha256(truth.tobytes()).hexdigest()]
            )
        return fingerprint([self.store.settings, list(self.class_names), contents])


def photographs(
    name: str,
    root: Path,
    every: int,
    backbone: FeatureExtractor,
    work: Path,
    progress: Progress,
    split: str = SPLIT,
) -> Photographs:
    """Every N-th photograph of a data set; features and proposals are made by the
    package's first stage, once.

    Args:
        name: Of a known data set, or any other one for the layout of ``folder``.
        root: Its folder.
        every: N.
        backbone: Whose features.
        work: Where run folders go, one for every data set, split and backbone.
        progress: Who is told.
        split: Which part of the data set.

    Raises:
        DatasetError: If the data set has no such split, or a photograph or its labels cannot be
            used.
        ConfigError: If the run folder was made with other settings.
        OutputError: If it cannot be written.
    """
    dataset = load_dataset(name if name in DATASETS else "folder", root, split)
    paths = dataset.image_paths
    common, chosen = (
        Path(os.path.commonpath([path.parent for path in paths])),
        range(0, len(paths), every),
    )
    files = tuple(
        ImageFile(paths[index], paths[index].relative_to(common).as_posix()) for index in chosen
    )
    called = name if split == SPLIT else f"{name}-{split}"
    folder = RunFolder(work / re.sub(r"[^\w.-]", "_", f"{called}-{backbone.name}"))
    run = Run(folder, backbone, preset_config("default"), files, progress)
    claim(run, PROPOSAL_STAGES)
    proposals(run, inputs=[str(root)])
    if run.failures:
        raise DatasetError(
            f"Expected all photographs to be usable, but {run.failures[0].path}:"
            f" {run.failures[0].reason}"
        )
    truths = tuple(dataset[index].labels.astype(np.uint8) for index in chosen)
    return Photographs(
        folder.root, run.store, tuple(file.name for file in files), truths, dataset.class_names
    )
