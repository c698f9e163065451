"""Train `mini`, the bundled backbone, from folders of photographs. No label is read.

    python tools/train_mini.py OUT --folder CamVid/train --folder BSDS500/train

writes OUT/mini.safetensors (fp16, 1.0 MB). The shipped file was made by this command with ``--seed
0`` from the 367 training frames of CamVid (Brostow et al. 2009, 480 x 360) and the 200 training
photographs of BSDS500 (Arbelaez et al. 2011).

Recipe (the network itself is described in ``src/primaps/features/mini/backbone.py``); photographs
at a short side of 320 pixels:

1. dictionary: at each of five scales, 60 000 patches drawn evenly from all photographs, and their
   mirror images; 64 whitened principal components; 128 pairs of mirrored centres by 15 rounds of
   k-means.
2. components: mean and covariance of the square roots of the pooled activations over all cells; 192
   whitened components.
3. metric: mean and covariance of the components with their contexts. The 64 components that the
   network groups are the principal ones after weighting a component by (standard deviation before
   whitening)^0.6 and the windows 1, 3, 7, 15 by 0.5, 1, 1, 0.5; the 320 details are whitened.

Deterministic for a seed on one kind of device; every finished stage is kept in
OUT/stages.safetensors, so that a run that was cut goes on there and ends with the same bytes. Cost
of the shipped file: about 4 minutes on one CPU core, 1.8 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch.nn import functional as F

from primaps.data.reading import read_image
from primaps.features.mini import backbone as mini
from primaps.features.preprocess import image_to_input, input_size
from primaps.runs.store import atomic_write

SIZE = 320
EXTENSIONS = {".jpg", ".jpeg", ".png"}
PATCHES, PATCH_COMPONENTS, CENTRES, ROUNDS = 60_000, 64, 128, 15
COMPONENTS = 192
EXPONENT, WINDOW_WEIGHTS = 0.6, (0.5, 1.0, 1.0, 0.5)
# of the mean, of the largest variance: what is below is noise
_PATCH_FLOOR, _ACTIVATION_FLOOR = 0.01, 1e-4

State = dict[str, torch.Tensor]


def photographs(folders: Iterable[Path]) -> list[Path]:
    """All image files of the folders, sorted within each."""
    found: list[Path] = []
    for folder in folders:
        files = (
            sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)
            if folder.is_dir()
            else []
        )
        if not files:
            raise SystemExit(
                f"Expected photographs ({', '.join(sorted(EXTENSIONS))}) in {folder}, but found"
                " none."
            )
        found += files
    return found


def images(paths: Iterable[Path], device: torch.device) -> Iterator[torch.Tensor]:
    """Photographs as (1, 3, H, W) float32 in [0, 1], sides multiples of 8."""
    black, one = torch.zeros(3), torch.ones(3)
    for path in paths:
        image = read_image(path)
        size = input_size(image.shape[0], image.shape[1], SIZE, mini.CELL)
        yield image_to_input(image, size, black, one, torch.device("cpu")).to(device)


def fit_dictionaries(paths: list[Path], device: torch.device, generator: torch.Generator) -> State:
    """Stage 1."""
    per_image = -(-PATCHES // len(paths))
    patches: list[list[torch.Tensor]] = [[] for _ in mini.SCALES]
    for rgb in images(paths, device):
        for drawn, scale, level in zip(patches, mini.SCALES, mini.pyramid(rgb), strict=True):
            unfolded = F.unfold(level, scale.side)[0].T.cpu()
            drawn.append(unfolded[torch.randint(len(unfolded), (per_image,), generator=generator)])
    state: State = {}
    for index, (drawn, scale) in enumerate(zip(patches, mini.SCALES, strict=True)):
        sample = torch.cat(drawn)
        mirrored = sample.reshape(-1, 3, scale.side, scale.side).flip(-1).flatten(1)
        mean, covariance = moments([sample, mirrored])
        variances, directions = principal(covariance, PATCH_COMPONENTS)
        whitening = (
            directions / (variances + _PATCH_FLOOR * covariance.diagonal().mean()).sqrt()
        ).T.float()
        dictionary = mini.Dictionary(
            whitening.reshape(-1, 3, scale.side, scale.side),
            -(whitening @ mean.float()),
            torch.empty(0, PATCH_COMPONENTS),
        )
        points = (sample @ whitening.T + dictionary.offset).to(device)
        centres = k_means(points, CENTRES, dictionary.mirror.to(device), generator)
        state |= {
            f"{field}_{index}": value
            for field, value in dictionary._replace(centres=centres.cpu())._asdict().items()
        }
    return state


def k_means(
    points: torch.Tensor, count: int, mirror: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Centres (count, D) of (P, D) points that may be mirrored: ``point * mirror``; empty clusters
    start anew at a random point.

    Every point counts for the centre that it or its mirror image is closest to.
    """

    def random_points(number: int) -> torch.Tensor:
        return points[torch.randperm(len(points), generator=generator)[:number].to(points.device)]

    centres = random_points(count)
    for _ in range(ROUNDS):
        both = torch.cat([centres, centres * mirror])
        nearest = (points @ both.T - 0.5 * both.square().sum(dim=1)).argmax(dim=1)
        upright = torch.where((nearest < count)[:, None], points, points * mirror)
        nearest %= count
        sizes = torch.bincount(nearest, minlength=count)
        centres = (
            torch.zeros_like(centres).index_add_(0, nearest, upright) / sizes.clamp_min(1)[:, None]
        )
        empty = sizes == 0
        centres[empty] = random_points(int(empty.sum()))
    return centres


