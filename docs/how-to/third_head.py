"""A third head in about a hundred lines: what neighbouring tokens have in common.

The code of a token shall resemble the codes of the tokens beside it more than those at the same
place of other crops (InfoNCE). `add-a-head.md` explains the parts;
``tests/docs/test_third_head.py`` runs this file.

    python docs/how-to/third_head.py PHOTOGRAPHS OUT --classes 8
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from primaps.config import Config
from primaps.heads.clusters import ClusterCentres
from primaps.heads.crops import CropConfig, TrainingCrops
from primaps.heads.files import Head, save_head
from primaps.heads.loading import load_backbone
from primaps.heads.projection import ProjectionHead
from primaps.heads.training import Draw, HeadTask, batch_of, generator, seeded, train_head
from primaps.pipeline import finishing, open_run
from primaps.pipeline.fitting import DiskCheckpoint
from primaps.pipeline.heads.head_crops import CropNeeds, PreparedCrops
from primaps.runs.store import fingerprint, remove_file

KIND = "neighbour"
TEMPERATURE = 0.2
SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0))


def neighbour_loss(code: Tensor, side: tuple[int, int]) -> Tensor:
    """InfoNCE of every token with the one beside it, against the same place in the other crops.

    Args:
        code: (N, D, h, w) float.
        side: Where the neighbour lies, in rows and columns; the border goes around.
    """
    unit = F.normalize(code, dim=1)
    beside = unit.roll(side, dims=(2, 3))
    positive = (unit * beside).sum(1) / TEMPERATURE  # (N, h, w)
    others = torch.einsum("ndhw,mdhw->nmhw", unit, unit) / TEMPERATURE
    own = torch.eye(len(code), dtype=torch.bool, device=code.device)[:, :, None, None]
    compared = torch.cat([positive[:, None], others.masked_fill(own, -torch.inf)], dim=1)
    return (compared.logsumexp(1) - positive).mean()


class NeighbourTask(HeadTask):
    """The head and its cluster centres, trained together."""

    def __init__(
        self, crops: TrainingCrops, num_clusters: int, seed: int, device: torch.device
    ) -> None:
        """Draw initial weights from the seed, the same ones on every device."""
        self.crops, self.seed = crops, seed
        with seeded(seed, Draw.START, 0, torch.device("cpu")):
            self.head = ProjectionHead(crops.dim, dim=32)
            self.clusters = ClusterCentres(num_clusters, 32)
        self.modules = nn.ModuleDict({"head": self.head, "clusters": self.clusters}).to(device)
        self.optimisers = {
            "head": torch.optim.Adam(self.head.parameters(), lr=5e-4),
            "clusters": torch.optim.Adam(self.clusters.parameters(), lr=5e-3),
        }

    def losses(self, step: int) -> dict[str, Tensor]:
        """All that is random comes from the seed and the number of the step."""
        batch = batch_of(step, len(self.crops), batch_size=16, smallest=2, seed=self.seed)
        side = int(torch.randint(len(SIDES), (), generator=generator(self.seed, Draw.STEP, step)))
        code = self.head(self.crops.features(batch))
        return {
            "neighbour": neighbour_loss(code, SIDES[side]),
            "clusters": self.clusters.loss(code),
        }


def train(
    images: Path,
    out: Path,
    *,
    backbone: str = "mini",
    classes: int = 8,
    steps: int = 300,
    seed: int = 0,
) -> None:
    """Train the head on a folder of photographs; run again, it resumes."""
    extractor = load_backbone(backbone)
    run = open_run(
        [images], out, extractor, Config(num_clusters=classes, seed=seed), stages=("backbone",)
    )
    with finishing(run, "neighbour head", [str(images)]):
        crops = PreparedCrops(run, CropNeeds(CropConfig(resolution=160, resample="bilinear")))
        contents = crops.prepare()  # SHA-256 by name: another photograph is another training
        identity = fingerprint([crops.settings, contents, classes, steps, seed])
        checkpoint = DiskCheckpoint(out / "checkpoint.safetensors", identity, run.progress.note)
        task = NeighbourTask(crops, classes, seed, crops.device)
        history = train_head(task, steps, seed=seed, checkpoint=checkpoint)
        side = crops.needs.crops.side(extractor.input_multiple)
        centres = task.clusters.centres.detach().cpu()
        last = {name: values[-1] for name, values in history.items()}
        training = {"fingerprint": identity, "steps": steps, "last_losses": last}
        save_head(
            out,
            Head(
                KIND, task.head.cpu(), dict(extractor.describe()), side, centres, training=training
            ),
        )
        remove_file(checkpoint.path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    train(**vars(parser.parse_args()))
