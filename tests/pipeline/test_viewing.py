import base64
import dataclasses
import io
import json
import shutil
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from torch.nn import functional as F

from primaps import pipeline
from primaps.errors import CheckpointError, ConfigError, ImageError
from primaps.outputs.label_files import read_label_image, read_png_info, write_label_map
from primaps.pipeline import viewing
from primaps.pipeline.labelling import Extras
from primaps.pipeline.named_fit import fit_with_names
from primaps.pipeline.named_labels import correct
from primaps.pipeline.stored_proposals import read_proposals
from primaps.pipeline.viewing import Viewed, shown_size
from primaps.runs.model import Model

NAMES = ["0.png", "2.png", "sub/1.png", "sub/3.png"]


def opened(folder):
    return pipeline.reopen(folder, {}, device="cpu")


def unpacked(maps):
    width, height, packed = maps
    return np.frombuffer(zlib.decompress(packed), "<u2").reshape(-1, height, width)


def decoded(data):
    with PILImage.open(io.BytesIO(data)) as picture:
        assert picture.format == "JPEG"
        return np.asarray(picture)


@pytest.fixture
def predicted(finished_run, tmp_path):
    """A folder of `predict` with maps of certainty."""
    photos = json.loads((finished_run / "run.json").read_text())["inputs"]
    out = tmp_path / "predicted"
    run = opened(finished_run)
    pipeline.predict_images(
        photos,
        out,
        run.backbone,
        Model.load(finished_run),
        run.config,
        names=finished_run,
        extras=Extras(certainty=True),
    )
    return out


# ---- the record ----------------------------------------------------------------------------------


def test_the_images_are_told_from_lists_and_headers(finished_run):
    record = Viewed(finished_run).record()
    images = record["images"]
    assert images["name"] == NAMES
    assert record["total_images"] == 4
    store = opened(finished_run).store
    for row, name in enumerate(NAMES):
        labels = read_label_image(finished_run / "labels" / f"{name}.png")
        counts = np.bincount(labels.ravel())
        assert images["clusters"][row] == [[k, n] for k, n in enumerate(counts.tolist()) if n]
        info = store.info(name)
        assert (
            (images["width"][row], images["height"][row]) == (info.width, info.height) == (64, 48)
        )
        assert images["proposals"][row] == info.num_masks
        assert images["coverage"][row] == round(info.coverage, 4)
        assert 0 <= images["certainty"][row] <= 1


def test_the_record_is_json_and_says_what_made_the_run(finished_run):
    record = Viewed(finished_run).record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["title"] == "run"
    assert record["folder"] == str(finished_run)
    assert record["model"] == Model.load(finished_run).fingerprint
    assert record["num_clusters"] == 4
    assert record["backbone"] == {
        "name": "texture", "training": "no label ever seen", "levels": None
    }  # fmt: skip
    assert record["command"] == "segment"
    assert record["inputs"] == json.loads((finished_run / "run.json").read_text())["inputs"]
    assert record["has_proposals"]
    assert not record["has_certainty"]
    assert "fit" in record["timings"]
    assert "report" not in record["timings"]
    assert record["settings"]["fit"]["num_clusters"] == 4
    assert record["settings"]["versions"]["torch"]
    assert record["settings"]["threshold"]["value"]
    assert record["facts"]["proposals per photograph"]
    assert record["failures"] == []
    assert record["date"]


def test_the_record_is_made_once_and_equals_that_of_another_look(finished_run):
    viewed = Viewed(finished_run)
    with ThreadPoolExecutor(4) as pool:
        records = list(pool.map(lambda _: viewed.record(), range(8)))
    assert all(each is records[0] for each in records)
    assert Viewed(finished_run).record() == records[0]


def test_curves_have_every_step_and_every_snapshot(finished_run):
    curves = Viewed(finished_run).record()["curves"]
    model = Model.load(finished_run)
    assert curves["losses"] == pytest.approx(model.fit.losses, abs=1e-6)
    kept = json.loads((finished_run / "model" / "curves.json").read_text())
    assert curves["steps"] == kept["steps"]
    assert np.array(curves["usage"]) == pytest.approx(np.array(kept["usage"]), abs=1e-6)
    assert len(curves["agreement"]) == len(curves["steps"])


