import json
from pathlib import Path

from primaps.pipeline.viewed_images import ViewedImage, image_columns, viewed_images
from primaps.runs.model import Model
from primaps.runs.run import RunFolder


def found(folder, model=None, failed=()):
    files = RunFolder(folder)
    return viewed_images(files, files, model or Model.load(folder).fingerprint, failed)


def test_images_come_with_what_lists_and_headers_say(finished_run):
    images, others = found(finished_run)
    assert [each.name for each in images] == ["0.png", "2.png", "sub/1.png", "sub/3.png"]
    assert others == 0
    for each in images:
        assert each.photo.exists()
        assert sum(each.clusters.values()) == each.width * each.height == 64 * 48
        assert each.certainty.mean >= 0
        assert each.warnings == ()


def test_maps_of_another_model_are_counted(finished_run):
    assert found(finished_run, "another") == ([], 4)


def test_inputs_that_failed_are_left_out(finished_run):
    path = str(found(finished_run)[0][1].photo)
    assert [each.name for each in found(finished_run, None, {path})[0]] == [
        "0.png",
        "sub/1.png",
        "sub/3.png",
    ]


def test_degenerate_cases_are_told_in_words(named_run):
    manifest = named_run / "store" / "manifest.json"
    listing = json.loads(manifest.read_text())
    listing["images"]["0.png"]["guards"] = ["crf_erased_all", "crf_erased_all", "new"]
    manifest.write_text(json.dumps(listing))
    assert found(named_run)[0][0].warnings == (
        "The CRF erased every region, so those before it were kept.",
        "new",
    )


def test_columns_have_a_row_per_image():
    images = [
        ViewedImage("b", Path("b"), 3, 2, {255: 2, 0: 4}, 5, 0.5, None, ("odd",)),
        ViewedImage("a", None, 1, 1, {}),
    ]
    columns = image_columns(images, {"b"})
    assert columns["name"] == ["b", "a"]
    assert columns["width"] == [3, 1]
    assert columns["clusters"] == [[[0, 4], [255, 2]], []]
    assert columns["proposals"] == [5, None]
    assert columns["certainty"] == [None, None]
    assert columns["warnings"][0][0] == "odd"
    assert len(columns["warnings"][0]) == 2
    assert columns["warnings"][1] == []
    assert set(map(len, columns.values())) == {2}
