"""Several processes on this machine that do one job together, on the CPU or on one GPU each.

Lightning Fabric starts the processes, joins them to a group and gives each its device. Process 0
tells its progress to the process that started them and sends it the result; the first error of any
process ends all.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import Pipe, active_children
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.multiprocessing.spawn import ProcessException
from torch.nn import functional as F

from primaps.compute.group import Alone, Group
from primaps.errors import ConfigError, MissingExtraError, ProcessError
from primaps.progress import Progress, Silent, Stopped

if TYPE_CHECKING:
    from lightning_fabric import Fabric

TIMEOUT: Final = timedelta(minutes=30)
"""How long a process waits for the others at one exchange."""

_LOOPBACK: Final = {"linux": "lo", "darwin": "lo0"}
_CLUSTER: Final = (
    "MASTER_ADDR",
    "MASTER_PORT",
    "LOCAL_RANK",
    "RANK",
    "WORLD_SIZE",
    "NODE_RANK",
    "GROUP_RANK",
    "GLOO_SOCKET_IFNAME",
    "TORCHELASTIC_USE_AGENT_STORE",
)
_QUIET: Final = ("lightning_fabric.utilities", "torch.multiprocessing.spawn")

P = ParamSpec("P")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Place:
    """Where a job runs.

    Attributes:
        group: The processes that do it.
        device: The device of this one.
        progress: Who is told; silent on all processes but the first.
    """

    group: Group
    device: torch.device
    progress: Progress


def in_processes(
    count: int,
    device: torch.device,
    progress: Progress,
    job: Callable[Concatenate[Place, P], Result],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Result:
    """Do a job in several processes, and wait for it; one process is the calling one.

    Args:
        count: Number of processes.
        device: The CPU, or the first of as many GPUs as there are processes.
        progress: Who is told; called from another thread.
        job: A function of a module, which every process calls with its `Place` and the arguments.
        args: Of the job; pickled.
        kwargs: Likewise.

    Returns:
        What the job returned in process 0.

    Raises:
        ConfigError: If the number or the device is out of range.
        MissingExtraError: If Lightning Fabric is not installed.
        ProcessError: If a process was ended from outside or does not answer.
    """
    check_processes(count, device)
    if count == 1:
        return job(Place(Alone(), device, progress), *args, **kwargs)
    pipes = [Pipe(duplex=False) for _ in range(count)]
    before = set(active_children())
    listener = _Listener([reader for reader, _ in pipes], progress, lambda: _end_all(before))
    threads = max(1, torch.get_num_threads() // count)
    child = _Child([writer for _, writer in pipes], threads, job, args, kwargs)
    ended: Exception | None = None
    listener.start()
    try:
        _launch(count, device, child)
    except ProcessException as error:
        ended = error
    finally:
        for process in _end_all(before):  # after Ctrl-C
            process.join()
        for _, writer in pipes:
            writer.close()
        listener.join()
    result: Result = listener.outcome(ended)
    return result


def _end_all(before: set[BaseProcess]) -> set[BaseProcess]:
    """End the processes that were started since; whatever they keep is written in one step."""
    started = set(active_children()) - before
    for process in started:
        process.terminate()
    return started


def check_processes(count: int, device: torch.device) -> None:
    """Make sure, before any work starts, that so many processes can be had.

    Raises:
        ConfigError: If the number or the device is out of range.
        MissingExtraError: If Lightning Fabric is not installed.
    """
    if count < 1:
        raise ConfigError(f"Expected the number of processes to be 1 or more, but got {count}.")
    if count == 1:
        return
    if device.type == "cuda":
        gpus = torch.cuda.device_count()
        if device.index not in {None, 0} or count > gpus:
            raise ConfigError(
                f"Expected device cuda and at most {gpus} processes, one per GPU, but got {device}"
                f" and {count}. Use fewer --processes, or --device cpu."
            )
    elif device.type != "cpu":
        raise ConfigError(
            f"Expected device cpu or cuda for several processes, but got {device}. Leave"
            " --processes out."
        )
    if importlib.util.find_spec("lightning_fabric") is None:
        raise MissingExtraError(
            "Expected the package lightning-fabric, which starts the processes, but it is not"
            " installed. Install it with: pip install 'primaps[distributed]'"
        )


def asked_by_torchrun() -> tuple[int, int] | None:
    """Rank of this process and number of processes, if ``torchrun`` has started it.

    The processes of a job are started here, not by ``torchrun``: the one of rank 0 starts as many,
    and the others have nothing to do.

    Raises:
        ConfigError: If they are on several machines.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    rank, count, here = (
        int(os.environ.get(name, default))
        for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_WORLD_SIZE", "1"))
    )
    if here != count:
        raise ConfigError(
            f"Expected torchrun to start all processes on one machine, but got {count} on several"
            " ones. Leave --nnodes out: a fit sees a sample, and one machine is enough."
        )
    return rank, count


