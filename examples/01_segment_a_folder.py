"""Divide a folder of photographs into classes.

You see what nobody has labelled come up again and again: `run/report.html` shows every photograph
with its classes painted over it, and examples of each class. Printed is how much of all photographs
each class covers. A second call, or another example with the same folder, computes nothing twice.

    python examples/01_segment_a_folder.py ~/photos --out run
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import primaps as pm
from primaps.data.demo_views import views_folder, write_views


def shares(run: Path) -> dict[int, float]:
    """What fraction of the pixels of all label maps each class has, the largest first."""
    counts = np.zeros(256, np.int64)
    for path in sorted((run / "labels").rglob("*.png")):
        with Image.open(path) as label_map:
            counts += np.bincount(np.asarray(label_map).ravel(), minlength=256)
    order = np.argsort(-counts, kind="stable")
    return {int(each): counts[each] / counts.sum() for each in order if counts[each]}


def main() -> None:
    """Fit, write label maps and the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="*", help="files or folders (default: free photographs)")
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    given = parser.parse_args()
    photos = given.photos or write_views(views_folder(given.out))[0]

    segmenter = pm.Segmenter(given.backbone, num_clusters=given.classes, seed=0)
    segmenter.fit(photos, run_dir=given.out)
    segmenter.write_labels()

    for number, share in shares(given.out).items():
        print(f"class {number:3}: {share:6.1%}")
    print(f"Label maps: {given.out / 'labels'}")
    print(f"Report:     {given.out / 'report.html'}")


if __name__ == "__main__":
    main()
