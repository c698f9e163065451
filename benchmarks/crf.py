"""Time of the dense CRF on one thread, as a ratio to pydensecrf2, and how many pixels get the same
label.

Run from the repository: ``python benchmarks/crf.py [photograph]``. The implementations take turns
in one process and each figure is the median over the turns of processor time: ratios hold on a busy
machine as well, seconds do not.

The time of one iteration is also held against the memory bandwidth, which is measured in the same
process by copying a large array: an iteration at 27 labels and 320 x 320 pixels moves about 170 MB.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import torch.nn.functional as F
from inputs import photograph
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rows import Row, add_rows_option, at_least, publish

from primaps.config import CRFConfig
from primaps.proposals.crf import dense_crf as crf
from primaps.proposals.crf import plain

Posterior = NDArray[np.float32]
SIZE = 320
TOKENS = 40
LABELS = (4, 8, 16, 27)
EQUAL_BAR = 0.999
SPEED_BAR = 3.5
BARRED_LABELS = (8, 27)
ITERATION_LABELS, ITERATION_BYTES = 27, 170e6
COPIED_BYTES = 1 << 28


@dataclass(frozen=True)
class Comparison:
    """Implementations on one image with so many labels.

    Attributes:
        labels: Number of labels.
        seconds: Median processor seconds by implementation.
        ratios: Median over the turns of the time of pydensecrf2 divided by an implementation's;
            empty where it is not installed.
        equal: Fraction of the pixels that get the label of the compiled implementation.
    """

    labels: int
    seconds: dict[str, float]
    ratios: dict[str, float]
    equal: dict[str, float]

    def rows(self, where: str) -> list[Row]:
        """Lines of the table."""
        what = f"CRF, {self.labels} labels, {where}"
        times = ", ".join(
            f"{name} {seconds * 1000:.0f} ms" for name, seconds in self.seconds.items()
        )
        found = [Row(f"{what}: time", times)]
        for name, ratio in self.ratios.items():
            subject = f"{what}: {name} against pydensecrf2"
            barred = name == "compiled" and self.labels in BARRED_LABELS
            found.append(
                at_least(subject, ratio, SPEED_BAR) if barred else Row(subject, f"{ratio:.2f} x")
            )
        for name, equal in self.equal.items():
            bar = f"at least {EQUAL_BAR:.1%}"
            found.append(
                Row(
                    f"{what}: same labels, compiled and {name}",
                    f"{equal:.3%}",
                    bar,
                    equal >= EQUAL_BAR,
                )
            )
        return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", nargs="?", type=Path)
    parser.add_argument("--labels", type=int, nargs="+", default=LABELS)
    parser.add_argument("--turns", type=int, default=7)
    add_rows_option(parser)
    arguments = parser.parse_args()
    photo, origin = (
        photograph() if arguments.photo is None else (arguments.photo, arguments.photo.name)
    )
    if not photo.is_file():
        parser.error(f"expected a photograph, but {photo} is no file: name one")
    torch.set_num_threads(1)
    image = square(photo)
    methods = {"compiled": compiled, "torch": plain_torch}
    if importlib.util.find_spec("pydensecrf") is None:
        print("pydensecrf2 is not installed (extra: crf-oracle): ratios to it cannot be told.")
    else:
        methods["pydensecrf2"] = pydensecrf
    print(
        f"{photo.name} at {SIZE} x {SIZE}, one thread, {arguments.turns} turns; on CPUs:"
        f" {crf.describe_backend()}"
    )
    where = f"{SIZE} x {SIZE}, {origin}"
    rows: list[Row] = []
    for labels in arguments.labels:
        rows += compare(image, smooth_probabilities(labels), methods, arguments.turns).rows(where)
    rows.append(iteration_row(image, arguments.turns, where))
    publish(rows, arguments.rows)


def compare(
    image: NDArray[np.uint8],
    probability: Posterior,
    methods: dict[str, Callable[..., Posterior]],
    turns: int,
) -> Comparison:
    """Every implementation in every turn, after one that compiles and warms up."""
    label_maps = {name: method(image, probability).argmax(0) for name, method in methods.items()}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(turns):
        for name, method in methods.items():
            seconds[name].append(cpu_seconds(lambda method=method: method(image, probability)))  # type: ignore[misc]
    reference = seconds.get("pydensecrf2", [])
    ratios = {
        name: median(theirs / ours for theirs, ours in zip(reference, seconds[name], strict=True))
        for name in methods
        if reference and name != "pydensecrf2"
    }
    equal = {
        name: float((label_maps[name] == label_maps["compiled"]).mean())
        for name in methods
        if name != "compiled"
    }
    return Comparison(
        len(probability), {name: median(spent) for name, spent in seconds.items()}, ratios, equal
    )


def iteration_row(image: NDArray[np.uint8], turns: int, where: str) -> Row:
    """Time of one iteration beside the time in which as many bytes can be copied."""
    probability = torch.from_numpy(smooth_probabilities(ITERATION_LABELS))
    picture = torch.from_numpy(image)
    source = np.ones(COPIED_BYTES // 8)
    target = np.empty_like(source)
    np.copyto(target, source)  # touches the pages
    few, many, copied = [], [], []
    for _ in range(turns):
        few.append(cpu_seconds(lambda: crf.mean_field(picture, probability, iterations=2)))
        many.append(cpu_seconds(lambda: crf.mean_field(picture, probability, iterations=12)))
        copied.append(cpu_seconds(lambda: np.copyto(target, source)))
    spent = (min(many) - min(few)) / 10
    bandwidth = 2 * COPIED_BYTES / min(copied)  # read and written
    limit = ITERATION_BYTES / bandwidth
    measured = (
        f"{spent * 1000:.1f} ms; {ITERATION_BYTES / 1e6:.0f} MB take {limit * 1000:.1f} ms at"
        f" {bandwidth / 1e9:.1f} GB/s"
    )
    what = f"CRF, {ITERATION_LABELS} labels, {where}: one iteration beside memory bandwidth"
    return Row(what, f"{measured} ({spent / limit:.1f} x)")


def cpu_seconds(call: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def square(path: Path) -> NDArray[np.uint8]:
    """The photograph, cropped to a square."""
    with Image.open(path) as photo:
        return np.array(ImageOps.fit(photo.convert("RGB"), (SIZE, SIZE)))


def smooth_probabilities(labels: int) -> Posterior:
    """Upsampled scores of tokens, as a network gives them."""
    scores = torch.randn(1, labels, TOKENS, TOKENS, generator=torch.Generator().manual_seed(0)) * 2
    return F.interpolate(scores, size=(SIZE, SIZE), mode="bilinear")[0].softmax(0).numpy()


def compiled(image: NDArray[np.uint8], probability: Posterior) -> Posterior:
    """What the package does on CPUs."""
    return crf.mean_field(torch.from_numpy(image), torch.from_numpy(probability)).numpy()


def plain_torch(image: NDArray[np.uint8], probability: Posterior) -> Posterior:
    """The path of other devices, here on the CPU."""
    config = CRFConfig()
    images, probabilities = torch.from_numpy(image)[None], torch.from_numpy(probability)[None]
    return plain.mean_field_batch(images, probabilities, config, config.iterations)[0].numpy()


def pydensecrf(image: NDArray[np.uint8], probability: Posterior) -> Posterior:
    """The common C++ implementation with the same settings."""
    from pydensecrf.densecrf import DenseCRF2D  # type: ignore[import-untyped]

    config = CRFConfig()
    model = DenseCRF2D(SIZE, SIZE, len(probability))
    model.setUnaryEnergy(
        np.ascontiguousarray(-np.log(probability.clip(1e-5, 1)).reshape(len(probability), -1))
    )
    model.addPairwiseGaussian(sxy=config.gaussian_sxy, compat=config.gaussian_compat)
    bgr = np.ascontiguousarray(image[..., ::-1])
    model.addPairwiseBilateral(
        sxy=config.bilateral_sxy,
        srgb=config.bilateral_srgb,
        rgbim=bgr,
        compat=config.bilateral_compat,
    )
    return np.array(model.inference(config.iterations)).reshape(probability.shape)


if __name__ == "__main__":
    main()