def test_without_kept_curves_the_loss_alone_is_told(named_run):
    (named_run / "model" / "curves.json").unlink()
    curves = Viewed(named_run).record()["curves"]
    assert curves["losses"]
    assert curves["steps"] == curves["usage"] == curves["agreement"] == []


def test_the_tree_is_that_of_the_model(finished_run):
    tree = Viewed(finished_run).record()["tree"]
    assert tree["num_clusters"] == 4
    assert (
        tree["merges"] == json.loads((finished_run / "model" / "tree.json").read_text())["merges"]
    )
    assert tree["number"] is None


def test_a_run_that_is_none_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="folder of a run"):
        Viewed(tmp_path)


# ---- clusters and examples -----------------------------------------------------------------------


def test_the_gram_matrix_is_that_of_the_sums_of_unit_means(finished_run):
    facts = Viewed(finished_run).record()["clusters"]
    stored, model = read_proposals(opened(finished_run)), Model.load(finished_run)
    owners = (stored.unit @ model.prototypes.T).argmax(1)
    sums = np.zeros((4, stored.unit.shape[1]))
    for row, owner in enumerate(owners.tolist()):
        sums[owner] += stored.unit[row].numpy()
    gram = np.frombuffer(base64.b64decode(facts["gram"]), "<f4").reshape(4, 4)
    np.testing.assert_allclose(gram, sums @ sums.T, atol=1e-3)
    assert facts["counts"] == np.bincount(owners, minlength=4).tolist()


def test_examples_are_the_most_and_least_typical_proposals(finished_run, monkeypatch):
    monkeypatch.setattr("primaps.pipeline.viewed_examples.EXAMPLES", 2)
    examples = Viewed(finished_run).record()["examples"]
    stored, model = read_proposals(opened(finished_run)), Model.load(finished_run)
    owners = (stored.unit @ model.prototypes.T).argmax(1)
    for cluster in range(4):
        rows = (owners == cluster).nonzero().flatten()
        if not len(rows):
            continue
        mean = F.normalize(stored.unit[rows].double().sum(0), dim=0).float()
        scores = stored.unit[rows] @ mean
        best = examples[cluster]["best"][0]
        name, proposal = stored.name(int(rows[scores.argmax()]))
        assert (NAMES[best["image"]], best["proposal"]) == (name, proposal)
        assert best["score"] == pytest.approx(float(scores.max()), abs=1e-3)
        shown = {(each["image"], each["proposal"]) for each in examples[cluster]["best"]}
        assert not shown & {
            (each["image"], each["proposal"]) for each in examples[cluster]["worst"]
        }
        different = {stored.name(int(row))[0] for row in rows}
        assert len({image for image, _ in shown}) == min(2, len(different))


def test_examples_speak_of_the_images_that_are_listed(finished_run):
    record = Viewed(finished_run).record_of([3, 1])
    assert record["images"]["name"] == ["sub/3.png", "2.png"]
    assert record["total_images"] == 4
    found = {
        each["image"]
        for kinds in record["examples"]
        for examples in kinds.values()
        for each in examples
    }
    assert found == {0, 1}


def test_features_of_another_backbone_are_left_alone(named_run):
    path = named_run / "model"
    model = Model.load(path)
    fit = dataclasses.replace(model.fit, teacher=torch.randn(4, 3), student=torch.randn(4, 3))
    dataclasses.replace(model, fit=fit).save(path)
    record = Viewed(named_run).record()
    assert record["clusters"] is None
    assert {each["proposal"] for kinds in record["examples"] for each in kinds["best"]} == {None}


def test_a_folder_of_predict_has_examples_by_share(predicted, finished_run):
    record = Viewed(predicted).record()
    assert record["images"]["name"] == NAMES
    assert not record["has_proposals"]
    assert record["has_certainty"]
    assert record["clusters"] is None
    assert record["tree"] is None
    assert record["curves"] is None
    assert record["images"]["proposals"] == [None] * 4
    assert record["images"]["width"] == [64] * 4
    assert record["command"] == "predict"
    counts = np.zeros((4, 4))
    for row, pairs in enumerate(record["images"]["clusters"]):
        for cluster, number in pairs:
            counts[row, cluster] = number
    shares = counts / counts.sum(axis=1, keepdims=True)
    for cluster in range(4):
        best = record["examples"][cluster]["best"]
        assert [each["score"] for each in best] == sorted(
            [round(share, 4) for share in shares[:, cluster].tolist() if share], reverse=True
        )
        assert all(each["proposal"] is None for each in best)
        certain = [each["score"] for each in record["examples"][cluster]["uncertain"]]
        assert certain == sorted(certain)


