"""Load any backbone by name: frozen and in evaluation mode. Its registry entry names what makes it.

Adding one takes a module here with ``load(spec, weights, levels) -> FrozenBackbone``, and an entry
in `primaps.features.registry`; from outside, `primaps.features.registry.register_backbone`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path

import torch

from primaps.features.device import resolve_device
from primaps.features.extractor import FrozenBackbone
from primaps.features.registry import BackboneSpec, find_spec, registered_factory

Factory = Callable[[BackboneSpec, Path | None, str | None], FrozenBackbone]
"""Makes a backbone on the CPU from its registry entry, a weights file (None = its own weights) and
the levels to join (None = as the model is used by default).
"""


def load_plain_backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str | torch.device = "auto",
    levels: str | None = None,
) -> FrozenBackbone:
    """Load a frozen backbone without a head; `primaps.heads.loading.load_backbone` also loads one.

    Args:
        name: A name of `primaps.features.registry.list_backbones`, or ``timm:<any timm model>``.
        weights: A weights file; None = the installed ones, or the hub's.
        device: "auto", "cpu", "cuda", "cuda:<index>" or "mps".
        levels: Which levels of a hierarchical model are joined; None = strides 8, 16 and 32 as far
            as the model has them.

    Raises:
        BackboneError: If the name is unknown, the weights cannot be had, or they belong to another
            model.
        ConfigError: If the device is not available, or the model has no such levels.
        MissingExtraError: If the weights come in a package that is not installed.
    """
    spec = find_spec(name)
    target = resolve_device(device)
    file = None if weights is None else Path(os.path.expanduser(weights))  # noqa: PTH111
    backbone = _factory(spec)(spec, file, levels)
    backbone.weights_path = None if file is None else str(file.absolute())
    return backbone.to(target).freeze()


def _factory(spec: BackboneSpec) -> Factory:
    registered = registered_factory(spec.name)
    if registered is not None:
        return registered
    module, _, function = spec.factory.partition(":")
    factory: Factory = getattr(importlib.import_module(module), function)
    return factory
