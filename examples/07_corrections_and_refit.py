"""Name a few regions, and have the model follow.

You see a report whose classes have your names. The first call writes `run/suggestions.csv`: regions
that stand for many others, each with a picture beside the table. Fill in the column `class` and
call again: the names are read, a second model learns them, and takes the place of the first one.
`--correct` mends single regions that it gets wrong. Without photographs of your own, the title of
each free photograph is filled in for you.

    python examples/07_corrections_and_refit.py ~/photos --out run --correct a.jpg:3=road
"""

import argparse
import dataclasses
from pathlib import Path

import primaps as pm
from primaps import pipeline
from primaps.data.demo_views import views_folder, write_views
from primaps.outputs.suggestion_table import write_table
from primaps.pipeline.accepting import accept
from primaps.pipeline.filled_suggestions import read_suggestions
from primaps.pipeline.named_fit import fit_with_names
from primaps.pipeline.named_labels import correct
from primaps.pipeline.suggesting import suggest


def main() -> None:
    """Suggest, or read the names, fit and accept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="*", help="files or folders (default: free photographs)")
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--groups", type=int, default=20, help="regions to be asked for")
    parser.add_argument("--correct", action="append", default=[], metavar="IMAGE:REGION=NAME")
    given = parser.parse_args()
    photos = given.photos or write_views(views_folder(given.out))[0]
    segmenter = pm.Segmenter(given.backbone, num_clusters=given.classes, seed=0)
    segmenter.fit(photos, run_dir=given.out).write_labels()

    run, table = pipeline.reopen(given.out, {}), given.out / "suggestions.csv"
    if not table.exists():
        rows = suggest(run, groups=given.groups)
        if given.photos:
            print(f"Fill in the column class of {table}, and call this again.")
            return
        named = [dataclasses.replace(each, name=each.image.split("-")[0]) for each in rows]
        table.write_bytes(write_table(named))
    print(f"{read_suggestions(given.out).said} regions are named")
    candidate = fit_with_names(run)
    accept(run, candidate.number)
    parts = [each.replace("=", ":").rsplit(":", 2) for each in given.correct]
    correct(given.out, [(image, int(region), name) for image, region, name in parts])
    pm.Segmenter.load(given.out).write_labels()  # the report, with the corrections
    print("Classes:", ", ".join(each.title for each in pm.classes(given.out).classes))


if __name__ == "__main__":
    main()