def fit_components(paths: list[Path], device: torch.device, state: State) -> State:
    """Stage 2."""
    mean, covariance = moments(
        cells(mini.activations(rgb, dictionaries(state, device))) for rgb in images(paths, device)
    )
    variances, directions = principal(covariance, COMPONENTS)
    rows = (directions / (variances + _ACTIVATION_FLOOR * variances[0]).sqrt()).T
    return {
        "components": rows.float(),
        "components_mean": mean.float(),
        "deviations": (variances / variances[0]).sqrt().float(),
    }


def fit_metric(paths: list[Path], device: torch.device, state: State) -> State:
    """Stage 3."""
    rows, centre = state["components"].to(device), state["components_mean"].to(device)

    def contexts() -> Iterator[torch.Tensor]:
        for rgb in images(paths, device):
            yield cells(
                mini.with_context(
                    mini.project(mini.activations(rgb, dictionaries(state, device)), rows, centre)
                )
            )

    mean, covariance = moments(contexts())
    weights = torch.cat(
        [weight * state["deviations"].double() ** EXPONENT for weight in WINDOW_WEIGHTS]
    )
    variances, directions = principal(weights[:, None] * covariance * weights, mini.GROUPED)
    grouped = (directions * weights[:, None]).T * (mini.GROUPED / variances.sum()).sqrt()
    variances, directions = principal(covariance, mini.DETAIL)
    details = (directions / variances.sqrt()).T
    return {"metric": torch.cat([grouped, details]).float(), "metric_mean": mean.float()}


def dictionaries(state: State, device: torch.device) -> list[mini.Dictionary]:
    """The dictionaries of stage 1 on the device."""
    fields = mini.Dictionary._fields
    return [
        mini.Dictionary(*(state[f"{field}_{i}"].to(device) for field in fields))
        for i in range(len(mini.SCALES))
    ]


def cells(maps: torch.Tensor) -> torch.Tensor:
    """(1, C, h, w) -> (h * w, C)."""
    return maps[0].flatten(1).T


def moments(blocks: Iterable[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (C,) and covariance (C, C), float64 on the CPU, of the rows of all (P, C) float32
    blocks.
    """
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for block in blocks:
        count += len(block)
        total = total + block.sum(dim=0).double().cpu()
        squares = squares + (block.T @ block).double().cpu()
    mean = total / count
    return mean, squares / count - mean[:, None] * mean


def principal(covariance: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest eigenvalues (count,) and their eigenvectors (C, count); the largest entry of a vector
    is positive.
    """
    values, vectors = torch.linalg.eigh(covariance)
    vectors = vectors.flip(1)[:, :count]
    signs = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True)).sign()
    return values.flip(0)[:count].clamp_min(1e-12), vectors * signs


def load_stages(path: Path, recipe: str) -> State:
    """What an earlier run with the same recipe has finished."""
    if not path.exists():
        return {}
    with safe_open(path, "pt") as stored:
        if stored.metadata() != {"recipe": recipe}:
            raise SystemExit(
                f"Expected {path} to come from the same photographs and seed. Choose another"
                " folder, or remove it."
            )
        return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a mapping


def train(out: Path, folders: list[Path], seed: int, device: torch.device) -> Path:
    """Run or resume the stages; returns the weights file."""
    out.mkdir(parents=True, exist_ok=True)
    paths = photographs(folders)
    recipe = json.dumps(
        {
            "seed": seed,
            "device": device.type,
            "photographs": [[path.name, path.stat().st_size] for path in paths],
        }
    )
    stages, start = out / "stages.safetensors", time.process_time()
    state = load_stages(stages, recipe)
    work: dict[str, Callable[[], State]] = {
        "centres_0": lambda: fit_dictionaries(paths, device, torch.Generator().manual_seed(seed)),
        "components": lambda: fit_components(paths, device, state),
        "metric": lambda: fit_metric(paths, device, state),
    }
    for key, stage in work.items():
        if key not in state:
            state.update({name: value.contiguous() for name, value in stage().items()})
            atomic_write(stages, save(state, {"recipe": recipe}))
        print(f"{key}: done after {time.process_time() - start:.0f} s of CPU time", flush=True)
    weights = {name: state[name].half().contiguous() for name in mini.weight_shapes()}
    atomic_write(out / "mini.safetensors", save(weights))
    return out / "mini.safetensors"


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for the weights and the finished stages")
    parser.add_argument(
        "--folder",
        type=Path,
        action="append",
        required=True,
        help="folder of photographs; may be repeated",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    arguments = parser.parse_args()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(mode=True)
    with torch.no_grad():
        print(
            train(arguments.out, arguments.folder, arguments.seed, torch.device(arguments.device))
        )


if __name__ == "__main__":
    main()