def test_a_candidate_is_shown_with_the_proposals_of_its_run(named_run):
    proposals = read_label_image(named_run / "proposals" / "0.png.png")
    said = {int(proposals[5, 5]), int(proposals[45, 5])} - {0}
    correct(named_run, [("0.png", each, index) for index, each in enumerate(sorted(said))])
    fit_with_names(opened(named_run))
    viewed = Viewed(named_run / "candidates" / "1")
    record = viewed.record()
    assert record["num_clusters"] == len(said)
    assert record["has_proposals"]
    assert len(record["clusters"]["counts"]) == len(said)
    labels, shown = unpacked(viewed.maps("0.png"))
    assert (shown == proposals).all()
    assert (
        labels == read_label_image(named_run / "candidates" / "1" / "labels" / "0.png.png")
    ).all()


# ---- what is missing -----------------------------------------------------------------------------


def test_label_maps_of_another_model_are_left_out_and_counted(named_run):
    path = named_run / "labels" / "0.png.png"
    write_label_map(path, read_label_image(path), {})
    record = Viewed(named_run).record()
    assert record["images"]["name"] == NAMES[1:]
    assert any("not made with the present model" in line for line in record["warnings"])


def test_a_photograph_that_is_gone_is_a_failure_and_keeps_its_row(named_run):
    manifest = named_run / "store" / "manifest.json"
    listing = json.loads(manifest.read_text())
    listing["images"]["2.png"]["path"] = str(named_run / "gone.png")
    manifest.write_text(json.dumps(listing))
    viewed = Viewed(named_run)
    record = viewed.record()
    assert record["images"]["name"] == NAMES
    assert "not where it was" in record["images"]["warnings"][1][0]
    (failure,) = record["failures"]
    assert failure["path"] == str(named_run / "gone.png")
    assert failure["stage"] == "report"
    with pytest.raises(ImageError):
        viewed.photo("2.png")
    assert unpacked(viewed.maps("2.png")).shape == (2, 48, 64)


def test_a_folder_of_an_earlier_version_has_no_photographs(predicted):
    (predicted / "images.json").unlink()
    viewed = Viewed(predicted)
    assert len(viewed.record()["failures"]) == 4
    with pytest.raises(ImageError, match="does not say"):
        viewed.photo("0.png")


def test_images_that_fit_no_class_say_so(named_run):
    path = named_run / "certainty.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line, mean in zip(lines, (0.6, 0.62, 0.61, 0.01), strict=True):
        line["mean"] = mean
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    warnings = Viewed(named_run).record()["images"]["warnings"]
    assert warnings[:3] == [[]] * 3
    assert warnings[3] == ["Fits the classes far worse than the others: certainty 1.0%."]


# ---- pictures ------------------------------------------------------------------------------------


def test_maps_hold_clusters_and_proposals(finished_run):
    viewed = Viewed(finished_run)
    labels, proposals = unpacked(viewed.maps("sub/1.png"))
    assert (labels == read_label_image(finished_run / "labels" / "sub" / "1.png.png")).all()
    assert (proposals == read_label_image(finished_run / "proposals" / "sub" / "1.png.png")).all()


def test_reduced_maps_hold_the_ids_at_the_centres(finished_run):
    viewed = Viewed(finished_run)
    width, height, _ = maps = viewed.maps("0.png", 16)
    assert (width, height) == (16, 12)
    whole = read_label_image(finished_run / "labels" / "0.png.png")
    assert (unpacked(maps)[0] == whole[2::4, 2::4]).all()


def test_a_folder_of_predict_has_labels_only(predicted):
    assert unpacked(Viewed(predicted).maps("0.png")).shape == (1, 48, 64)


@pytest.fixture
def _any_content(monkeypatch):
    """Photographs may be others than those that label maps were made of."""
    monkeypatch.setattr("primaps.pipeline.viewing.check_photograph", lambda *_: None)


