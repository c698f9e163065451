"""PriMaPs and PriMaPs-EM: unsupervised semantic segmentation by principal mask proposals.

Hahn, Araslanov, Schaub-Meyer, Roth: Boosting Unsupervised Semantic Segmentation with Principal Mask
Proposals, TMLR 2024.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from primaps.config import Config, preset_config
    from primaps.data.dataset import load_dataset
    from primaps.data.reading import read_image
    from primaps.errors import PrimapsError
    from primaps.features.registry import list_backbones
    from primaps.heads.loading import load_backbone
    from primaps.notebook import view
    from primaps.outputs.showing import overlay, show
    from primaps.pipeline.classes import classes
    from primaps.proposals.calibration import calibrate_threshold
    from primaps.proposals.crf.dense_crf import dense_crf
    from primaps.proposals.extract import mask_proposals
    from primaps.scoring import evaluate
    from primaps.segmenter import Segmenter
    from primaps.types import (
        IGNORE_INDEX,
        ClassTable,
        EvaluationResult,
        FeatureExtractor,
        MaskProposals,
    )

_HOMES = {
    "ClassTable": "types",
    "Config": "config",
    "EvaluationResult": "types",
    "FeatureExtractor": "types",
    "IGNORE_INDEX": "types",
    "MaskProposals": "types",
    "PrimapsError": "errors",
    "Segmenter": "segmenter",
    "calibrate_threshold": "proposals.calibration",
    "classes": "pipeline.classes",
    "dense_crf": "proposals.crf.dense_crf",
    "evaluate": "scoring",
    "list_backbones": "features.registry",
    "load_backbone": "heads.loading",
    "load_dataset": "data.dataset",
    "mask_proposals": "proposals.extract",
    "overlay": "outputs.showing",
    "preset_config": "config",
    "read_image": "data.reading",
    "show": "outputs.showing",
    "view": "notebook",
    "__version__": "version",
}

__all__ = [
    "IGNORE_INDEX",
    "ClassTable",
    "Config",
    "EvaluationResult",
    "FeatureExtractor",
    "MaskProposals",
    "PrimapsError",
    "Segmenter",
    "calibrate_threshold",
    "classes",
    "dense_crf",
    "evaluate",
    "list_backbones",
    "load_backbone",
    "load_dataset",
    "mask_proposals",
    "overlay",
    "preset_config",
    "read_image",
    "show",
    "view",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use, so that the import itself stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'primaps' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"primaps.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return ["__version__", *__all__]
