"""How many images per second do a bfloat16 ViT-S/8 and mask proposals with CRF do on a GPU, and what do the proposals add?

    python benchmarks/gpu.py

Images of 320 x 320 are decoded and on the GPU already. The transformer has random weights, which take as long as learned ones but
give features without regions; therefore proposals (up to 15, so 16 labels) are made of `texture` features, rotated to 384
channels. Without a GPU this says so and ends well.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from jobs import drawn
from rows import Row, add_rows_option, publish

from primaps.features.backbone import load_backbone
from primaps.proposals.extract import mask_proposals

SIDE, CHANNELS, LABELS = 320, 384, 16
MODEL = "vit_small_patch8_224"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32, help="images per forward pass")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--preset", default="default")
    add_rows_option(parser)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        publish([Row("images per second on a GPU", "not measured: torch finds no CUDA GPU here")], options.rows)
        return
    publish(measure(options.images, options.batch, options.turns, options.preset), options.rows)


def measure(count: int, batch: int, turns: int, preset: str) -> list[Row]:
    """Backbone alone, and backbone and proposals."""
    images = [torch.from_numpy(drawn(seed, SIDE, SIDE)).cuda() for seed in range(count)]
    features, threshold = _features(images)
    forward = _forward(images, batch)

    def propose() -> None:
        for image, grid in zip(images, features, strict=True):
            mask_proposals(image, grid, threshold, preset=preset, max_masks=LABELS - 1)

    alone = _seconds(forward, turns)
    added = _seconds(propose, turns)
    where = f"{torch.cuda.get_device_name()}, {count} images of {SIDE} x {SIDE}"
    return [
        Row(f"`{MODEL}`, bfloat16, {where}", f"{count / alone:.1f} images per second"),
        Row(f"and proposals `{preset}`, up to {LABELS} labels, {where}", f"{count / (alone + added):.1f} images per second"),
        Row(f"time over the backbone alone, {where}", f"{(alone + added) / alone:.2f} x"),
    ]


def _features(images: list[torch.Tensor]) -> tuple[list[torch.Tensor], float]:
    """(384, 40, 40) features of every image on its device, and the threshold they want."""
    backbone = load_backbone("texture", device="cpu")
    rotation = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(0))).Q[:, : backbone.dim]
    made = [torch.einsum("dc,chw->dhw", rotation, backbone.extract(image.cpu().numpy(), size=SIDE)) for image in images]
    return [grid.to(image.device) for grid, image in zip(made, images, strict=True)], backbone.threshold


def _forward(images: list[torch.Tensor], batch: int) -> Callable[[], None]:
    """One pass over all images, normalisation included."""
    import timm

    model: Any = timm.create_model(MODEL, pretrained=False, num_classes=0, img_size=SIDE)
    model = model.to(images[0].device, torch.bfloat16).eval()
    stack = torch.stack(images).permute(0, 3, 1, 2)

    def forward() -> None:
        with torch.inference_mode():
            for start in range(0, len(stack), batch):
                model.forward_features((stack[start : start + batch].to(torch.bfloat16) - 127.5) / 58.0)

    return forward


def _seconds(work: Callable[[], None], turns: int) -> float:
    """Smallest time by the clock, the GPU idle before and after; the first call warms up."""
    spent = []
    for _ in range(turns + 1):
        torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        torch.cuda.synchronize()
        spent.append(time.perf_counter() - started)
    return min(spent[1:])


if __name__ == "__main__":
    main()
