"""Whether this installation works here."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import torch

from primaps.errors import PrimapsError
from primaps.heads.loading import load_backbone
from primaps.proposals.crf.dense_crf import describe_backend
from primaps.proposals.extract import mask_proposals
from primaps.runs.run import versions

_OPTIONAL = {
    "skimage": "demo photographs (extra: demo)",
    "sklearn": "demo photographs (extra: demo)",
    "imagecodecs": "compressed scientific TIFF (extra: formats)",
    "pi_heif": "HEIC photographs (extra: formats)",
    "tensorboard": "--tensorboard (extra: tensorboard)",
    "lightning_fabric": "--processes (extra: distributed)",
    "onnxscript": "export --format onnx (extra: onnx)",
    "uvicorn": "primaps studio (extra: studio)",
}


def examine() -> tuple[bool, str]:
    """Versions, devices, disk, optional parts, and one small run through features, proposals and
    CRF.

    Returns:
        Whether the small run worked, and the text to print.
    """
    lines = [f"{name:<14} {version}" for name, version in versions().items()]
    lines.append(f"{'cpu':<14} {os.cpu_count()} cores, torch uses {torch.get_num_threads()}")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    lines.append(f"{'cuda':<14} {gpu}")
    lines.append(f"{'mps':<14} {'available' if torch.backends.mps.is_available() else 'none'}")
    lines.append(f"{'crf':<14} {describe_backend()}")
    lines.append(f"{'disk':<14} {shutil.disk_usage(Path.cwd()).free / 1e9:.3g} GB free here")
    for module, purpose in _OPTIONAL.items():
        lines.append(
            f"{module:<14} {'installed' if importlib.util.find_spec(module) else 'not installed'}:"
            f" {purpose}"
        )
    try:
        lines.append(f"{'small run':<14} {_small_run()}")
    except (PrimapsError, RuntimeError) as error:  # a driver that does not fit is a RuntimeError
        return False, "\n".join([*lines, f"{'small run':<14} failed: {error}"])
    return True, "\n".join([*lines, "All is well."])


def _small_run() -> str:
    image = np.full((96, 128, 3), (40, 90, 180), dtype=np.uint8)
    image[48:] = (90, 140, 60)
    backbone = load_backbone("texture", device="auto")
    proposals = mask_proposals(
        image, backbone.extract(image, size=96), threshold=backbone.threshold
    )
    return f"{proposals.num_masks} proposals cover {proposals.coverage:.0%} of a test picture"
