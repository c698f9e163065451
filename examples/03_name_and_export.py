"""Name the classes of a run, and export it as an annotated data set.

You see a folder `dataset` that training programs and annotation tools read, COCO unless `--format`
says otherwise. `--name 3=road --name 7=road` calls two classes road, which makes them one. Without
names, every class is called after the photograph that shows most of it: a stand-in for a person.

    python examples/03_name_and_export.py ~/photos --out run --name 3=road --format yolo
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import primaps as pm
from primaps.data.demo_views import views_folder, write_views
from primaps.pipeline.exporting import ExportSettings, export


def names_of_files(run: Path, classes: int) -> dict[int, str]:
    """For each class the first word of the name of the photograph that shows most of it."""
    files = sorted((run / "labels").rglob("*.png"))
    maps = [np.asarray(Image.open(path)) for path in files]
    counts = np.stack([np.bincount(each.ravel(), minlength=256) for each in maps])[:, :classes]
    return {
        i: files[counts[:, i].argmax()].name.split("-")[0].split(".")[0] for i in range(classes)
    }


def main() -> None:
    """Segment, name, export."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="*", help="files or folders (default: free photographs)")
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--name", action="append", default=[], metavar="CLASS=NAME")
    parser.add_argument("--format", default="coco", help="coco, yolo, voc, cvat, ...")
    parser.add_argument("--dataset", type=Path, default=Path("dataset"))
    given = parser.parse_args()
    photos = given.photos or write_views(views_folder(given.out))[0]

    segmenter = pm.Segmenter(given.backbone, num_clusters=given.classes, seed=0)
    segmenter.fit(photos, run_dir=given.out).write_labels()

    titles = {int(key): name for key, _, name in (each.partition("=") for each in given.name)}
    titles = titles or names_of_files(given.out, segmenter.model.num_clusters)
    groups = {name: tuple(k for k in titles if titles[k] == name) for name in titles.values()}
    merge = {keys: name for name, keys in groups.items()}
    table = pm.classes(given.out, merge=merge, reset=True)
    print("Classes:", ", ".join(each.title for each in table.classes))

    done = export(given.out, given.dataset, ExportSettings(given.format))
    print(f"{len(done.images)} photographs in {given.dataset}")


if __name__ == "__main__":
    main()
