"""What a million images take: core-seconds, bytes in the store, PNG files, network.

    python benchmarks/cost_model.py --json costs.json --check --write docs/scale.md
    python benchmarks/cost_model.py --read costs.json --photo 1080 1920     # other photographs

Every piece of the work is measured on photographs by the processor seconds that it takes with one
thread, at two sizes of photographs or of the backbone's input, and a line is put through them:
a fixed part, and one in proportion to the pixels (`cost_pieces.py`). Weights that do not come with
the installation are random, which takes as long; proposals are then made of the features of the
default backbone, at their grid and with as many channels. ``--check`` predicts a run over ten times
as many photographs as were measured, does it, and compares. Photographs above a megapixel cost less
than the lines say: label maps and CRF work at up to one, and large JPEG files are decoded smaller.

A GPU is not measured here; see `gpu.py`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cost_pieces import (
    CONFIG,
    TILE,
    Line,
    OfBackbone,
    Shared,
    any_backbone,
    measure_backbone,
    measure_shared,
    write_pictures,
)
from jobs import run_job
from rows import machine
from scaling import StageTimes

from primaps.features.preprocess import input_size
from primaps.features.registry import DEFAULT_BACKBONE, list_backbones
from primaps.runs.model import Model

MILLION: Final = 1_000_000
TIMES: Final = 10
"""How many times as many photographs the check has."""
CONVOLUTIONAL: Final = ("timm:convnext_tiny.fb_in1k", "timm:resnet50.a1_in1k")
MARKS: Final = ("<!-- cost model: begin -->", "<!-- cost model: end -->")
CORPORA: Final = (10**6, 10**8, 10**9)
SHARD: Final = 256
"""Images of a tar file of outputs, unless told otherwise."""
MANIFEST_LINE: Final = 190
"""Bytes of an image in the manifest, with a name of 16 letters."""
REFERENCE: Final = 1_000
"""Bytes of memory that an image takes in the process that plans a command with shards."""
LISTED: Final = 1_000
"""Names that an object store lists in one request."""
DAY: Final = 86_400
_RECORD: Final = 500
"""Bytes that a digest keeps of an image besides its proposals."""


@dataclass(frozen=True)
class Costs:
    """What was measured.

    Attributes:
        shared: What does not depend on the backbone.
        backbones: What does.
        where: The machine, in words.
        photographs: On how many of what.
        images: How many.
        run: Core-seconds of the stages of a run on as many, and bytes of its outputs.
    """

    shared: Shared
    backbones: tuple[OfBackbone, ...]
    where: str
    photographs: str
    images: int
    run: dict[str, float]


@dataclass(frozen=True)
class PerImage:
    """Of one image of one size with one backbone.

    Attributes:
        proposals: Core-seconds of ``primaps proposals``.
        predict: Core-seconds of ``primaps predict``.
        predict_plain: The same with ``--no-crf``.
        features: Core-seconds of the backbone, which both need.
        store: Bytes of its features and proposals.
        digest: Bytes that ``--store none`` leaves.
    """

    proposals: float
    predict: float
    predict_plain: float
    features: float
    store: float
    digest: float


def main() -> None:
    """Measure, and print the tables."""
    options = parse()
    if options.job:
        job(*options.job)
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    costs = measured(options) if options.read is None else read(options.read)
    if options.json is not None:
        options.json.write_text(json.dumps(dataclasses.asdict(costs), indent=1), encoding="utf-8")
    text = tables(costs, tuple(options.photo), options.size)
    if options.check:
        text += "\n\n" + checked(costs)
    print(text)
    if options.write is not None:
        write_into(options.write, text)


def parse(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The settings of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=8, help="photographs to measure on")
    parser.add_argument("--turns", type=int, default=2, help="measurements, the least counts")
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 320], help="of inputs")
    parser.add_argument("--backbones", nargs="+", default=names(), metavar="NAME")
    parser.add_argument("--photo", type=int, nargs=2, default=[480, 640], metavar=("H", "W"))
    parser.add_argument("--size", type=int, default=320, help="short side of inputs in the table")
    parser.add_argument("--check", action="store_true", help="do a run ten times as large")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured there")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing, read it there")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into that page")
    parser.add_argument("--job", type=Path, nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def names() -> list[str]:
    """The backbones of the registry that differ in what they cost, and two convolutional ones."""
    alike = re.compile(r"_reg$|_300ep$")  # a few tokens more; other weights
    known = [spec.name for spec in list_backbones() if not alike.search(spec.name)]
    return [*known, *CONVOLUTIONAL]


def measured(options: argparse.Namespace) -> Costs:
    """Measure every piece, with one thread."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, any_backbone(DEFAULT_BACKBONE) as (default, _):
        pictures = write_pictures(Path(folder), options.images)
        run = segmented(options.images, Path(folder) / "first")
        model = Model.load(Path(folder) / "first" / "run" / "model")
        shared = measure_shared(pictures, default, model, options.turns)
        found = []
        for name in options.backbones:
            some = pictures.small[: max(2, options.images // 2)]
            found.append(measure_backbone(name, some, default, options.sizes, options.turns))
            print(f"{name}: {found[-1].features}", file=sys.stderr, flush=True)
    count = f"{len(pictures.small)} {pictures.origin}, and {len(pictures.large)} made of four each"
    return Costs(shared, tuple(found), machine(), count, len(pictures.small), run)


def read(path: Path) -> Costs:
    """What ``--json`` wrote."""
    known = json.loads(path.read_text(encoding="utf-8"))
    backbones = tuple(OfBackbone(**_lines(each)) for each in known.pop("backbones"))
    return Costs(Shared(**_lines(known.pop("shared"))), backbones, **known)


def _lines(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: Line(**value) if isinstance(value, dict) else value for key, value in record.items()
    }


def per_image(shared: Shared, backbone: OfBackbone, photo: tuple[int, int], size: int) -> PerImage:
    """The model: what an image of (height, width) costs at a size of the backbone's input."""
    height, width = input_size(*photo, size, backbone.multiple)
    pixels, inside = photo[0] * photo[1], height * width
    features, reading = backbone.features.at(inside), shared.reading.at(pixels)
    return PerImage(
        proposals=reading
        + features
        + backbone.proposals.at(inside)
        + backbone.storing.at(inside)
        + shared.drawing.at(pixels),
        predict=reading + features + shared.labelling.at(pixels),
        predict_plain=reading + features + shared.labelling_plain.at(pixels),
        features=features,
        store=backbone.store_bytes.at(inside),
        digest=shared.proposals * (4 * backbone.dim + 12) + _RECORD,
    )


def tables(costs: Costs, photo: tuple[int, int], size: int) -> str:
    """Everything in Markdown."""
    shared, pixels = costs.shared, photo[0] * photo[1]
    head = (
        f"Measured on {costs.photographs}: {costs.where}. One million photographs of"
        f" {photo[0]} x {photo[1]} with `--size {size}`; columns two to five are hours of one"
        " core."
    )
    in_all = "; ".join(
        f"{what} {cost.at(pixels) * MILLION / 1e9:.0f} GB"
        for what, cost in (
            ("the photographs (JPEG of quality 92)", shared.photo_bytes),
            ("proposals as PNG", shared.proposal_bytes),
            ("label maps as PNG", shared.label_bytes),
        )
    )
    return "\n\n".join(
        (
            head,
            _table_of_backbones(costs, photo, size),
            f"Whatever the backbone: {in_all}.",
            _table_of_lines(costs),
            _table_of_corpora(costs, photo, size),
        )
    )


def _table_of_backbones(costs: Costs, photo: tuple[int, int], size: int) -> str:
    lines = [
        (
            "| backbone | `proposals` | `predict` | `predict --no-crf` | of each the backbone"
            " | GPU-seconds | store, one view, GB | `--store none`, GB |"
        ),
        "|---|---:|---:|---:|---:|---|---:|---:|",
    ]
    for backbone in costs.backbones:
        one = per_image(costs.shared, backbone, photo, size)
        hours = [
            f"{spent * MILLION / 3600:.0f}"
            for spent in (one.proposals, one.predict, one.predict_plain, one.features)
        ]
        stored = [f"{taken * MILLION / 1e9:.0f}" for taken in (one.store, one.digest)]
        mark = " (random weights)" if backbone.drawn else ""
        lines.append(
            f"| `{backbone.name}`{mark} | {' | '.join(hours)} | not measured here |"
            f" {' | '.join(stored)} |"
        )
    return "\n".join(lines)


def _table_of_corpora(costs: Costs, photo: tuple[int, int], size: int) -> str:
    """What grows with the corpus, for the first backbone."""
    shared, backbone, pixels = costs.shared, costs.backbones[0], photo[0] * photo[1]
    one = per_image(shared, backbone, photo, size)
    rows: dict[str, Callable[[int], float]] = {
        "`predict`, core-years": lambda n: n * one.predict / DAY / 365,
        "`predict --no-crf`, core-years": lambda n: n * one.predict_plain / DAY / 365,
        "days on 1 000 cores, with CRF": lambda n: n * one.predict / DAY / 1e3,
        "photographs, TB": lambda n: n * shared.photo_bytes.at(pixels) / 1e12,
        "store, TB": lambda n: n * one.store / 1e12,
        "label maps as PNG, TB": lambda n: n * shared.label_bytes.at(pixels) / 1e12,
        "files of the usual folders (store, proposals, labels)": lambda n: 3 * n,
        f"objects of one command with shards (3 per {SHARD} images)": lambda n: 3 * n / SHARD,
        "memory of the process that plans, GB": lambda n: n * REFERENCE / 1e9,
        "manifest, GB": lambda n: n * MANIFEST_LINE / 1e9,
        "requests to list single files": lambda n: n / LISTED,
        "requests per second to read single files in a day": lambda n: n / DAY,
    }
    lines = [
        "| `" + backbone.name + "` | " + " | ".join(f"{n:.0e} images" for n in CORPORA) + " |",
        "|---|---:|---:|---:|",
        *(
            f"| {what} | " + " | ".join(_rounded(cost(n)) for n in CORPORA) + " |"
            for what, cost in rows.items()
        ),
    ]
    return "\n".join(lines).replace("1e+0", "10^")


def _rounded(value: float) -> str:
    """Two digits that count, with spaces between thousands."""
    if value < 10:
        return f"{value:.2g}"
    digits = 10 ** (len(str(int(value))) - 2)
    return f"{round(value / digits) * digits:,}".replace(",", " ")


def _table_of_lines(costs: Costs) -> str:
    """The model itself, in core-milliseconds and bytes."""
    shared = costs.shared
    lines = [
        "| piece, core-milliseconds per image | fixed | per megapixel | of |",
        "|---|---:|---:|---|",
        *(
            f"| {what} | {1e3 * cost.fixed:.1f} | {1e3 * cost.per_megapixel:.0f} | photograph |"
            for what, cost in (
                ("reading", shared.reading),
                ("proposals as PNG", shared.drawing),
                ("label map with CRF, as PNG", shared.labelling),
                ("label map without, as PNG", shared.labelling_plain),
            )
        ),
    ]
    for backbone in costs.backbones:
        lines += [
            f"| `{backbone.name}`: {what} | {1e3 * cost.fixed:.1f} |"
            f" {1e3 * cost.per_megapixel:.0f} | input |"
            for what, cost in (
                ("features", backbone.features),
                ("proposals with CRF", backbone.proposals),
                ("into the store", backbone.storing),
            )
        ]
    return "\n".join(lines)


def checked(costs: Costs) -> str:
    """Predict a run over ten times as many photographs, do it, and compare."""
    backbone = next(each for each in costs.backbones if each.name == DEFAULT_BACKBONE)
    with tempfile.TemporaryDirectory() as folder:
        done = segmented(costs.images * TIMES, Path(folder))
    count = int(done["images"])
    lines = [
        (
            f"| `primaps segment` of {count} photographs, `{DEFAULT_BACKBONE}`, one core |"
            " predicted | measured | predicted / measured |"
        ),
        "|---|---:|---:|---:|",
    ]
    for what, value in predicted(costs, backbone, count).items():
        scale, unit = (1e6, "MB") if what.endswith("bytes") else (1.0, "core-seconds")
        lines.append(
            f"| {what.removesuffix(' bytes')} | {value / scale:.1f} {unit} |"
            f" {done[what] / scale:.1f} {unit} | {value / done[what]:.2f} |"
        )
    rest = done["whole"] - done["proposals"] - done["label maps"]
    return "\n".join(lines) + (
        f"\n\nSeconds of both stages: those of a run on {costs.images} photographs, and the model"
        f" for the further ones. Start, fit and report took {rest:.1f} core-seconds besides."
    )


def predicted(costs: Costs, backbone: OfBackbone, count: int) -> dict[str, float]:
    """What a run on so many photographs takes: core-seconds of what the run on few took, and of the
    further ones by the model; bytes by the model alone.
    """
    shared, pixels = costs.shared, TILE[0] * TILE[1]
    one = per_image(shared, backbone, TILE, CONFIG.features.size)
    seconds = {
        "proposals": one.proposals,
        # of stored features: no backbone
        "label maps": shared.reading.at(pixels) + shared.labelling.at(pixels),
    }
    taken = {
        "store bytes": one.store,
        "proposals as PNG bytes": shared.proposal_bytes.at(pixels),
        "label maps as PNG bytes": shared.label_bytes.at(pixels),
    }
    further = count - costs.images
    return {
        **{what: costs.run[what] + further * cost for what, cost in seconds.items()},
        **{what: count * cost for what, cost in taken.items()},
    }


def segmented(count: int, folder: Path) -> dict[str, float]:
    """Run the main job on so many small photographs in ``folder``, in a process of its own.

    Returns:
        Core-seconds of its stages and of the whole process, bytes of its outputs, and the number of
        photographs, if there are not as many.
    """
    photographs = folder / "photographs"
    photographs.mkdir(parents=True)
    pictures = write_pictures(photographs, count)
    for image in pictures.large:
        image.path.unlink()
    usage = run_job([sys.executable, __file__, "--job", str(photographs), str(folder / "run")])
    done: dict[str, float] = json.loads(usage.output.splitlines()[-1])
    return {**done, "whole": usage.cpu_seconds, "images": len(pictures.small)}


def job(photographs: Path, out: Path) -> None:
    """What `segmented` runs as a process of its own: the main job; prints as JSON what it took."""
    from primaps import pipeline
    from primaps.heads.loading import load_backbone

    stages = StageTimes()
    backbone = load_backbone(DEFAULT_BACKBONE, device="cpu")
    run = pipeline.open_run([photographs], out, backbone, CONFIG, progress=stages)
    pipeline.segment(run, inputs=[str(photographs)])
    sizes = {
        "store bytes": "store",
        "proposals as PNG bytes": "proposals",
        "label maps as PNG bytes": "labels",
    }
    taken = {
        what: sum(path.stat().st_size for path in (out / name).rglob("*.*"))
        for what, name in sizes.items()
    }
    print(json.dumps({**stages.seconds, **taken}))


def write_into(page: Path, text: str) -> None:
    """Put the tables between their marks in a page.

    Raises:
        SystemExit: If it has no marks.
    """
    whole = page.read_text(encoding="utf-8")
    begin, end = MARKS
    if begin not in whole or end not in whole.partition(begin)[2]:
        raise SystemExit(f"Expected {begin} and {end} in {page}, but they are not there.")
    before, _, after = whole.partition(begin)
    page.write_text(
        f"{before}{begin}\n\n{text}\n\n{end}{after.partition(end)[2]}", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
