"""Time of the dense CRF on one thread, as a ratio to pydensecrf2, and how many pixels get the same label.

Run from the repository: ``python benchmarks/crf.py [photograph]``. The implementations take turns in one process and each
figure is the median over the turns of processor time: ratios hold on a busy machine as well, seconds do not.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageOps

from primaps.config import CRFConfig
from primaps.proposals import crf

Posterior = NDArray[np.float32]
SIZE = 320
TOKENS = 40
DEFAULT_PHOTO = Path(__file__).resolve().parents[2] / "shared" / "data" / "bsds500" / "train" / "100075.jpg"


def main() -> None:
    """Print one line per number of labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="?", type=Path, default=DEFAULT_PHOTO)
    parser.add_argument("--labels", type=int, nargs="+", default=[4, 8, 16, 27])
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()
    if not arguments.photo.is_file():
        parser.error(f"expected a photograph, but {arguments.photo} is no file: name one")
    torch.set_num_threads(1)
    image = square(arguments.photo)
    methods = {"compiled": compiled, "torch": plain_torch}
    if importlib.util.find_spec("pydensecrf") is None:
        print("pydensecrf2 is not installed (extra: crf-oracle): ratios to it cannot be told.")
    else:
        methods["pydensecrf2"] = pydensecrf
    print(f"{arguments.photo.name} at {SIZE} x {SIZE}, one thread, {arguments.turns} turns; CPU kernel: {crf.describe_backend()}")
    for labels in arguments.labels:
        print(compare(image, smooth_probabilities(labels), methods, arguments.turns))


def compare(image: NDArray[np.uint8], probability: Posterior, methods: dict[str, Callable[..., Posterior]], turns: int) -> str:
    """One line: seconds, ratios, and equal labels in per cent."""
    posteriors = {name: method(image, probability) for name, method in methods.items()}  # compiles and warms up
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(turns):
        for name, method in methods.items():
            start = time.process_time()
            method(image, probability)
            seconds[name].append(time.process_time() - start)
    label_maps = {name: posterior.argmax(0) for name, posterior in posteriors.items()}
    parts = [f"{name} {median(seconds[name]) * 1000:.0f} ms" for name in methods]
    if "pydensecrf2" in methods:
        for name in ("compiled", "torch"):
            ratio = median(theirs / ours for theirs, ours in zip(seconds["pydensecrf2"], seconds[name], strict=True))
            parts.append(f"{name} {ratio:.2f} x as fast as pydensecrf2")
    for name in list(methods)[1:]:
        equal = (label_maps[name] == label_maps["compiled"]).mean()
        parts.append(f"same labels as {name} {equal:.4%}")
    return f"{len(probability):3} labels: {', '.join(parts)}"


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
    with torch.no_grad():
        return crf._plain_mean_field(images, probabilities, config, config.iterations)[0].numpy()


def pydensecrf(image: NDArray[np.uint8], probability: Posterior) -> Posterior:
    """The common C++ implementation with the same settings."""
    from pydensecrf.densecrf import DenseCRF2D

    config = CRFConfig()
    model = DenseCRF2D(SIZE, SIZE, len(probability))
    model.setUnaryEnergy(np.ascontiguousarray(-np.log(probability.clip(1e-5, 1)).reshape(len(probability), -1)))
    model.addPairwiseGaussian(sxy=config.gaussian_sxy, compat=config.gaussian_compat)
    bgr = np.ascontiguousarray(image[..., ::-1])
    model.addPairwiseBilateral(sxy=config.bilateral_sxy, srgb=config.bilateral_srgb, rgbim=bgr, compat=config.bilateral_compat)
    return np.array(model.inference(config.iterations)).reshape(probability.shape)


if __name__ == "__main__":
    main()
