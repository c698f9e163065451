"""Work side by side, in order."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from primaps.compute import cores
from primaps.compute.cores import one_thread_each


def test_results_come_in_order_and_from_threads_of_one_torch_thread_each(monkeypatch):
    monkeypatch.setattr(cores, "usable_cores", lambda: 3)
    before, meeting, seen = torch.get_num_threads(), threading.Barrier(3, timeout=20), []

    def work(number):
        seen.append((threading.get_ident(), torch.get_num_threads()))
        meeting.wait()  # passes only if three are at work at the same time
        time.sleep(0.01 * (3 - number % 3))
        return number**2

    with cores.workers() as threads:
        assert list(threads.each(work, range(30))) == [number**2 for number in range(30)]
    assert {count for _, count in seen} == {1}
    assert len({thread for thread, _ in seen}) == 3
    assert torch.get_num_threads() == before


def test_an_error_ends_the_work_and_comes_through(monkeypatch):
    monkeypatch.setattr(cores, "usable_cores", lambda: 2)
    done, before = [], torch.get_num_threads()

    def work(number):
        done.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    with pytest.raises(ValueError, match="three"), cores.workers() as threads:
        list(threads.each(work, range(1000)))
    assert len(done) < 100
    assert torch.get_num_threads() == before


def test_unwanted_workers_are_the_calling_thread():
    with cores.workers(wanted=False) as threads:
        assert set(threads.each(lambda _: threading.get_ident(), range(5))) == {
            threading.get_ident()
        }


def test_scratch_memory_is_used_again_and_belongs_to_its_thread():
    threads, other = cores.Workers(), []
    first = threads.scratch(3, 4)
    assert first.shape == (3, 4)
    assert first.dtype == torch.float32
    assert threads.scratch(2, 5).data_ptr() == first.data_ptr()
    assert threads.scratch(100).numel() == 100
    thread = threading.Thread(target=lambda: other.append(threads.scratch(3, 4).data_ptr()))
    thread.start()
    thread.join()
    assert other[0] != threads.scratch(3, 4).data_ptr()


def test_who_leaves_last_gives_the_threads_back():
    """Two at once, as a photograph that is tried beside a job: neither leaves all others slow."""
    inside, left = threading.Event(), threading.Event()

    def other():
        with one_thread_each():
            inside.set()
            left.wait(20)

    def threads_of_another():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.get_num_threads).result()

    former = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(1) as pool:
            with one_thread_each():
                beside = pool.submit(other)
                assert inside.wait(20)
            assert threads_of_another() == 1
            left.set()
            beside.result()
        assert threads_of_another() == 2
    finally:
        torch.set_num_threads(former)
