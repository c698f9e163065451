"""What callers give as numbers, truth values and paths."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from primaps.errors import ConfigError
from primaps.given import given_path, real_number, truth, whole_number


@pytest.mark.parametrize("value", [5, np.int64(5), np.uint8(5), torch.tensor(5), np.array(5)])
def test_whole_numbers_of_any_type(value):
    number = whole_number("n", value)
    assert number == 5
    assert type(number) is int


@pytest.mark.parametrize("value", ["5", 5.0, True, None, np.array([1, 2]), torch.ones(2), 5j])
def test_what_is_no_whole_number(value):
    with pytest.raises(ConfigError, match="Expected n to be a whole number, but got"):
        whole_number("n", value)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), torch.tensor(0.5), np.array(0.5)])
def test_numbers_of_any_type(value):
    assert real_number("x", value) == 0.5
    assert type(real_number("x", value)) is float


def test_whole_numbers_are_numbers_as_they_are():
    assert type(real_number("x", 1)) is int


@pytest.mark.parametrize("value", ["0.5", "auto", True, None, np.ones(2), torch.ones(2), [1.0]])
def test_what_is_no_number(value):
    with pytest.raises(ConfigError, match="Expected x to be a number, but got"):
        real_number("x", value)


def test_true_and_false():
    assert truth("t", np.bool_(1)) is True
    assert truth("t", False) is False
    for value in ("no", 1, 0, None):
        with pytest.raises(ConfigError, match="Expected t to be True or False"):
            truth("t", value)


def test_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert given_path("p", "~/x") == tmp_path / "x"
    assert given_path("p", Path("a") / "b") == Path("a/b")
    (tmp_path / "~").mkdir()
    assert given_path("p", "~") == Path("~")
    assert given_path("p", f"~nobody{os.getpid()}") == Path(f"~nobody{os.getpid()}")


@pytest.mark.parametrize("value", [None, 3, "", b"a", ["a"]])
def test_what_is_no_path(value):
    with pytest.raises(ConfigError, match="Expected p to be a path, but got"):
        given_path("p", value)
