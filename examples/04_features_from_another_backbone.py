"""Use features of your own, from any network.

You see a report, made of features that this file computes. Put your network in the place of
`_features`: it gets a normalised batch and gives one vector per cell. Here that is mean colour and
contrast of cells of 8 x 8 pixels, which finds light, shade and rough surfaces, and no things.
Models of timm need none of this: `primaps segment --backbone timm:NAME` takes any.

    python examples/04_features_from_another_backbone.py ~/photos --out run-own-features
"""

import argparse
from pathlib import Path

import torch
from torch.nn import functional as F

import primaps as pm
from primaps.data.demo_views import views_folder, write_views
from primaps.features.extractor import FrozenBackbone
from primaps.features.registry import BackboneSpec

SPEC = BackboneSpec(
    name="colour-and-contrast",
    dim=6,
    patch_size=8,
    licence="yours",
    source="mean and standard deviation of every cell",
    implementation="1",  # another text when the features change, so that stored ones are not used
    training="no label ever seen",
    threshold=None,  # measured on the photographs of the run
)


class ColourAndContrast(FrozenBackbone):
    """Six channels at stride 8."""

    def _features(self, batch: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised RGB -> (N, 6, H / 8, W / 8)."""
        mean = F.avg_pool2d(batch, self.patch_size)
        spread = (F.avg_pool2d(batch.square(), self.patch_size) - mean.square()).clamp_min(0).sqrt()
        return torch.cat([mean, spread - 0.3], dim=1)  # about centred, since cosines are compared


def main() -> None:
    """Fit to these features, write label maps and the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="*", help="files or folders (default: free photographs)")
    parser.add_argument("--out", type=Path, default=Path("run-own-features"))
    parser.add_argument("--classes", type=int, default=12)
    given = parser.parse_args()
    photos = given.photos or write_views(views_folder(given.out))[0]

    segmenter = pm.Segmenter(ColourAndContrast(SPEC).freeze(), num_clusters=given.classes)
    segmenter.fit(photos, run_dir=given.out).write_labels()
    print(f"Report: {given.out / 'report.html'}")


if __name__ == "__main__":
    main()