@pytest.mark.usefixtures("_any_content")
def test_photographs_are_upright_and_no_longer_than_asked(named_run, tmp_path):
    manifest = named_run / "store" / "manifest.json"
    listing = json.loads(manifest.read_text())
    picture = PILImage.fromarray(np.full((64, 48, 3), (200, 40, 40), np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    listing["images"]["0.png"]["path"] = str(tmp_path / "turned.jpg")
    manifest.write_text(json.dumps(listing))
    viewed = Viewed(named_run)
    assert decoded(viewed.photo("0.png")).shape == (48, 64, 3)
    assert decoded(viewed.photo("0.png", 32)).shape == (24, 32, 3)
    assert decoded(viewed.photo("0.png", 5000)).shape == (48, 64, 3)
    assert abs(decoded(viewed.photo("0.png"))[10, 10].astype(int) - (200, 40, 40)).max() < 12


@pytest.mark.usefixtures("_any_content")
@pytest.mark.parametrize("mode", ["L", "1", "RGBA", "P"])
def test_any_photograph_becomes_rgb(named_run, tmp_path, mode):
    manifest = named_run / "store" / "manifest.json"
    listing = json.loads(manifest.read_text())
    PILImage.new("RGB", (64, 48), "white").convert(mode).save(tmp_path / "odd.png")
    listing["images"]["0.png"]["path"] = str(tmp_path / "odd.png")
    manifest.write_text(json.dumps(listing))
    assert (decoded(Viewed(named_run).photo("0.png")) > 250).all()


def test_certainty_is_that_of_the_map(predicted):
    width, height, packed = Viewed(predicted).certainty("sub/3.png")
    levels = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, width)
    assert (levels == read_label_image(predicted / "certainty" / "sub" / "3.png.png")).all()


def test_no_certainty_where_there_is_no_map(finished_run):
    assert Viewed(finished_run).certainty("0.png") is None


def test_a_certainty_of_another_model_is_none(predicted, finished_run):
    path = predicted / "certainty" / "0.png.png"
    other = predicted / "certainty" / "2.png.png"
    assert read_png_info(path)["model"] == Model.load(finished_run).fingerprint
    shutil.copy(predicted / "labels" / "0.png.png", other)
    with PILImage.open(other) as picture:
        picture.convert("L").save(other)  # without a header
    viewed = Viewed(predicted)
    assert viewed.certainty("2.png") is None
    assert viewed.certainty("0.png") is not None
    assert viewed.record()["has_certainty"]


@pytest.mark.parametrize("name", ["", "..", "../run.json", "/etc/passwd", "0.png/", "1.png", "sub"])
def test_names_that_are_not_of_the_run_are_refused(finished_run, name):
    viewed = Viewed(finished_run)
    for look in (viewed.photo, viewed.maps, viewed.certainty):
        with pytest.raises(ConfigError, match="Expected an image with a label map"):
            look(name)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((64, 48), None, (64, 48)),
        ((64, 48), 640, (64, 48)),
        ((64, 48), 32, (32, 24)),
        ((1, 1), 640, (1, 1)),
        ((10_000, 2), 640, (640, 1)),
        ((2, 10_000), 640, (1, 640)),
        ((6000, 4000), None, (3464, 2309)),
        ((6000, 4000), 640, (640, 426)),
    ],
)
def test_shown_sizes(size, side, expected):
    assert shown_size(*size, side) == expected


def test_a_size_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="1 pixel or more"):
        shown_size(10, 10, 0)


def test_large_maps_are_reduced_and_it_is_said(named_run, monkeypatch):
    monkeypatch.setattr(viewing, "MAP_PIXELS", 768)
    monkeypatch.setattr("primaps.pipeline.viewed_images.MAP_PIXELS", 768)
    viewed = Viewed(named_run)
    assert viewed.maps("0.png")[:2] == (32, 24)
    assert decoded(viewed.photo("0.png")).shape == (24, 32, 3)
    assert "Shown smaller than it is" in viewed.record()["images"]["warnings"][0][0]


def test_threads_read_the_same(finished_run):
    viewed = Viewed(finished_run)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: viewed.maps(NAMES[row % 4], 20), range(40)))
    assert all(each == found[row % 4] for row, each in enumerate(found))
