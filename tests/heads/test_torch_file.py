"""Reading checkpoints: equal to PyTorch's own loader on honest files, a refusal on others."""

import collections
import io
import os
import pickle
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from primaps.errors import CheckpointError
from primaps.heads import torch_file
from primaps.heads.torch_file import StoredTensor, read_stored, read_torch_file


def write_zip(path, data_pkl, compression=zipfile.ZIP_STORED, **entries):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data_pkl)
        for name, content in entries.items():
            archive.writestr(f"archive/{name.replace('__', '/')}", content)
    return path


def tensor_pickle(
    offset=0,
    shape=(2,),
    stride=(1,),
    length=2,
    storage="torch FloatStorage",
    key="0",
    rebuild="_rebuild_tensor_v2",
):
    """The pickle of one tensor, instruction by instruction."""

    def value(item):
        return pickle.dumps(item, 2)[2:-1]  # without header and end

    identifier = b"(" + value("storage") + b"c" + storage.replace(" ", "\n").encode() + b"\n"
    identifier += value(key) + value("cpu") + value(length) + b"tQ"
    call = b"ctorch._utils\n" + rebuild.encode() + b"\n(" + identifier
    return b"\x80\x02" + call + value(offset) + value(shape) + value(stride) + b"\x89}tR."


def test_tensors_are_those_of_torch_load(tmp_path):
    base = torch.randn(4, 6)
    content = {
        "plain": base,
        "view": base[1:3, ::2],
        "transposed": base.T,
        "half": torch.randn(3).half(),
        "bfloat16": torch.randn(3).bfloat16(),
        "integer": torch.arange(5),
        "truth": torch.tensor([True, False]),
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "parameter": nn.Parameter(torch.randn(2, 2)),
    }
    path = tmp_path / "x.pt"
    torch.save(content, path)
    reference = torch.load(path, weights_only=True)

    stored = read_torch_file(path)
    found = read_stored(path, stored)

    assert stored["view"].shape == (2, 3)
    for name, value in reference.items():
        assert found[name].dtype == value.dtype
        assert found[name].is_contiguous()
        assert torch.equal(found[name], value.detach()), name


def test_values_around_the_tensors(tmp_path):
    content = {
        "epoch": 3,
        "size": torch.Size([2, 3]),
        "device": torch.device("cpu"),
        "set": {1, 2},
        "dtype": torch.float32,
    }
    content["ordered"] = collections.OrderedDict(a=1)
    content["default"] = collections.defaultdict(list, b=2)
    torch.save(content, tmp_path / "x.pt")
    found = read_torch_file(tmp_path / "x.pt")
    assert (found["epoch"], found["size"], found["set"]) == (3, (2, 3), {1, 2})
    assert (found["ordered"], found["default"]) == ({"a": 1}, {"b": 2})
    assert found["device"].kind == "torch.device"


def test_a_handwritten_tensor(tmp_path):
    path = write_zip(
        tmp_path / "x.pt", tensor_pickle(), data__0=torch.tensor([1.0, 2.0]).numpy().tobytes()
    )
    stored = read_torch_file(path)
    assert isinstance(stored, StoredTensor)
    assert read_stored(path, {"x": stored})["x"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (3,)},
        {"offset": 1},
        {"offset": -1},
        {"shape": (-1,)},
        {"stride": (-1,)},
        {"shape": (10**12,), "stride": (0,)},
        {"shape": (2, 1)},
        {"shape": [2]},
        {"shape": (2.0,)},
        {"shape": (0, 10**50), "stride": (1, 1)},
        {"shape": (0, 2**30, 2**30), "stride": (1, 1, 1)},
        {"shape": (True,)},
        {"shape": "ab", "stride": "ab"},
    ],
    ids=str,
)
def test_tensors_outside_of_their_storage_are_refused(changes, tmp_path):
    path = write_zip(tmp_path / "x.pt", tensor_pickle(**changes), data__0=bytes(8))
    with pytest.raises(
        CheckpointError,
        match=r"calls 'torch\._utils\._rebuild_tensor_v2' with impossible arguments",
    ):
        read_torch_file(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"storage": "torch Tensor"}, r"it names 'torch\.Tensor'"),
        ({"storage": "builtins int"}, "a storage of tensors in a way that is unknown"),
        ({"length": -1}, "a storage of tensors in a way that is unknown"),
        ({"key": 3}, "a storage of tensors in a way that is unknown"),
        (
            {"rebuild": "_rebuild_sparse_tensor"},
            r"it names 'torch\._utils\._rebuild_sparse_tensor'",
        ),
    ],
)
def test_bad_storages_are_refused(changes, reason, tmp_path):
    with pytest.raises(CheckpointError, match=reason):
        read_torch_file(write_zip(tmp_path / "x.pt", tensor_pickle(**changes), data__0=bytes(8)))


@pytest.mark.parametrize("entry", [{}, {"data__0": bytes(7)}, {"data__0": bytes(12)}])
def test_storages_of_another_length(entry, tmp_path):
    path = write_zip(tmp_path / "x.pt", tensor_pickle(), **entry)
    stored = read_torch_file(path)
    with pytest.raises(CheckpointError, match="data/0"):
        read_stored(path, {"x": stored})


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return (os.system, (self.command,))


