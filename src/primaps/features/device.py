"""Which device a backbone runs on."""

from __future__ import annotations

import torch

from primaps.errors import ConfigError


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Turn a device setting into a device that is there.

    Args:
        device: "auto" (CUDA, else CPU), "cpu", "cuda", "cuda:<index>" or "mps".

    Raises:
        ConfigError: If the name is not understood or this machine has no such device.
    """
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(
            f"Expected device to be auto, cpu, cuda, cuda:<index> or mps, but got {device!r}."
        ) from error
    if resolved.type == "cuda":
        _check_cuda(resolved)
    elif resolved.type == "mps":
        if not torch.backends.mps.is_available():
            raise ConfigError(
                "Expected device 'mps' to be available, but this machine has none. Use --device"
                " auto or cpu."
            )
    elif resolved.type != "cpu":
        raise ConfigError(
            f"Expected device to be auto, cpu, cuda, cuda:<index> or mps, but got {str(device)!r}."
        )
    return resolved


def compute_device(device: torch.device) -> torch.device:
    """Where everything after the backbone runs: the backbone's device, or the CPU for MPS, which
    lacks float64.
    """
    return torch.device("cpu") if device.type == "mps" else device


def _check_cuda(device: torch.device) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise ConfigError(
            f"Expected device {str(device)!r} to be available, but PyTorch finds no CUDA device. "
            "Use --device auto or cpu, or install a PyTorch build that matches the driver."
        )
    if device.index is not None and device.index >= count:
        raise ConfigError(
            f"Expected a CUDA device index below {count}, but got {str(device)!r}. Use cuda:0 to"
            f" cuda:{count - 1}."
        )
