import pytest
import torch

from primaps.errors import ConfigError
from primaps.features.device import compute_device, resolve_device


def test_cpu_is_always_there():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda"), (False, True, "cpu"), (False, False, "cpu")]
)
def test_auto_takes_cuda_or_the_cpu(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert resolve_device("auto") == torch.device(expected)


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_missing_device_is_an_error(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(
        ConfigError, match=f"Expected .*{name.split(':', maxsplit=1)[0]}.* to be available, but"
    ):
        resolve_device(name)


def test_cuda_index_is_checked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match="below 2, but got 'cuda:2'"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "", "xpu", "meta", "cuda:x"])
def test_other_names_are_refused(name):
    with pytest.raises(ConfigError, match="Expected device to be auto, cpu, cuda"):
        resolve_device(name)


@pytest.mark.parametrize(
    ("backbone", "rest"), [("cpu", "cpu"), ("cuda:1", "cuda:1"), ("mps", "cpu")]
)
def test_what_needs_float64_leaves_mps(backbone, rest):
    assert compute_device(torch.device(backbone)) == torch.device(rest)
