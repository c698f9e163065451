"""Measure what each compiled loop is worth: CPU seconds of the main job with it and without it.

    python tools/measure_compiled_loops.py PHOTOGRAPHS

Every command runs on the same few photographs: as it is, and once more for each of its compiled
loops with that one taken away, so that its plain twin does the work. The variants take turns, each
in a process of its own, after one that compiles what is not compiled yet; of several turns the
lowest figure counts. CPU seconds (user and system) of one thread (``OMP_NUM_THREADS=1``) say more
than seconds of a machine that others use, yet they too grow by a tenth or so where cores are
shared. They hold what a job costs anyway, mostly the start: on many photographs a loop saves a
larger share. A second table compares stages, on one photograph: there two kernels of the dense CRF
stand that cannot be taken away alone, and what each function of `mini` saves.

docs/decisions/0006-compiled-loops.md has the rule that the figures are held against.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

LOWEST_GAIN: Final = 0.2
"""Share of the CPU time of a job that a loop should save."""

LABELS: Final = 8


@dataclass(frozen=True)
class Loops:
    """Compiled loops and how to do without them.

    Attributes:
        package: Package whose modules ``plain`` and ``compiled`` are twins.
        functions: Functions of ``compiled`` that are made of these loops; () = all, so that the
            module cannot be imported, as if numba did not work.
    """

    package: str
    functions: tuple[str, ...] = ()

    def take_away(self) -> None:
        """Have the plain twin do the work in this process from now on."""
        name = f"primaps.{self.package}.compiled"
        if not self.functions:
            sys.modules[name] = None  # type: ignore[assignment]  # Python's way to say: not there
            return
        compiled = importlib.import_module(name)
        plain = importlib.import_module(f"primaps.{self.package}.plain")
        for function in self.functions:
            if not hasattr(compiled, function):
                raise AttributeError(f"expected {name} to have {function}, but it has not")
            setattr(compiled, function, getattr(plain, function))


@dataclass(frozen=True)
class Sums(Loops):
    """Loops of `CompiledSums`, whose methods those of `PlainSums` can take the place of."""

    package: str = "prototypes.steps"

    def take_away(self) -> None:
        """Have `PlainSums` do the work in this process from now on."""
        if not self.functions:
            super().take_away()
            return
        from primaps.prototypes.steps.compiled import CompiledSums
        from primaps.prototypes.steps.plain import PlainSums

        for method in self.functions:
            setattr(CompiledSums, method, getattr(PlainSums, method))


class Stencil(Loops):
    """The smoothness kernel as a stencil, instead of which its lattice can be filtered."""

    def take_away(self) -> None:
        """Let no image have a stencil."""
        compiled = importlib.import_module("primaps.proposals.crf.compiled")
        compiled.has_stencil = lambda *_: False  # type: ignore[attr-defined]


CRF: Final = "proposals.crf"
MINI: Final = "features.mini"
LOOPS: Final = {
    "proposals/crf: compiled, with its kernels": Loops(CRF),
    "proposals/crf: stencil_kernel": Stencil(CRF),
    "features/mini: compiled": Loops(MINI),
    "prototypes/steps: compiled, with all below": Sums(),
    "prototypes/steps: kernels of pixels": Sums(
        functions=("ballots", "mean_probabilities", "cross_entropy")
    ),
    "prototypes/steps: token_products, with cosine_kernel": Sums(
        functions=("closest_cosines", "token_logits")
    ),
    "prototypes/steps: cosine_kernel": Sums(functions=("closest_cosines",)),
}
JOBS: Final = {
    "": ("proposals/crf: compiled, with its kernels", "proposals/crf: stencil_kernel"),
    "--preset fast": ("proposals/crf: compiled, with its kernels",),
    "--backbone mini": (
        "proposals/crf: compiled, with its kernels",
        "features/mini: compiled",
    ),
    "--method baseline": (
        "proposals/crf: compiled, with its kernels",
        "prototypes/steps: compiled, with all below",
        "prototypes/steps: cosine_kernel",
    ),
    "--init pca": (
        "prototypes/steps: compiled, with all below",
        "prototypes/steps: kernels of pixels",
        "prototypes/steps: token_products, with cosine_kernel",
    ),
}
"""Options of ``primaps segment``, and the loops that matter to it."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path, help="A folder.")
    parser.add_argument("--count", type=int, default=12, help="How many of them, evenly spread.")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument(
        "--jobs", nargs="+", default=list(JOBS), help="Options of the commands, one text each."
    )
    arguments = parser.parse_args()
    found = sorted(path for path in arguments.photographs.iterdir() if path.suffix == ".jpg")
    if not found:
        parser.error(f"expected photographs (.jpg) in {arguments.photographs}")
    count = min(arguments.count, len(found))
    photographs = [found[index * len(found) // count] for index in range(count)]
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {count} photographs")
    print("| loops | primaps segment | CPU s with | CPU s without | saves |")
    print("|---|---|---|---|---|")
    for options in arguments.jobs:
        measure_job(options, photographs, arguments.turns)
    measure_stages(photographs[0])


def measure_job(options: str, photographs: Sequence[Path], turns: int) -> None:
    """Print a line for every compiled loop that matters to a job."""
    cpu_seconds(None, options, photographs[:2])  # compiles
    spent: dict[str | None, list[float]] = {name: [] for name in (None, *JOBS[options])}
    for _ in range(turns):
        for name, seconds in spent.items():
            seconds.append(cpu_seconds(name, options, photographs))
    base = min(spent[None])
    for name in JOBS[options]:
        without = min(spent[name])
        gain = 1 - base / without
        verdict = "" if gain >= LOWEST_GAIN else " (below the rule)"
        print(
            f"| {name} | {options or '(default)'} | {base:.1f} | {without:.1f} |"
            f" {gain:.0%}{verdict} |",
            flush=True,
        )


def cpu_seconds(name: str | None, options: str, photographs: Sequence[Path]) -> float:
    """CPU seconds of the main job without some compiled loops, None = with all.

    Raises:
        CalledProcessError: If the job fails; what it said is part of the error.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = ["segment", *map(str, photographs), "--out", f"{folder}/run", *options.split()]
        code = "import sys, measure_compiled_loops as tool; tool.run_without(*sys.argv[1:])"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, name or "", *job],
            check=True,
            capture_output=True,
            cwd=Path(__file__).parent,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_without(name: str, *job: str) -> None:
    """The command ``primaps`` in this process without some compiled loops; "" = with all."""
    from primaps.cli import main as primaps

    if name:
        LOOPS[name].take_away()
    sys.argv = ["primaps", *job]
    primaps()


def measure_stages(photograph: Path) -> None:
    """Print how long stages take, on one photograph and one thread, and their twins in torch."""
    import torch

    torch.set_num_threads(1)
    print("| stage | CPU ms | its twin in torch, CPU ms | ratio |")
    print("|---|---|---|---|")
    measure_mean_field(photograph)
    measure_lattices(photograph)
    measure_mini(photograph)
    measure_steps()


def show(what: str, compiled: Callable[[], object], plain: Callable[[], object]) -> None:
    """Print the time of two calls that do the same."""
    fast, slow = cpu_milliseconds(compiled), cpu_milliseconds(plain)
    print(f"| {what} | {fast:.1f} | {slow:.1f} | {slow / fast:.1f} |", flush=True)


def measure_mean_field(photograph: Path) -> None:
    """The whole CRF, and the whole of it with the smoothness on its lattice."""
    from unittest import mock

    import torch

    import primaps as pm
    from primaps.config import CRFConfig
    from primaps.proposals.crf import compiled, plain

    images, config = torch.from_numpy(pm.read_image(photograph))[None], CRFConfig()
    for labels in (LABELS, 3 * LABELS):
        probabilities = torch.rand(1, labels, *images.shape[1:3]).softmax(1)
        given = images, probabilities, config, config.iterations
        show(
            f"proposals/crf: compiled, {labels} labels",
            lambda given=given: compiled.mean_field_batch(*given),  # type: ignore[misc]
            lambda given=given: plain.mean_field_batch(*given),  # type: ignore[misc]
        )
        with mock.patch.object(compiled, "has_stencil", return_value=False):
            spent = cpu_milliseconds(lambda given=given: compiled.mean_field_batch(*given))  # type: ignore[misc]
        print(f"| the same without stencil_kernel, {labels} labels | {spent:.1f} | | |")


def measure_lattices(photograph: Path) -> None:
    """The kernels that the compiled CRF is made of."""
    import numpy as np
    import torch

    import primaps as pm
    from primaps.config import CRFConfig
    from primaps.proposals.crf.filter_kernel import aligned, build_filter
    from primaps.proposals.crf.lattice_kernel import build_vertices
    from primaps.proposals.crf.permutohedral import build_lattice
    from primaps.proposals.crf.stencil_kernel import build_stencil, pixel_positions

    image, config = torch.from_numpy(pm.read_image(photograph)), CRFConfig()
    height, width = image.shape[:2]
    position = pixel_positions(height, width)
    colour = image.flip(2).reshape(-1, 3).float() / config.bilateral_srgb
    both = torch.cat([position / config.bilateral_sxy, colour], 1)
    lattice, kernel = build_lattice(both[None]), build_filter(both, 1.0)
    near, stencil = build_lattice(position[None]), build_stencil(height, width, 1.0)
    values, halo = torch.rand(height * width, LABELS), stencil.halo * LABELS
    rows, output = (aligned(values.numel() + 2 * halo) for _ in range(2))
    rows[:], output[:] = 0.5, np.float32(0)
    work, lanes = aligned(kernel.vertices.count * LABELS), (0,) * LABELS
    show(
        "proposals/crf: lattice_kernel, vertices by position and colour",
        lambda: build_vertices(both),
        lambda: build_lattice(both[None]),
    )
    show(
        f"proposals/crf: filter_kernel, one filter by position and colour, {LABELS} labels",
        lambda: kernel.add(output, rows, halo, work, lanes),
        lambda: lattice.filter(values),
    )
    show(
        f"proposals/crf: stencil_kernel, one filter by position, {LABELS} labels",
        lambda: stencil.apply(output, rows, rows, halo, lanes),
        lambda: near.filter(values),
    )


def measure_mini(photograph: Path) -> None:
    """Features of `mini`, and the same with one function in torch at a time."""
    from unittest import mock

    import primaps as pm
    from primaps.features.mini import backbone as mini
    from primaps.features.mini import compiled, plain

    image, backbone = pm.read_image(photograph), pm.load_backbone("mini", device="cpu")

    def extract() -> None:
        backbone.extract(image, size=320)

    def extract_plainly() -> None:
        with mini.PATHS.plain_only():
            extract()

    show("features/mini: compiled, all features", extract, extract_plainly)
    for name in ("mean_shift", "triangle"):
        with mock.patch.object(compiled, name, getattr(plain, name)):
            spent = cpu_milliseconds(extract)
        print(f"| the same with {name} in torch | {spent:.1f} | | |", flush=True)


def measure_steps() -> None:
    """The sums over pixels and tokens of a step of EM or k-means on one image, with gradients."""
    import torch

    from primaps.prototypes.steps.compiled import CompiledSums
    from primaps.prototypes.steps.plain import PlainSums

    generator = torch.Generator().manual_seed(0)
    features = [torch.randn(384, 40, 60, generator=generator)]
    prototypes = torch.randn(27, 384, generator=generator)
    prototypes = (prototypes / prototypes.norm(dim=1, keepdim=True)).requires_grad_()
    logits = [torch.randn(27, 40, 60, generator=generator, requires_grad=True)]
    proposals = [torch.arange(320 * 480).view(320, 480) // (320 * 60)]  # bands
    votes, weights = [torch.arange(8)], [torch.ones(8)]
    parts: dict[str, Callable[[Any], object]] = {
        "ballots_kernel": lambda sums: sums.ballots(logits, proposals, 1),
        "probability_kernel": lambda sums: sums.mean_probabilities(logits, [(320, 480)], 1),
        "cross_entropy_kernel, all pixels": lambda sums: sums.cross_entropy(
            logits, proposals, votes, weights, [None]
        ).backward(),
        "cosine_kernel": lambda sums: sums.closest_cosines(prototypes, features).backward(),
        "token_products, token_logits": lambda sums: sum(
            part.sum() for part in sums.token_logits(prototypes, features)
        ).backward(),
    }
    for name, part in parts.items():
        show(
            f"prototypes/steps: {name}",
            lambda part=part: part(CompiledSums()),  # type: ignore[misc]
            lambda part=part: part(PlainSums()),  # type: ignore[misc]
        )


def cpu_milliseconds(call: Callable[[], object], turns: int = 7) -> float:
    """Lowest CPU time of a call in this process."""
    call()
    spent = []
    for _ in range(turns):
        start = time.process_time()
        call()
        spent.append(time.process_time() - start)
    return 1000 * min(spent)


if __name__ == "__main__":
    main()
