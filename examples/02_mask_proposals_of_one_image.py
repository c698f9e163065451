"""Divide one photograph into regions that look alike inside.

You see the photograph with every region in a colour of its own in `proposals/picture.png`; what
belongs to none stays grey. `proposals/proposals.json` holds the regions in the form that mask tools
read: run lengths, area, box and score. Nothing is fitted, so one photograph is enough.

    python examples/02_mask_proposals_of_one_image.py street.jpg --out proposals
"""

import argparse
import json
from pathlib import Path

import primaps as pm
from primaps.data.demo_views import SOURCES, photographs


def main() -> None:
    """Extract, write, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photo", nargs="?", help="an image file (default: a cup of coffee)")
    parser.add_argument("--out", type=Path, default=Path("proposals"))
    parser.add_argument("--threshold", type=float, help="higher = more, smaller regions")
    parser.add_argument("--min-area", type=int, default=100, help="in pixels")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    given = parser.parse_args()
    photo = given.photo or photographs()[SOURCES[1]]

    image = pm.read_image(photo)  # (H, W, 3) uint8, upright
    features = pm.load_backbone(given.backbone).extract(image)
    proposals = pm.mask_proposals(image, features, given.threshold, min_area=given.min_area)
    print(proposals)

    records = proposals.to_records()
    for record in sorted(records, key=lambda each: -each["area"]):
        print(f"{record['id']:3}: {record['area']:7} pixels, score {record['score']:.2f}")
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "proposals.json").write_text(json.dumps(records), encoding="utf-8")
    pm.show(image, proposals).savefig(given.out / "picture.png", dpi=150, bbox_inches="tight")
    print(f"Picture: {given.out / 'picture.png'}")


if __name__ == "__main__":
    main()
