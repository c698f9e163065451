"""The stored probe of a row."""

import dataclasses
import shutil

import numpy as np
import torch
from PIL import Image

from primaps.pipeline import extract
from primaps.protocol import probing
from primaps.protocol.images import open_parts
from primaps.protocol.probing import linear_probe
from primaps.protocol.row import Row
from primaps.runs.run import Run, RunFolder

ROW = Row("folder", "texture", preset="fast", size=64)


def opened(root, out, texture):
    """A run with features, and the training images with labels."""
    part, _ = open_parts(ROW, root)
    run = Run(RunFolder(out), texture, ROW.config(texture, 4, len(part.files)), part.files)
    run.folder.root.mkdir()
    extract(run)
    return run, part


def test_a_probe_is_found_again_unless_a_label_changes(scenes, texture, tmp_path):
    root = shutil.copytree(scenes, tmp_path / "scenes")
    run, part = opened(root, tmp_path / "run", texture)
    first, again = linear_probe(run, part, 20), linear_probe(run, part, 20)
    assert torch.equal(first.weight, again.weight)
    assert len(list((tmp_path / "run" / "fits").glob("linear-probe-*"))) == 1
    labels = np.asarray(Image.open(root / "labels" / "train" / "scene2.png"))
    Image.fromarray(np.where(labels == 0, 1, labels).astype(np.uint8)).save(
        root / "labels" / "train" / "scene2.png"
    )
    other = linear_probe(run, part, 20)
    assert not torch.equal(first.weight, other.weight)
    assert len(list((tmp_path / "run" / "fits").glob("linear-probe-*"))) == 2


def test_an_image_with_bad_labels_is_as_if_it_were_not_there(scenes, texture, tmp_path):
    root = shutil.copytree(scenes, tmp_path / "scenes")
    run, part = opened(root, tmp_path / "run", texture)
    without = dataclasses.replace(
        run, images=tuple(image for image in run.images if image.name != "scene4.png")
    )
    expected = linear_probe(without, part, 20)
    (root / "labels" / "train" / "scene4.png").write_bytes(b"no picture")
    found = linear_probe(run, part, 20)
    assert [failure.path for failure in run.failures] == [
        str(root / "images" / "train" / "scene4.png")
    ]
    assert torch.equal(found.weight, expected.weight)
    assert torch.equal(found.bias, expected.bias)


def test_the_fit_uses_one_thread_whatever_the_number_of_cores(
    scenes, texture, tmp_path, monkeypatch
):
    threads, fit = [], probing.fit_linear_probe

    def watched(*values, **settings):
        threads.append(torch.get_num_threads())
        return fit(*values, **settings)

    monkeypatch.setattr(probing, "fit_linear_probe", watched)
    run, part = opened(scenes, tmp_path / "run", texture)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        linear_probe(run, part, 5)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert threads == [1]
