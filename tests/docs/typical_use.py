"""What users write, for the type checker: never run."""

import copy
import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import primaps as pm


def proposals_of(path: Path) -> int:
    image = pm.read_image(path)
    backbone = pm.load_backbone("efficientnet_lite0", device="cpu")
    features = backbone.extract(path, size=320)
    found: pm.MaskProposals = pm.mask_proposals(image, features, min_area=20)
    pm.mask_proposals(Image.open(path), features.numpy(), threshold=0.4)
    pm.mask_proposals(str(path), features, threshold=backbone.threshold)
    pm.show(image, found).savefig("x.png")
    return found.num_masks + len(found.to_records())


def own_backbone(extractor: pm.FeatureExtractor) -> dict[str, object]:
    grid: torch.Tensor = extractor.extract(np.zeros((64, 48), np.uint8))
    choice = pm.calibrate_threshold([grid])
    return {"threshold": choice.value, "device": str(extractor.device), **extractor.describe()}


def segment(folder: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    segmenter = pm.Segmenter("mini", num_clusters="auto", config="fast")
    segmenter.fit(folder, run_dir="run", progress=False)
    other = pm.Segmenter(segmenter.backbone, 20, seed=1, method="clusters")
    other.fit([folder, "more/*.jpg"], run_dir="run", model_dir="other", overwrite=True)
    for failure in segmenter.failures:
        sys.stderr.write(f"{failure.path}: {failure.reason}\n")
    out: Path = segmenter.predict_folder([folder], "new", crf=False, certainty=True)
    names: pm.ClassTable = pm.classes(out, name={3: "road"})
    image = torch.rand(3, 64, 64)
    labels = segmenter.predict(image, names=True, unknown_below=0.2)
    pm.overlay(image, labels, classes=names, alpha=0.5)
    return labels


def score(segmenter: pm.Segmenter, root: Path) -> float:
    dataset = pm.load_dataset("camvid", root, "val")
    result: pm.EvaluationResult = pm.evaluate(segmenter, dataset, flip=True, progress=True)
    segmenter.save("model")
    loaded = pm.Segmenter.load("model", device="cpu")
    refined = pm.dense_crf(np.zeros((8, 8, 3), np.uint8), np.zeros((2, 4, 4), np.float32))
    loaded.config = pm.preset_config("paper")
    return result.miou + float(refined.mean())


def other_forms(folder: Path, segmenter: pm.Segmenter) -> bool:
    half = torch.rand(3, 64, 48).half().to(memory_format=torch.contiguous_format)
    grey: pm.MaskProposals = pm.mask_proposals(
        np.zeros((64, 48), np.float64), torch.rand(8, 8, 6), threshold=float(np.float32(0.4))
    )
    again = pm.mask_proposals(half, np.ones((8, 8, 6), ">f4"), 0.4, "fast", max_masks=5)
    segmenter.fit(sorted(folder.glob("*.jpg")), "run", progress=None)
    segmenter.classes = pm.classes("run", merge={(1, "road"): "ground"}, ignore=[2])
    copied: pm.Segmenter = copy.deepcopy(segmenter)
    config: pm.Config = dataclasses.replace(pm.preset_config("fast"), num_clusters=5)
    pm.Segmenter(segmenter.backbone, "auto", config=config)
    names = [each.name for each in pm.list_backbones()]
    run: Path | None = copied.run_dir
    return grey == again and copied.is_fitted and run is not None and "mini" in names


def version() -> str:
    try:
        return pm.__version__
    except pm.PrimapsError as error:
        return str(error)