def test_a_payload_in_a_checkpoint_is_not_run(tmp_path):
    canary = tmp_path / "canary"
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "callbacks": [Evil(f"touch {canary}")]}, path)
    torch.load(path, weights_only=False)
    assert canary.exists(), "the payload is a real one"
    canary.unlink()
    with pytest.raises(
        CheckpointError, match=r"Refused to read .*x\.ckpt: it names 'posix\.system'"
    ):
        read_torch_file(path)
    assert not canary.exists()


def test_a_payload_as_the_storage_of_a_tensor_is_not_run(tmp_path):
    canary = tmp_path / "canary"

    class Tensor:
        def __reduce__(self):
            return (
                torch._utils._rebuild_tensor_v2,
                (Evil(f"touch {canary}"), 0, (1,), (1,), False, {}),
            )

    path = write_zip(tmp_path / "x.pt", pickle.dumps(Tensor(), 2))
    with pytest.raises(CheckpointError, match=r"names 'posix\.system'"):
        read_torch_file(path)
    assert not canary.exists()


@pytest.mark.parametrize("size", [0, 1, 100, -1, -200])
def test_a_truncated_file(size, tmp_path):
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(100)}, buffer)
    content = buffer.getvalue()
    path = tmp_path / "x.pt"
    path.write_bytes(content[: size if size >= 0 else len(content) + size])
    with pytest.raises(CheckpointError, match="damaged or incomplete"):
        read_torch_file(path)


def test_a_flipped_bit_in_a_tensor_is_noticed(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"a": torch.full((100,), 7.5)}, path)
    content = path.read_bytes()
    path.write_bytes(content.replace(torch.tensor([7.5]).numpy().tobytes(), b"\0\0\0\1", 1))
    stored = read_torch_file(path)
    with pytest.raises(CheckpointError, match="CRC"):
        read_stored(path, stored)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_files_fail_in_one_way_only(data, tmp_path):
    buffer = io.BytesIO()
    torch.save({"a": torch.arange(3), "b": [1, "x"]}, buffer)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    try:
        found = read_torch_file(path)
        stored = found.get("a") if isinstance(found, dict) else None
        read = read_stored(path, {"a": stored}) if isinstance(stored, StoredTensor) else {}
    except CheckpointError as error:
        reason = str(error)
    else:
        reason = str(path)
        assert all(
            (tuple(value.shape), value.dtype) == (stored.shape, stored.storage.dtype)
            for value in read.values()
        )
    assert str(path) in reason


def test_tensors_that_share_a_storage_must_not_outgrow_the_file(tmp_path):
    base = torch.zeros(10_000)
    path = tmp_path / "bomb.pt"
    torch.save({str(number): base for number in range(50)}, path)
    stored = read_torch_file(path)
    assert torch.equal(read_stored(path, {"0": stored["0"]})["0"], base)
    with pytest.raises(
        CheckpointError,
        match=r"Refused to read .*bomb\.pt: its tensors share their values and would take 2000000",
    ):
        read_stored(path, stored)


def test_a_shared_storage_is_read_once(tmp_path, monkeypatch):
    base = torch.arange(1000.0)
    path = tmp_path / "x.pt"
    torch.save({"a": base[:10], "b": torch.zeros(3), "c": base[990:]}, path)
    stored = read_torch_file(path)
    entries, read = [], zipfile.ZipFile.read
    monkeypatch.setattr(
        zipfile.ZipFile,
        "read",
        lambda self, entry: entries.append(entry.filename) or read(self, entry),
    )
    found = read_stored(path, stored)
    assert list(found) == ["a", "b", "c"]
    assert torch.equal(found["c"], base[990:])
    assert len([name for name in entries if "/data/" in name]) == 2


def test_a_huge_pickle_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_file, "_LARGEST_PICKLE", 1000)
    assert read_torch_file(write_zip(tmp_path / "x.pt", pickle.dumps("x" * 900, 2))) == "x" * 900
    with pytest.raises(
        CheckpointError, match=r"data\.pkl of .*x\.pt to have at most 1000 bytes, but it has 10"
    ):
        read_torch_file(write_zip(tmp_path / "x.pt", pickle.dumps("x" * 1000, 2)))


def test_a_set_of_colliding_numbers_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.pt", pickle.dumps({2**61 - 1}, 2))
    with pytest.raises(CheckpointError, match="a key is a number"):
        read_torch_file(path)


def test_other_files(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        read_torch_file(tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="is a folder"):
        read_torch_file(tmp_path)
    (tmp_path / "photo.pt").write_bytes(b"\xff\xd8 no zip file")
    with pytest.raises(CheckpointError, match="damaged or incomplete"):
        read_torch_file(tmp_path / "photo.pt")
    torch.save({"a": 1}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(
        CheckpointError,
        match=r"the zip format of PyTorch 1\.6 and later, but it is in the older one",
    ):
        read_torch_file(tmp_path / "old.pt")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(CheckpointError, match="another kind of zip file"):
        read_torch_file(tmp_path / "zip.pt")
    big = write_zip(tmp_path / "big.pt", pickle.dumps(1, 2), byteorder=b"big")
    with pytest.raises(CheckpointError, match="little-endian"):
        read_torch_file(big)
    with pytest.raises(CheckpointError, match="compressed"):
        read_torch_file(write_zip(tmp_path / "bomb.pt", pickle.dumps(1, 2), zipfile.ZIP_DEFLATED))
