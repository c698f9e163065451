r"""Measure the constants of the texture features: prints the text of
``src/primaps/features/texture_table.py``.

For every statistic and window the table holds mean and standard deviation over all 8 x 8 cells of
all images, each cell counting once, at a short side of 320 pixels (float64 sums). The two diagonal
orientations are pooled: mirroring an image swaps them.

The shipped table was measured on 100 of the 200 training photographs of BSDS500 and 15 of the 367
training frames of CamVid:

    python tools/measure_texture_table.py --folder BSDS500/train 100 --folder CamVid/train 15 \
        --check

Of the files of a folder, sorted by name, every n-th is taken from the first on, n = files // count.
``--check`` compares with the shipped table and prints the largest deviations, of means in units of
the shipped standard deviation and of standard deviations relative to it; it fails beyond
``--tolerance``. Which files the shipped table was measured on was not recorded; the command above
comes within 0.9 % (means) and 1.9 % (standard deviations) of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import torch

from primaps.data.reading import read_image
from primaps.features.preprocess import image_to_input, input_size
from primaps.features.texture import CELL, HISTOGRAM_BINS, SCALES, WINDOWS, statistics
from primaps.features.texture_table import TABLE

SIZE = 320
EXTENSIONS = {".jpg", ".jpeg", ".png"}
DIAGONALS = ("45", "135")


def statistic_names() -> list[str]:
    """Names of the maps of `primaps.features.texture.statistics`, in its order."""
    scales = [str(2**scale) for scale in range(SCALES)]
    return [
        *(f"{kind} {channel}" for kind in ("mean", "spread") for channel in "Lab"),
        *(
            f"oriented {scale} {direction}"
            for scale in scales
            for direction in ("0", "45", "90", "135")
        ),
        *(f"laplacian {scale}" for scale in scales),
        *(f"chroma {scale} {channel}" for scale in scales for channel in "ab"),
        *(f"histogram {channel} {index}" for channel in "Lab" for index in range(HISTOGRAM_BINS)),
    ]


def select(folder: Path, count: int) -> list[Path]:
    """``count`` image files of a folder, evenly spread over their names."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)
    if not 1 <= count <= len(files):
        raise SystemExit(
            f"Expected {folder} to hold at least {count} images (and 1 to be asked for), but it"
            f" holds {len(files)}."
        )
    return files[:: len(files) // count][:count]


def measure(paths: Iterable[Path]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation over all cells of all images: twice (48, 4) float64."""
    black, one = torch.zeros(3), torch.ones(3)
    cells, total, squares = 0, torch.zeros(()), torch.zeros(())
    for path in paths:
        image = read_image(path)
        size = input_size(image.shape[0], image.shape[1], SIZE, CELL)
        values = (
            statistics(image_to_input(image, size, black, one, torch.device("cpu")))[0]
            .flatten(2)
            .double()
        )
        cells += values.shape[2]
        total = total + values.sum(dim=2)
        squares = squares + values.square().sum(dim=2)
    mean, square = _pool_diagonals(total / cells), _pool_diagonals(squares / cells)
    return mean, (square - mean.square()).sqrt()


def _pool_diagonals(moments: torch.Tensor) -> torch.Tensor:
    names = statistic_names()
    pooled = moments.clone()
    for scale in range(SCALES):
        rows = [names.index(f"oriented {2**scale} {direction}") for direction in DIAGONALS]
        pooled[rows] = moments[rows].mean(dim=0)
    return pooled


def module_text(source: str, mean: torch.Tensor, deviation: torch.Tensor) -> str:
    """The text of the module that holds the table."""
    rows = "\n".join(
        f'    ("{name}", {_numbers(means)}, {_numbers(deviations)}),'
        for name, means, deviations in zip(
            statistic_names(), mean.tolist(), deviation.tolist(), strict=True
        )
    )
    windows = ", ".join(map(str, WINDOWS))
    return f'''"""Texture features: mean and deviation of each statistic, by window.

Windows of {windows} cells. Measured over {source},
short side {SIZE}. The two diagonal orientations share their mean, so that mirrored images are
treated alike. Names: statistic, scale (oriented, laplacian, chroma), then direction in degrees,
Lab channel or histogram bin.
"""

from __future__ import annotations

from typing import Final

Windows = tuple[float, float, float, float]

TABLE: Final[tuple[tuple[str, Windows, Windows], ...]] = (
{rows}
)
'''


def _numbers(values: list[float]) -> str:
    return f"({', '.join(f'{value:.3f}' for value in values)})"


def deviations(mean: torch.Tensor, deviation: torch.Tensor) -> dict[str, tuple[float, str]]:
    """Largest deviation from the shipped table of a mean and of a standard deviation, and the
    statistic that it is found in.

    Both in units of the shipped standard deviation.
    """
    shipped_mean = torch.tensor([means for _, means, _ in TABLE], dtype=torch.float64)
    shipped = torch.tensor([values for _, _, values in TABLE], dtype=torch.float64)
    found: dict[str, tuple[float, str]] = {}
    for kind, difference in (
        ("mean", mean - shipped_mean),
        ("standard deviation", deviation - shipped),
    ):
        relative = (difference.abs() / shipped).amax(dim=1)
        found[kind] = (float(relative.max()), TABLE[int(relative.argmax())][0])
    return found


def main() -> int:
    """Measure; print the module, or with ``--check`` the deviation from the shipped one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder",
        nargs=2,
        action="append",
        required=True,
        metavar=("FOLDER", "COUNT"),
        help="may be repeated",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare with the shipped table instead of printing one",
    )
    parser.add_argument(
        "--tolerance", type=float, default=0.03, help="largest deviation that --check accepts"
    )
    arguments = parser.parse_args()
    folders = [(Path(folder), int(count)) for folder, count in arguments.folder]
    mean, deviation = measure(path for folder, count in folders for path in select(folder, count))
    if not arguments.check:
        source = " and ".join(
            f"{count} images of {folder.parent.name}/{folder.name}" for folder, count in folders
        )
        print(module_text(source, mean, deviation), end="")
        return 0
    worst = deviations(mean, deviation)
    for kind, (value, name) in worst.items():
        print(f"largest deviation of a {kind}: {value:.2%} ({name})")
    return int(any(value > arguments.tolerance for value, _ in worst.values()))


if __name__ == "__main__":
    sys.exit(main())
