"""Train a network of your own on the label maps of a run.

You see the loss, and in how many pixels the network agrees with the run; its weights are in
`network.pt`. Label maps are training labels like any others: 255 counts for nothing. The network
here is tiny; put a fast one for a phone, or a large one for finer outlines, in its place.

    python examples/11_train_a_network.py ~/photos --out run --steps 500
"""

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import primaps as pm
from primaps import pipeline
from primaps.data.demo_views import views_folder, write_views
from primaps.pipeline.named_labels import NamedLabels


def pairs(run: Path, side: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, 3, S, S) photographs in [0, 1], and (N, S, S) class ids with all names applied."""
    labels, images, targets = NamedLabels(run), [], []
    for each in pipeline.reopen(run, {}).images:
        image = torch.tensor(pm.read_image(each.path)).permute(2, 0, 1) / 255
        images.append(F.interpolate(image[None], (side, side), mode="area"))
        target = torch.tensor(labels.read(each.name)).float()
        targets.append(F.interpolate(target[None, None], (side, side))[0].long())
    return torch.cat(images), torch.cat(targets)


parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("photos", nargs="*", help="files or folders (default: free photographs)")
parser.add_argument("--out", type=Path, default=Path("run"))
parser.add_argument("--classes", type=int, default=12)
parser.add_argument("--backbone", default="efficientnet_lite0")
parser.add_argument("--steps", type=int, default=100)
given = parser.parse_args()
photos = given.photos or write_views(views_folder(given.out))[0]
pm.Segmenter(given.backbone, given.classes, seed=0).fit(photos, given.out).write_labels()

images, labels = pairs(given.out)
sizes = [(3, 32, 1), (32, 64, 2), (64, 64, 4), (64, 64, 8)]  # channels, dilation
layers = [nn.Sequential(nn.Conv2d(a, b, 3, 1, d, d), nn.ReLU()) for a, b, d in sizes]
network = nn.Sequential(*layers, nn.Conv2d(64, 255, 1))
adam = torch.optim.Adam(network.parameters(), lr=2e-3)
for _ in range(given.steps):
    chosen = torch.randint(len(images), (4,))
    loss = F.cross_entropy(network(images[chosen]), labels[chosen], ignore_index=255)
    adam.zero_grad()
    loss.backward()
    adam.step()
with torch.no_grad():  # on some of them
    same = network(images[:64]).argmax(1) == labels[:64]
agreement = same[labels[:64] != 255].float().mean()
print(f"Loss {loss:.3f}; {agreement:.1%} of the pixels agree.")
torch.save(network.state_dict(), "network.pt")
