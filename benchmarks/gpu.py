"""How many images per second do a bfloat16 ViT-S/8 and mask proposals with CRF do on a GPU, and
what do the proposals add?

    python benchmarks/gpu.py
    python benchmarks/gpu.py --device cpu --side 64 --images 2 --batches 1 2 --turns 1

Images of 320 x 320 are decoded and on the device already; they are worked on in batches of several
sizes, backbone and proposals of one batch after the other, by what the pipeline uses on a GPU. The
transformer has random weights, which take as long as learned ones but give features without
regions; therefore proposals (up to 15, so 16 labels) are made of `texture` features, rotated to 384
channels. Without a GPU, and without ``--device cpu``, this says so and ends well.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jobs import drawn
from rows import Row, add_rows_option, publish

from primaps.config import Config, preset_config
from primaps.features.registry import TEXTURE_THRESHOLD
from primaps.heads.loading import load_backbone
from primaps.proposals.extract import extract_proposals_batch

CHANNELS, LABELS = 384, 16


@dataclass(frozen=True)
class Scene:
    """What is measured on.

    Attributes:
        images: (N, side, side, 3) uint8 on the device.
        features: (N, 384, h, w) float32 on the device.
        threshold: That these features want.
        where: Device and images, in words.
    """

    images: torch.Tensor
    features: torch.Tensor
    threshold: float
    where: str


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[1, 8, 32, 64], help="images at a time"
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--side", type=int, default=320, help="of the images, in pixels")
    parser.add_argument("--model", default="vit_small_patch8_224", help="of timm")
    parser.add_argument(
        "--device",
        default="cuda",
        choices=["cuda", "cpu"],
        help="cpu: a trial of this script, no measurement",
    )
    add_rows_option(parser)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        publish(
            [Row("images per second on a GPU", "not measured: torch finds no CUDA GPU here")],
            options.rows,
        )
        return
    scene = make_scene(options.images, options.side, torch.device(options.device))
    publish(
        measure(
            scene, options.model, options.batches, options.turns, preset_config(options.preset)
        ),
        options.rows,
    )


def make_scene(count: int, side: int, device: torch.device) -> Scene:
    """Drawn images and `texture` features of them."""
    images = [torch.from_numpy(drawn(seed, side, side)) for seed in range(count)]
    backbone = load_backbone("texture", device="cpu")
    rotation = torch.linalg.qr(
        torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(0))
    ).Q[:, : backbone.dim]
    made = [
        torch.einsum("dc,chw->dhw", rotation, backbone.extract(image.numpy(), size=side))
        for image in images
    ]
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{platform.machine()} CPU (no GPU: a trial)"
    )
    where = f"{name}, {count} images of {side} x {side}"
    return Scene(
        torch.stack(images).to(device), torch.stack(made).to(device), TEXTURE_THRESHOLD, where
    )


def measure(
    scene: Scene, model: str, batches: Sequence[int], turns: int, config: Config
) -> list[Row]:
    """Backbone alone, and backbone and proposals, for every size of batch."""
    forward = _forward(model, scene.images)
    settings = dataclasses.replace(config.proposals, max_masks=LABELS - 1)
    rows = []
    for batch in batches:
        parts = [slice(start, start + batch) for start in range(0, len(scene.images), batch)]

        def alone(parts: Sequence[slice] = parts) -> None:
            for part in parts:
                forward(scene.images[part])

        def both(parts: Sequence[slice] = parts) -> None:
            for part in parts:
                forward(scene.images[part])
                images, features = scene.images[part], scene.features[part]
                extract_proposals_batch(
                    images, features, scene.threshold, settings, config.predict.max_pixels
                )

        backbone, whole = (
            _seconds(alone, turns, scene.images.device),
            _seconds(both, turns, scene.images.device),
        )
        rows += _rows(
            f"{scene.where}, {batch} at a time",
            model,
            config.preset,
            len(scene.images),
            backbone,
            whole,
        )
    return rows


def _rows(
    where: str, model: str, preset: str, count: int, backbone: float, whole: float
) -> list[Row]:
    return [
        Row(f"`{model}`, bfloat16, {where}", f"{count / backbone:.1f} images per second"),
        Row(
            f"and proposals `{preset}`, up to {LABELS} labels, {where}",
            f"{count / whole:.1f} images per second",
        ),
        Row(f"time over the backbone alone, {where}", f"{whole / backbone:.2f} x"),
    ]


def _forward(name: str, images: torch.Tensor) -> Callable[[torch.Tensor], None]:
    """One pass over (B, side, side, 3) images under autocast, normalisation included."""
    import timm

    model: Any = (
        timm.create_model(name, pretrained=False, num_classes=0, img_size=images.shape[1])
        .to(images.device)
        .eval()
    )

    def forward(part: torch.Tensor) -> None:
        with torch.inference_mode(), torch.autocast(part.device.type, torch.bfloat16):
            model.forward_features((part.permute(0, 3, 1, 2).float() - 127.5) / 58.0)

    return forward


def _seconds(work: Callable[[], None], turns: int, device: torch.device) -> float:
    """Smallest time by the clock, the GPU idle before and after; the first call warms up."""
    spent = []
    for _ in range(turns + 1):
        _wait(device)
        started = time.perf_counter()
        work()
        _wait(device)
        spent.append(time.perf_counter() - started)
    return min(spent[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
