"""The linear probe of a row: supervised, fitted to the labels of the training images, measured beside the unsupervised scores."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from primaps.benchmark.images import Part, framed_labels
from primaps.evaluation.probe import LinearProbe, fit_linear_probe, token_labels
from primaps.run import Run
from primaps.store import fingerprint, read_tensors, write_tensors
from primaps.types import View

TOKEN_BYTES: Final = 10**9
"""Tokens to fit to take at most this much memory: beyond it, as many random ones of every image as fit."""


def linear_probe(run: Run, part: Part, steps: int) -> LinearProbe:
    """Fit the probe to the plain features of the training images, or read it if it was fitted to them before.

    Args:
        run: Its proposals stage is done. Probes lie beside its features.
        part: The training images with their labels.
        steps: Of Adam.

    Raises:
        DatasetError: If labels cannot be read, or there is none.
        CheckpointError: If the stored probe is damaged.
        OutputError: If it cannot be written.
    """
    images = run.usable_images()
    contents = [[image.name, info.sha256] for image in images if (info := run.store.info(image.name)) is not None]
    identity = fingerprint([run.store.settings, part.dataset.class_names, steps, contents])
    file = run.folder.root / "fits" / f"linear-probe-{identity}.safetensors"
    if file.exists():
        tensors = read_tensors(file)
        return LinearProbe(tensors["weight"], tensors["bias"])
    with run.stage("linear probe", len(images)):
        tokens, labels = _labelled_tokens(run, part)
        probe = fit_linear_probe(tokens, labels, len(part.dataset.class_names), steps=steps)
    write_tensors(file, {"weight": probe.weight, "bias": probe.bias})
    return probe


def _labelled_tokens(run: Run, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, C) float16 tokens and (N,) uint8 labels at the centres of their cells, always the same ones."""
    names, store = [image.name for image in run.usable_images()], run.store
    channels, height, width = store.features(names[0], View()).shape
    kept = max(1, min(height * width, TOKEN_BYTES // (2 * channels * len(names))))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.empty(kept * len(names), channels, dtype=torch.float16)
    labels = torch.empty(len(tokens), dtype=torch.uint8)
    for index, name in enumerate(names):
        chosen = torch.randperm(height * width, generator=generator)[:kept]
        rows = slice(index * kept, (index + 1) * kept)
        tokens[rows] = store.features(name, View()).flatten(1).T[chosen]
        truth = framed_labels(part, name, run.config, measured=False)
        labels[rows] = torch.from_numpy(token_labels(truth, (height, width)).astype(np.uint8)).flatten()[chosen]
        run.progress.advance()
    return tokens, labels
