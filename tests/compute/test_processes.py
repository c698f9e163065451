"""How many processes there can be; what several of them do is in tests/ddp."""

import importlib.util
import types

import pytest
import torch

from primaps.compute import processes
from primaps.compute.group import Alone
from primaps.errors import ConfigError, MissingExtraError
from primaps.progress import Silent

CPU = torch.device("cpu")


def place_and(place, *given, **named):
    return place, given, named


def test_one_process_is_the_calling_one():
    told = Silent()
    place, given, named = processes.in_processes(1, CPU, told, place_and, 3, four=4)
    assert isinstance(place.group, Alone)
    assert (place.device, place.progress, given, named) == (CPU, told, (3,), {"four": 4})


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_process_are_refused(count):
    with pytest.raises(ConfigError, match=f"number of processes to be 1 or more, but got {count}"):
        processes.in_processes(count, CPU, Silent(), place_and)


def test_one_gpu_per_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    processes.check_processes(2, torch.device("cuda"))
    processes.check_processes(2, torch.device("cuda:0"))
    processes.check_processes(1, torch.device("cuda:1"))
    with pytest.raises(ConfigError, match="at most 2 processes, one per GPU, but got cuda and 3"):
        processes.check_processes(3, torch.device("cuda"))
    with pytest.raises(ConfigError, match="but got cuda:1 and 2"):
        processes.check_processes(2, torch.device("cuda:1"))


def test_several_processes_on_other_devices_are_refused():
    with pytest.raises(
        ConfigError, match="Expected device cpu or cuda for several processes, but got mps"
    ):
        processes.check_processes(2, torch.device("mps"))


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    processes.check_processes(1, CPU)
    with pytest.raises(MissingExtraError, match=r"pip install 'primaps\[distributed\]'"):
        processes.check_processes(2, CPU)


def test_an_error_that_cannot_be_pickled_is_told_in_words():
    import pickle

    class OddError(Exception):
        pass

    error = OddError("odd")
    error.add_note("where it was")
    told = pickle.loads(processes._pickled(error))
    assert isinstance(told, RuntimeError)
    assert "where it was" in str(told)


def test_a_process_leaves_the_group_when_its_work_is_done(monkeypatch):
    """Threads that the group keeps would abort some of the processes at their end."""
    steps = []
    writer = types.SimpleNamespace(send=lambda message: steps.append(message[0]))
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: steps.append("left"))
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    for rank, expected in ((0, ["work", "result", "left"]), (1, ["work", "left"])):
        fabric = types.SimpleNamespace(global_rank=rank, world_size=2, device=CPU)
        processes._Child([writer, writer], 1, lambda _: steps.append("work"), (), {})(fabric)
        assert steps == expected
        steps.clear()


def test_who_is_not_started_by_torchrun_is_told_nothing(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("RANK", "1")  # of some cluster
    assert processes.asked_by_torchrun() is None


@pytest.mark.parametrize("rank", [0, 1])
def test_torchrun_says_rank_and_number(monkeypatch, rank):
    set_torchrun(monkeypatch, rank, count=4, here=4)
    assert processes.asked_by_torchrun() == (rank, 4)


def test_torchrun_on_several_machines_is_refused(monkeypatch):
    set_torchrun(monkeypatch, 0, count=4, here=2)
    with pytest.raises(ConfigError, match="on one machine, but got 4 on several"):
        processes.asked_by_torchrun()


def set_torchrun(monkeypatch, rank, count, here):
    values = {"TORCHELASTIC_RUN_ID": "none", "RANK": rank, "WORLD_SIZE": count}
    for name, value in {**values, "LOCAL_WORLD_SIZE": here}.items():
        monkeypatch.setenv(name, str(value))
