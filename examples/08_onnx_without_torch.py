"""Label photographs where neither torch nor primaps is installed.

You see label maps as coloured PNG files in `onnx-labels`. The first call exports the run's model to
the folder `portable`, for which it needs primaps; where that folder is, numpy, Pillow and
onnxruntime are enough. The CRF is no part of the file, so outlines are a little coarser.

    python examples/08_onnx_without_torch.py ~/photos/*.jpg --model run --portable portable
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def export(model: Path, portable: Path) -> None:
    """Write the model as one file; without a run, fit to free photographs first."""
    import primaps as pm
    from primaps.data.demo_views import views_folder, write_views
    from primaps.pipeline.portable import export_model

    if not model.exists():
        views, _ = write_views(views_folder(model))
        pm.Segmenter("efficientnet_lite0", num_clusters=12).fit(views, run_dir=model)
    export_model(model, portable)


def prepared(image: Image.Image, about: dict) -> np.ndarray:
    """(1, 3, H, W) float32: resized and normalised as `preprocessing.json` says."""
    short = min(about["short_side"], (about["max_enlargement"] or 99) * min(image.size))
    scaled = (min(x / min(image.size), about["max_aspect"]) * short for x in image.size)
    size = [max(1, int(x / about["multiple"] + 0.5)) * about["multiple"] for x in scaled]
    values = np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32) / 255
    return ((values - np.float32(about["mean"])) / np.float32(about["std"])).transpose(2, 0, 1)[
        None
    ]


parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("photos", nargs="*", type=Path, help="image files (default: free photographs)")
parser.add_argument("--model", type=Path, default=Path("run"))
parser.add_argument("--portable", type=Path, default=Path("portable"))
parser.add_argument("--out", type=Path, default=Path("onnx-labels"))
given = parser.parse_args()
if not (given.portable / "model.onnx").exists():
    export(given.model, given.portable)
about = json.loads((given.portable / "preprocessing.json").read_text(encoding="utf-8"))
session = onnxruntime.InferenceSession(given.portable / "model.onnx")
colours = np.array([channel["colour"] for channel in about["channels"]], np.uint8)
given.out.mkdir(parents=True, exist_ok=True)
for path in given.photos or sorted(Path(f"{given.model}-photographs").glob("*.png")):
    photograph = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    (logits,) = session.run(None, {"images": prepared(photograph, about)})
    picture = Image.fromarray(colours[logits[0].argmax(0)])
    picture.resize(photograph.size, Image.Resampling.NEAREST).save(given.out / f"{path.stem}.png")
    print(given.out / f"{path.stem}.png")
