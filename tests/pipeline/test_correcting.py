"""From masks that were mended elsewhere back to corrections."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import primaps as pm
from primaps.errors import ConfigError, DatasetError
from primaps.outputs.export.journal import FOLDER
from primaps.outputs.label_files import read_label_image, read_png_info, write_proposals
from primaps.pipeline.class_overview import class_report
from primaps.pipeline.classes import ClassChanges, transform_classes
from primaps.pipeline.correcting import correct_from_masks, corrections_text, with_new_class
from primaps.pipeline.exporting import ExportSettings, export
from primaps.pipeline.named_labels import NamedLabels, correct, read_corrections, undo_correction

IMAGES = ("0.png", "2.png", "sub/1.png", "sub/3.png")
BOAT = 'the "big": Boot 🚣'
SOURCES = {
    "coco": "coco",
    "coco-stuff": "coco",
    "cvat": "cvat",
    "label-studio": "label-studio",
    "voc": "png",
    "fiftyone": "png",
}


def maps(run):
    """All label maps under names and corrections."""
    labels = NamedLabels(run)
    return {name: labels.read(name) for name in IMAGES}


def same(found, expected):
    return found.keys() == expected.keys() and all(
        np.array_equal(found[name], expected[name]) for name in found
    )


@pytest.fixture
def mended_run(named_run, tmp_path):
    """What a person says in another program, here said in a copy of the run."""
    pm.classes(named_run, name={0: "road: wet"}, merge={(1, 2): "Bäume"})
    other = shutil.copytree(named_run, tmp_path / "other")
    transform_classes(other, lambda table: (with_new_class(table, BOAT), {}))
    correct(other, [("0.png", 1, 3), ("sub/1.png", 1, 255), ("2.png", 1, BOAT)])
    assert not same(maps(other), maps(named_run))
    return other


@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize("format_name", SOURCES)
def test_what_was_mended_comes_back(named_run, mended_run, tmp_path, format_name, journal):
    settings = ExportSettings(format_name, split=(0.5, 0.5) if journal else ())
    export(mended_run, tmp_path / "mended", settings)
    if not journal:
        shutil.rmtree(tmp_path / "mended" / FOLDER)
    found = correct_from_masks(named_run, tmp_path / "mended")
    assert (found.source, found.images, found.mended) == (SOURCES[format_name], 4, 3)
    assert found.new_classes == (BOAT,)
    assert not found.parts
    assert not found.failures
    assert same(maps(named_run), maps(mended_run))
    assert {each.source for each in read_corrections(named_run).active()} == {found.source}
    assert f"Corrections: {found.corrections} in force" in class_report(named_run, ClassChanges())
    assert BOAT in class_report(named_run, ClassChanges())
    again = correct_from_masks(named_run, tmp_path / "mended")
    assert (again.mended, again.corrections) == (0, 0)
    for _ in range(found.corrections):
        undo_correction(named_run)
    assert read_corrections(named_run).active() == ()


@pytest.mark.parametrize("polygons", [True, False])
def test_an_export_that_nobody_mended_says_nothing(named_run, tmp_path, polygons):
    """What it left out, and what got another name since, was not mended."""
    pm.classes(named_run, name={0: "road"})
    for image in IMAGES:
        certainty = np.full(read_label_image(named_run / "labels" / f"{image}.png").shape, 255)
        certainty[:20] = 0
        path = named_run / "certainty" / f"{image}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(certainty.astype(np.uint8)).save(path)
    settings = ExportSettings("coco", min_area=400, unknown_below=0.5, polygons=polygons)
    export(named_run, tmp_path / "out", settings)
    pm.classes(named_run, name={0: "street", 1: "road"})
    found = correct_from_masks(named_run, tmp_path / "out")
    assert (found.mended, found.corrections, found.new_classes) == (0, 0, ())


def test_an_export_of_another_fit_is_refused(named_run, tmp_path):
    export(named_run, tmp_path / "out", ExportSettings("coco"))
    settings = tmp_path / "out" / FOLDER / "settings"
    record = json.loads(settings.read_text())
    record["origin"]["model"] = "another"
    settings.write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="made with another fit"):
        correct_from_masks(named_run, tmp_path / "out")


def test_classes_without_a_name_are_known_after_they_got_one(named_run, tmp_path):
    export(named_run, tmp_path / "out", ExportSettings("cvat"))
    pm.classes(named_run, name={0: "street"}, merge={(3, 1): "tree"})
    shutil.rmtree(tmp_path / "out" / FOLDER)
    found = correct_from_masks(named_run, tmp_path / "out")
    assert (found.mended, found.corrections, found.new_classes) == (0, 0, ())


def one_mask(image, labels):
    """A COCO document with a mask for each class of one photograph."""
    from pycocotools import mask as coco

    annotations = []
    for class_id in np.unique(labels[labels != 255]).tolist():
        mask = coco.encode(np.asfortranarray(labels == class_id, dtype=np.uint8))
        segmentation = {"size": list(labels.shape), "counts": mask["counts"].decode()}
        annotations.append(
            {"image_id": 1, "category_id": class_id, "segmentation": segmentation, "iscrowd": 0}
        )
    height, width = labels.shape
    return {
        "images": [{"id": 1, "file_name": image, "height": height, "width": width}],
        "annotations": annotations,
        "categories": [{"id": each, "name": f"class {each}"} for each in range(4)],
    }


def test_background_is_no_class_unless_there_is_one(named_run, tmp_path):
    labels = NamedLabels(named_run).read("0.png")
    document = one_mask("0.png", np.where(labels == 2, 7, labels))
    document["categories"].append({"id": 7, "name": "background"})
    (tmp_path / "mended.json").write_text(json.dumps(document))
    assert correct_from_masks(named_run, tmp_path / "mended.json").new_classes == ()
    pm.classes(named_run, name={2: "background"})
    while read_corrections(named_run).active():
        undo_correction(named_run)
    found = correct_from_masks(named_run, tmp_path / "mended.json")
    assert (found.mended, found.corrections) == (0, 0)


def test_what_no_proposal_carries_is_counted(named_run, tmp_path):
    labels = NamedLabels(named_run).read("0.png")
    proposals = read_label_image(named_run / "proposals" / "0.png.png")
    write_proposals(
        named_run / "proposals" / "0.png.png",
        np.where(proposals == 1, 1, 0),
        read_png_info(named_run / "proposals" / "0.png.png"),
    )
    labels[proposals != 1] = (labels[proposals != 1] + 1) % 4
    document = one_mask("images/0.png", labels)
    document["annotations"].append({"image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2]})
    (tmp_path / "mended.json").write_text(json.dumps(document))
    found = correct_from_masks(named_run, tmp_path / "mended.json")
    assert found.corrections == 0
    (parts,) = found.parts
    assert (parts.image, parts.left) == ("0.png", np.count_nonzero(proposals != 1))
    assert parts.passed_over == 1
    told = " ".join(found.lines())
    assert f"0.png: {parts.left} mended pixels that no proposal carries" in told
    assert "1 boxes, points or lines passed over" in told


def test_unknown_photographs_and_other_sizes_are_reported(named_run, tmp_path):
    labels = NamedLabels(named_run).read("0.png")
    for file, image, values in (
        ("a", "0.png", labels),
        ("b", "somewhere/nobody.png", labels),
        ("c", "2.png", labels[:, :-1]),
        ("d", "sub/1.png", np.full_like(labels, 255)),
    ):
        (tmp_path / f"{file}.json").write_text(json.dumps(one_mask(image, values)))
    found = correct_from_masks(named_run, tmp_path)
    assert found.images == 1
    reasons = [each.reason for each in found.failures]
    assert "'somewhere/nobody.png'" in reasons[0]
    assert "photograph's own size" in reasons[1]
    assert "there is none" in reasons[2]
    with pytest.raises(DatasetError, match="all 1 inputs failed"):
        correct_from_masks(named_run, tmp_path / "b.json")
    (tmp_path / "e.json").write_text(json.dumps(one_mask("0.png", labels)))
    with pytest.raises(ConfigError, match=r"Expected 0\.png once"):
        correct_from_masks(named_run, tmp_path)


def test_label_images_without_a_list_hold_class_ids(named_run, tmp_path):
    pm.classes(named_run, ignore=[2])
    labels = NamedLabels(named_run).read("0.png")
    labels[read_label_image(named_run / "proposals" / "0.png.png") == 1] = 3
    (tmp_path / "masks").mkdir()
    Image.fromarray(labels).save(tmp_path / "masks" / "0.png.png")
    assert correct_from_masks(named_run, tmp_path / "masks").failures == ()
    np.testing.assert_array_equal(NamedLabels(named_run).read("0.png"), labels)
    Image.fromarray(np.where(labels == 3, 77, labels).astype(np.uint8)).save(
        tmp_path / "masks" / "2.png"
    )
    (failure,) = correct_from_masks(named_run, tmp_path / "masks").failures
    assert "no class 77" in failure.reason


def test_folders_that_have_no_proposals_or_are_none_of_masks(named_run, tmp_path):
    export(named_run, tmp_path / "yolo", ExportSettings("yolo"))
    with pytest.raises(ConfigError, match="format yolo"):
        correct_from_masks(named_run, tmp_path / "yolo")
    with pytest.raises(ConfigError, match="folder of label maps"):
        correct_from_masks(named_run, named_run)
    with pytest.raises(ConfigError, match="there is no"):
        correct_from_masks(named_run, tmp_path / "missing")
    shutil.rmtree(named_run / "proposals")
    with pytest.raises(ConfigError, match="a run with proposals"):
        correct_from_masks(named_run, tmp_path / "yolo")


def test_what_is_said_so_far(named_run):
    assert corrections_text(named_run) == "No corrections."
    pm.classes(named_run, name={3: "road"})
    correct(named_run, [("0.png", 1, 3), ("2.png", 1, 3), ("sub/1.png", 1, 255)])
    (named_run / "proposals" / "2.png.png").unlink()
    assert corrections_text(named_run).splitlines() == [
        "Corrections: 2 in force, 0 found again among other proposals, 1 asleep.",
        "      2  road",
        "      1  unlabelled",
        "  asleep: proposal 1 of 2.png: it has no proposals",
    ]