def _launch(count: int, device: torch.device, child: _Child) -> None:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    with _own_environment(), _quiet():
        strategy = DDPStrategy(start_method="spawn", timeout=TIMEOUT)
        fabric = Fabric(
            accelerator=device.type,
            devices=count,
            strategy=strategy,
            plugins=[LightningEnvironment()],
        )
        fabric.launch(child)


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Settings of a cluster do not concern processes on one machine, which meet on its loopback
    interface.
    """
    before = {name: os.environ.pop(name, None) for name in _CLUSTER}
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    if sys.platform in _LOOPBACK:
        os.environ["GLOO_SOCKET_IFNAME"] = _LOOPBACK[sys.platform]
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Errors are ours to report; that processes were started or ended is no news."""
    loggers = [logging.getLogger(name) for name in _QUIET]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Child:
    """What every started process calls. Pickled as a whole: Fabric would take its arguments
    apart.
    """

    def __init__(
        self,
        writers: list[Connection],
        threads: int,
        job: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        self.writers, self.threads = writers, threads
        self.job, self.args, self.kwargs = job, args, kwargs

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        # a terminal sends Ctrl-C to all; the process that started this one decides
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for name in _QUIET:  # before Fabric joins the processes, and says so
            logging.getLogger(name).setLevel(logging.ERROR)

    def __call__(self, fabric: Fabric) -> None:
        torch.set_num_threads(self.threads)
        writer, first = self.writers[fabric.global_rank], fabric.global_rank == 0
        place = Place(_Joined(fabric), fabric.device, _Teller(writer) if first else Silent())
        try:
            result = self.job(place, *self.args, **self.kwargs)
        except Exception as error:  # noqa: BLE001 - reported and raised by the process that started this one
            error.add_note(f"In process {fabric.global_rank}:\n{traceback.format_exc()}")
            writer.send(("failed", time.monotonic(), _pickled(error)))
            sys.exit(1)
        if first:
            writer.send(("result", pickle.dumps(result)))
        # Left to the end of the process, threads of the group may still run then, and it aborts.
        torch.distributed.destroy_process_group()


def _pickled(error: Exception) -> bytes:
    try:
        data = pickle.dumps(error)
        pickle.loads(data)  # noqa: S301 - an exception with arguments of its own may fail only here
    except Exception:  # noqa: BLE001
        return pickle.dumps(RuntimeError("\n".join(error.__notes__)))
    return data


class _Joined:
    """The group of processes that Fabric joined."""

    def __init__(self, fabric: Fabric) -> None:
        self._device = fabric.device
        self.rank: int = fabric.global_rank
        self.size: int = fabric.world_size

    def exchange(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """See `primaps.compute.group.Group`; as safetensors, so that nothing that comes from
        outside is run.
        """
        from safetensors.torch import load, save

        own = {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in tensors.items()
        }
        data = torch.frombuffer(bytearray(save(own)), dtype=torch.uint8)
        try:
            lengths = [int(length) for length in self._gathered(torch.tensor(len(data)))]
            padded = self._gathered(F.pad(data, (0, max(lengths) - len(data))))
        except RuntimeError as error:
            raise ProcessError(
                f"Expected the other processes to answer within {TIMEOUT}, but got: {error}. Run"
                " the same command again."
            ) from error
        return [
            load(row[:length].numpy().tobytes())
            for row, length in zip(padded, lengths, strict=True)
        ]

    def _gathered(self, tensor: Tensor) -> list[Tensor]:
        own = tensor.to(self._device)  # NCCL has no others
        found = [torch.empty_like(own) for _ in range(self.size)]
        torch.distributed.all_gather(found, own)
        return [each.cpu() for each in found]


class _Teller:
    """Sends the progress of process 0 to the process that started it."""

    def __init__(self, writer: Connection) -> None:
        self._writer = writer

    def plan(self, stages: Sequence[str], kind: str = "", images: int = 0) -> None:
        self._writer.send(("plan", tuple(stages), kind, images))

    def start(self, stage: str, total: int, done: int = 0) -> None:
        self._writer.send(("start", stage, total, done))

    def advance(self, steps: int = 1) -> None:
        self._writer.send(("advance", steps))

    def finish(self) -> None:
        self._writer.send(("finish",))

    def note(self, message: str) -> None:
        self._writer.send(("note", message))


@dataclass
class _Listener:
    """Receives what the processes send, in a thread, until all have ended."""

    readers: list[Connection]
    progress: Progress
    end_all: Callable[[], object]
    errors: list[tuple[bool, float, Exception]] = field(default_factory=list)
    result: bytes | None = None
    stopped: Stopped | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._listen, name="processes", daemon=True)
        self._thread.start()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()
        for reader in self.readers:
            reader.close()

    def outcome(self, ended: Exception | None) -> Any:
        """The result of process 0; the error that came first, rather than that others missed the
        process that had it.
        """
        if self.stopped is not None:
            raise self.stopped
        if self.errors:
            raise min(self.errors, key=lambda error: error[:2])[2]
        if ended is not None or self.result is None:
            raise ProcessError(
                f"Expected all processes to end with their work, but got: {ended}. It may have run"
                " out of memory: use fewer --processes. Run the same command again."
            ) from ended
        return pickle.loads(self.result)  # noqa: S301 - from our own process, through a pipe that no other one has

    def _listen(self) -> None:
        left = list(self.readers)
        while left:
            for reader in wait(left):
                assert isinstance(reader, Connection)
                try:
                    message = reader.recv()
                except (EOFError, OSError):
                    left.remove(reader)
                    continue
                try:
                    self._receive(*message)
                except Stopped as stopped:
                    self.stopped, self.progress = stopped, Silent()
                    self.end_all()
                except Exception as error:  # noqa: BLE001 - of whoever is told the progress; raised when the processes have ended
                    self.errors.append((False, time.monotonic(), error))
                    self.progress = Silent()

    def _receive(self, kind: str, *values: Any) -> None:
        if kind == "failed":
            error = pickle.loads(values[1])  # noqa: S301 - likewise
            self.errors.append((isinstance(error, ProcessError), values[0], error))
        elif kind == "result":
            (self.result,) = values
        else:
            getattr(self.progress, kind)(*values)
