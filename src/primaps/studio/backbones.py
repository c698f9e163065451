"""The backbones that a photograph can be tried with, and whether they are here."""

from __future__ import annotations

from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from primaps.features.registry import BackboneSpec, list_backbones
from primaps.runs.run import RunFolder


def described_backbones(root: Path) -> list[dict[str, Any]]:
    """All named backbones, JSON-ready, and that of a folder if it is another one.

    Args:
        root: Whose backbone is the current one.
    """
    record = RunFolder(root).record
    current = str(record.get("settings", {}).get("backbone", {}).get("name", ""))
    found = [
        {
            "name": spec.name,
            "training": spec.training,
            "installed": spec.name == current or is_installed(spec),
            "current": spec.name == current,
        }
        for spec in list_backbones()
    ]
    if current and all(each["name"] != current for each in found):
        training = "see the model card"
        found.insert(0, {"name": current, "training": training, "installed": True, "current": True})
    return found


def is_installed(spec: BackboneSpec) -> bool:
    """Whether the weights are on this machine, so that nothing has to be downloaded."""
    if spec.package is not None:
        return PathFinder.find_spec(spec.package.name.replace("-", "_")) is not None
    if not spec.needs_download:
        return True
    return spec.hub and _is_cached(spec)


def _is_cached(spec: BackboneSpec) -> bool:
    import timm
    from huggingface_hub import try_to_load_from_cache

    settings = timm.get_pretrained_cfg(spec.timm_name)
    if settings is None or not settings.hf_hub_id:
        return False
    file_name = settings.hf_hub_filename or "model.safetensors"
    return isinstance(try_to_load_from_cache(settings.hf_hub_id, file_name), str)
