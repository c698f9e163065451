"""Measure how well classes agree with labels of your own.

You see accuracy, mean IoU and the IoU of every class. Labels are looked at here only: the fit sees
photographs. Each cluster counts as the class that it agrees with most, one to one. `ROOT` holds
`images/val/NAME.jpg`, `labels/val/NAME.png` and `classes.txt`. Without it, labels are made for
views of free photographs: all of a view is of the class that its photograph is called.

    python examples/06_measure_on_your_labels.py ROOT --split val --out run-measured
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

import primaps as pm
from primaps.data.demo_views import views_folder, write_views


def demo_labels(root: Path) -> Path:
    """A labelled data set of views, in the layout `folder`."""
    views, _ = write_views(views_folder(root))
    names = sorted({view.name.split("-")[0] for view in views})
    for kind in ("images", "labels"):
        (root / kind / "val").mkdir(parents=True, exist_ok=True)
    (root / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    for view in views:
        shutil.copy(view, root / "images" / "val" / view.name)
        height, width = pm.read_image(view).shape[:2]
        labels = np.full((height, width), names.index(view.name.split("-")[0]), np.uint8)
        Image.fromarray(labels).save(root / "labels" / "val" / view.name)
    return root


def main() -> None:
    """Fit to the photographs, compare with the labels."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", nargs="?", type=Path, help="labelled data set of your own")
    parser.add_argument("--split", default="val")
    parser.add_argument("--out", type=Path, default=Path("run-measured"))
    parser.add_argument("--backbone", default="efficientnet_lite0")
    given = parser.parse_args()
    root = given.root or demo_labels(Path(f"{given.out}-labelled"))

    dataset = pm.load_dataset("folder", root, given.split)
    segmenter = pm.Segmenter(given.backbone, num_clusters=len(dataset.class_names))
    segmenter.fit(dataset, run_dir=given.out)
    scores = pm.evaluate(segmenter, dataset)
    print(f"{scores.num_images} images: accuracy {scores.accuracy:.1%}, mIoU {scores.miou:.1%}")
    for name, iou in scores.per_class_iou.items():
        print(f"  {name}: {iou:.1%}")


if __name__ == "__main__":
    main()
