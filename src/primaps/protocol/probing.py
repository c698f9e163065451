"""The linear probe of a row: supervised, fitted to the labels of the training images, measured
beside the unsupervised scores.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from primaps.compute.cores import one_thread_each
from primaps.errors import DatasetError
from primaps.evaluation.probe import LinearProbe, fit_linear_probe, token_labels
from primaps.pipeline.failures import all_failed
from primaps.pipeline.parallel import for_each_image
from primaps.protocol.images import Part, framed_labels
from primaps.runs.run import Run
from primaps.runs.store import FeatureStore, fingerprint, read_tensors, write_tensors
from primaps.types import ImageFile, View

TOKEN_BYTES: Final = 10**9
"""Tokens to fit to take at most this much memory: beyond it, as many random ones of every image as
fit.
"""


def linear_probe(run: Run, part: Part, steps: int) -> LinearProbe:
    """Fit the probe to the plain features of the training images, or read it if it was fitted to
    the same before.

    Args:
        run: Its proposals stage is done. Probes lie beside its features. Images whose labels cannot
            be used are added to its failures and left out.
        part: The training images with their labels.
        steps: Of Adam.

    Raises:
        DatasetError: If no labels can be used, or none of the tokens has one.
        CheckpointError: If the stored probe is damaged.
        OutputError: If it cannot be written.
    """
    images = run.usable_images()
    # sums depend on the number of threads
    with run.stage("linear probe", len(images)), one_thread_each():
        labels = _token_labels(run, part, images)
        if not labels:
            raise DatasetError(all_failed(run.failures))
        used = [image.name for image in images if image.name in labels]
        file = (
            run.folder.root
            / "fits"
            / f"linear-probe-{_identity(run, part, steps, used, labels)}.safetensors"
        )
        if file.exists():
            tensors = read_tensors(file)
            return LinearProbe(tensors["weight"], tensors["bias"])
        tokens, chosen = _labelled_tokens(run.store, used, labels)
        probe = fit_linear_probe(tokens, chosen, len(part.dataset.class_names), steps=steps)
        write_tensors(file, {"weight": probe.weight, "bias": probe.bias})
    return probe


def _token_labels(
    run: Run, part: Part, images: Sequence[ImageFile]
) -> dict[str, NDArray[np.uint8]]:
    """By image (h * w,) the labels at the centres of the cells."""
    labels: dict[str, NDArray[np.uint8]] = {}

    def read(image: ImageFile) -> None:
        truth = framed_labels(part, image.name, run.config, measured=False)
        grid = (len(truth) // run.backbone.patch_size, truth.shape[1] // run.backbone.patch_size)
        labels[image.name] = token_labels(truth, grid).astype(np.uint8).ravel()

    for_each_image(run, images, "linear probe", read)
    return labels


def _identity(
    run: Run, part: Part, steps: int, names: Sequence[str], labels: Mapping[str, NDArray[np.uint8]]
) -> str:
    """Changes when an image, a label, or a setting that determines the probe changes."""
    contents = [
        [name, info.sha256, hashlib.sha256(labels[name].tobytes()).hexdigest()]
        for name in names
        if (info := run.store.info(name)) is not None
    ]
    return fingerprint([run.store.settings, part.dataset.class_names, steps, contents])


def _labelled_tokens(
    store: FeatureStore, names: Sequence[str], labels: Mapping[str, NDArray[np.uint8]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, C) float16 tokens and (N,) uint8 labels at the centres of their cells, always the same
    ones.
    """
    channels, height, width = store.features(names[0], View()).shape
    kept = max(1, min(height * width, TOKEN_BYTES // (2 * channels * len(names))))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.empty(kept * len(names), channels, dtype=torch.float16)
    found = torch.empty(len(tokens), dtype=torch.uint8)
    for index, name in enumerate(names):
        chosen = torch.randperm(height * width, generator=generator)[:kept]
        rows = slice(index * kept, (index + 1) * kept)
        tokens[rows] = store.features(name, View()).flatten(1).T[chosen]
        found[rows] = torch.from_numpy(labels[name])[chosen]
    return tokens, found
