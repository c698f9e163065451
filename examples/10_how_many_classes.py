"""Compare fits of several numbers of classes.

You see one photograph with few, more and many classes in `numbers.png`, and which number is
proposed for the whole folder. Features are computed once; every fit has a folder of its own beside
the run, which can be used like a run: `05_predict_new_images.py --model run-12-classes`.

    python examples/10_how_many_classes.py ~/photos --out run --numbers 4 12 30
"""

import argparse
from pathlib import Path

from matplotlib import pyplot as plt

import primaps as pm
from primaps import pipeline
from primaps.data.demo_views import views_folder, write_views


def main() -> None:
    """Fit, draw, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="*", help="files or folders (default: free photographs)")
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--numbers", type=int, nargs="+", default=[4, 12, 30])
    parser.add_argument("--show", help="photograph to draw (default: the first one)")
    parser.add_argument("--picture", type=Path, default=Path("numbers.png"))
    parser.add_argument("--backbone", default="efficientnet_lite0")
    given = parser.parse_args()
    photos = given.photos or write_views(views_folder(given.out))[0]

    backbone = pm.load_backbone(given.backbone)
    fits = {}
    for number in ("auto", *given.numbers):
        folder = Path(f"{given.out}-{number}-classes")
        fits[number] = pm.Segmenter(backbone, number).fit(photos, given.out, model_dir=folder)
    proposed = fits.pop("auto").model.num_clusters
    print(f"Proposed: {proposed} classes")

    photo = given.show or pipeline.reopen(given.out, {}).images[0].path
    figure, axes = plt.subplots(1, len(fits), figsize=(5 * len(fits), 4), squeeze=False)
    for ax, (number, segmenter) in zip(axes[0], fits.items(), strict=True):
        pm.show(photo, segmenter.predict(photo), ax)
        ax.set_title(f"{number} classes")
    figure.savefig(given.picture, dpi=100, bbox_inches="tight")
    print(f"Picture: {given.picture}")


if __name__ == "__main__":
    main()
