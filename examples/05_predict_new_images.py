"""Label photographs that the model was not fitted to.

You see label maps and a report of the new photographs in `predicted`. Classes and their names are
those of the run, so that label maps of today and of next year agree. Pixels of which the model is
less certain than `--unknown-below` become unlabelled. Without arguments a run on some views of free
photographs labels other views of them.

    python examples/05_predict_new_images.py ~/new-photos --model run --out predicted
"""

import argparse
from pathlib import Path

import numpy as np

import primaps as pm
from primaps.data.demo_views import views_folder, write_views
from primaps.pipeline.named_labels import NamedLabels
from primaps.types import IGNORE_INDEX


def demo_model(views: list[Path], folder: Path) -> None:
    """A model of the upper views; nothing is done where it is complete."""
    upper = [view for view in views if not view.stem.endswith("below")]
    pm.Segmenter("efficientnet_lite0", num_clusters=12).fit(upper, run_dir=folder)


def main() -> None:
    """Load, label, and print what was found in each photograph."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="*", help="files or folders (default: free photographs)")
    parser.add_argument("--model", type=Path, help="folder of a run, or of a saved segmenter")
    parser.add_argument("--out", type=Path, default=Path("predicted"))
    parser.add_argument("--unknown-below", type=float, default=0.0)
    given = parser.parse_args()
    photos, model = given.photos, given.model or Path("run")
    if not photos:
        views, _ = write_views(views_folder(given.out))
        photos = [view for view in views if view.stem.endswith("below")]
        if given.model is None:
            demo_model(views, model := Path("run-upper-views"))

    segmenter = pm.Segmenter.load(model)
    segmenter.predict_folder(photos, given.out, unknown_below=given.unknown_below)
    print(f"Report: {given.out / 'report.html'}")

    # to have the label map of one image as an array: segmenter.predict("street.jpg", names=True)
    named, classes = NamedLabels(given.out), segmenter.classes.classes
    for path in sorted((given.out / "labels").rglob("*.png")):
        name = path.relative_to(given.out / "labels").as_posix().removesuffix(".png")
        labels = named.read(name)  # (H, W) uint8 class ids
        found = [each.title for each in classes if (labels == each.id).any()]
        print(f"{name}: {', '.join(found)}; {np.mean(labels == IGNORE_INDEX):.1%} unlabelled")


if __name__ == "__main__":
    main()
