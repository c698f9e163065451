"""Checksums within safetensors files."""

import io
import json

import pytest
import torch
from safetensors.torch import load, save

from primaps.runs.checksums import SUM, refuse_damaged, with_checksum


@pytest.fixture
def content():
    tensors = {"a": torch.arange(300, dtype=torch.int32), "b": torch.ones(2, 3)}
    return b"".join(with_checksum(save(tensors, {"info": "é", "a": "b", "z": "y"})))


def test_the_file_is_an_ordinary_one(content):
    refuse_damaged(io.BytesIO(content))
    assert torch.equal(load(content)["a"], torch.arange(300, dtype=torch.int32))


def test_equal_content_gives_equal_files():
    tensors = {"a": torch.arange(300)}
    orders = ({"info": "é", "a": "b"}, {"a": "b", "info": "é"})
    files = {b"".join(with_checksum(save(tensors, order))) for order in orders for _ in range(5)}
    assert len(files) == 1
    refuse_damaged(io.BytesIO(b"".join(with_checksum(save(tensors)))))


def test_every_turned_bit_is_found(content):
    length = int.from_bytes(content[:8], "little")
    for place in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        header = bytes(damaged[8 : 8 + length])
        if b'"__metadata__"' not in header or SUM.encode() not in header:
            # a name was hit: as a file without one, or none that safetensors reads
            continue
        with pytest.raises(ValueError, match=r"."):
            refuse_damaged(io.BytesIO(bytes(damaged)))
    for end in range(0, len(content), 7):
        with pytest.raises(ValueError, match=r"."):
            refuse_damaged(io.BytesIO(content[:end]))


def test_files_without_one_pass():
    refuse_damaged(io.BytesIO(save({"a": torch.zeros(2)})))
    refuse_damaged(io.BytesIO(save({"a": torch.zeros(2)}, {"info": "x"})))


def test_a_header_that_lies_is_refused():
    with pytest.raises(ValueError, match="impossible length"):
        refuse_damaged(io.BytesIO(b"\xff" * 30))
    nested = b"[" * 100_000
    with pytest.raises(ValueError, match="nested too deep"):
        refuse_damaged(io.BytesIO(len(nested).to_bytes(8, "little") + nested))
    header = json.dumps({"__metadata__": {SUM: "0"}}).encode()
    with pytest.raises(ValueError, match="does not fit its checksum"):
        refuse_damaged(io.BytesIO(len(header).to_bytes(8, "little") + header))
