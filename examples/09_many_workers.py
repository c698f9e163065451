"""Divide the work on a large folder between processes.

You see the run folder of `01_segment_a_folder.py`, but features and proposals come from worker
processes: an image that ends its process ends no other work, and one that takes more than a minute
is listed as a failure. `--engine ray` sends the same work to a cluster. In programs of your own
keep what starts workers behind the last two lines, as here.

    python examples/09_many_workers.py ~/photos --out run --workers 4
"""

import argparse
from pathlib import Path

import primaps as pm
from primaps.bars import told_to
from primaps.data.demo_views import views_folder, write_views
from primaps.engine.commands import Request, proposals
from primaps.engine.limits import Limits
from primaps.engine.options import EngineOptions
from primaps.pipeline.beginning import Choice


def main() -> None:
    """Features and proposals by workers, the fit and label maps here."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="*", help="files or folders (default: free photographs)")
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    photos = given.photos or [str(path) for path in write_views(views_folder(given.out))[0]]

    options = EngineOptions(given.engine, given.workers, limits=Limits(seconds=60))
    request = Request(photos, str(given.out), options, "cpu", False, told_to(None))
    outcome = proposals(request, Choice(backbone=given.backbone, num_clusters=given.classes))
    for failure in outcome.failures:
        print(f"{failure.path}: {failure.reason}")

    segmenter = pm.Segmenter(given.backbone, num_clusters=given.classes, seed=0)
    segmenter.fit(photos, run_dir=given.out).write_labels()
    print(f"Report: {given.out / 'report.html'}")


if __name__ == "__main__":
    main()
