"""Exports read back by programs that others wrote: the same label maps, pixel by pixel.

They pull in much, so they live in an environment of their own: ``make readers``. A test whose
reader is not installed is skipped and says so.
"""

import csv
import json
import urllib.parse

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.filterwarnings("default")  # those of the readers are not ours
SPLITS = ("train", "val", "test")


def by_name(export):
    return {image.name: image for image in export.images}


def check(drawn, export, read):
    """Compare (H, W) class ids by name with what was drawn, of all images and no others."""
    assert sorted(read) == sorted(by_name(export))
    for name, labels in read.items():
        np.testing.assert_array_equal(labels, export.labels(name), err_msg=name)


def ids(drawn):
    """Class ids by name."""
    return {name: class_id for class_id, name in drawn.NAMES.items()}


@pytest.mark.parametrize("polygons", [False, True])
def test_coco_by_pycocotools(drawn, tmp_path, polygons, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    export = drawn.make_export(tmp_path, "coco", polygons=polygons)
    data = coco.COCO(export.root / "annotations" / "instances.json")
    capsys.readouterr()
    assert {data.cats[key]["name"]: key - 1 for key in data.cats} == ids(drawn)
    read = {}
    for key, image in data.imgs.items():
        annotations = data.imgToAnns[key]
        masks = [(each["category_id"] - 1, data.annToMask(each)) for each in annotations]
        assert [each["area"] for each in annotations] == [mask.sum() for _, mask in masks]
        read[image["file_name"]] = drawn.painted((image["height"], image["width"]), masks)
        with Image.open(export.root / "images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
    check(drawn, export, read)


def datumaro_items(root, kind):
    components = pytest.importorskip("datumaro")
    dataset = components.Dataset.import_from(str(root), kind)
    labels = [each.name for each in dataset.categories()[components.AnnotationType.label].items]
    return dataset, labels


def datumaro_masks(item, labels, wanted):
    return [
        (wanted[labels[each.label]], each.image)
        for each in item.annotations
        if labels[each.label] in wanted
    ]


@pytest.mark.parametrize("splits", [(), SPLITS])
@pytest.mark.parametrize("kind", ["voc_segmentation", "cvat", "datumaro"])
def test_datumaro(drawn, tmp_path, kind, splits):
    paths = drawn.write_photographs(tmp_path / "photos")
    if kind == "cvat":
        del paths["a.png"]  # this reader takes a.jpg and a.png for one
    export = drawn.make_export(tmp_path, kind.partition("_")[0], splits=splits, paths=paths)
    dataset, labels = datumaro_items(export.root, kind)
    assert set(drawn.NAMES.values()) <= set(labels)
    names = {image.stem: image for image in export.images}
    if kind == "cvat":
        names = {image.name.rpartition(".")[0]: image for image in export.images}
    read = {}
    for item in dataset:
        image = names[item.id]
        if splits:
            assert item.subset == image.split
        read[image.name] = drawn.painted(image.size, datumaro_masks(item, labels, ids(drawn)))
        assert item.media.data.shape[:2] == image.size
    check(drawn, export, read)


def test_label_studio_by_its_converter(drawn, tmp_path):
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    from label_studio_sdk._extensions.label_studio_tools.core.label_config import parse_config

    export = drawn.make_export(tmp_path, "label-studio")
    config = parse_config((export.root / "label_config.xml").read_text("utf-8"))
    assert set(config["tag"]["labels"]) == set(drawn.NAMES.values())
    read = {}
    for task in json.loads((export.root / "tasks.json").read_bytes()):
        place = urllib.parse.parse_qs(urllib.parse.urlsplit(task["data"]["image"]).query)["d"][0]
        assert (export.root / place).is_file()
        masks = []
        for result in task["annotations"][0]["result"]:
            flat = {**result, **result["value"]}
            layers = brush.decode_from_annotation("tag", [flat])
            ((_, alpha),) = layers.items()
            masks.append((ids(drawn)[flat["brushlabels"][0]], alpha == 255))
        image = by_name(export)[task["data"]["name"]]
        read[image.name] = drawn.painted(image.size, masks)
    check(drawn, export, read)


def test_labelme_by_its_own_loader(drawn, tmp_path):
    label_file = pytest.importorskip("labelme._label_file", exc_type=ImportError)
    from labelme.utils.shape import shape_to_mask

    export = drawn.make_export(tmp_path, "labelme")
    read = {}
    for image in export.images:
        loaded = label_file.LabelFile(str(export.root / f"{image.stem}.json"))
        assert loaded.image_data
        masks = [
            (ids(drawn)[each["label"]], shape_to_mask(image.size, each["points"], "polygon"))
            for each in loaded.shapes
        ]
        read[image.name] = drawn.painted(image.size, masks)
    check(drawn, export, read)


def test_yolo_as_ultralytics_paints_it(drawn, tmp_path):
    """Its rule: shares times the size in 32 bits, decimals cut off, ``cv2.fillPoly``."""
    cv2 = pytest.importorskip("cv2")
    yaml = pytest.importorskip("yaml")
    export = drawn.make_export(tmp_path, "yolo", splits=SPLITS)
    data = yaml.safe_load((export.root / "data.yaml").read_text("utf-8"))
    numbers = ids(drawn)
    read = {}
    for image in export.images:
        assert (export.root / data[image.split] / image.file).is_file()
        file = (export.root / data[image.split].replace("images", "labels")) / f"{image.stem}.txt"
        masks = []
        for row in file.read_text().splitlines():
            number, *shares = row.split()
            points = np.array(shares, np.float32).reshape(-1, 2)
            points *= np.array([image.width, image.height], np.float32)
            mask = np.zeros(image.size, np.uint8)
            cv2.fillPoly(mask, [points.astype(np.int32)], 1)
            masks.append((numbers[data["names"][int(number)]], mask))
        read[image.name] = drawn.painted(image.size, masks)
    check(drawn, export, read)


@pytest.mark.parametrize("splits", [(), SPLITS])
def test_hugging_face_by_datasets(drawn, tmp_path, splits, monkeypatch):
    datasets = pytest.importorskip("datasets")
    export = drawn.make_export(tmp_path, "hf", splits=splits)
    loaded = datasets.load_dataset(str(export.root), cache_dir=str(tmp_path / "cache"))
    expected = {"train", "validation", "test"} if splits else {"train"}
    assert set(loaded) == expected
    read = {}
    for split, rows in loaded.items():
        assert isinstance(rows.features["image"], datasets.Image)
        names = rows.features["classes"].feature.names
        assert names == list(drawn.NAMES.values())
        table = np.full(256, 255, np.uint8)
        table[: len(names)] = [ids(drawn)[name] for name in names]
        for row in rows:
            image = by_name(export)[row["file_name"]]
            assert not splits or {"val": "validation"}.get(image.split, image.split) == split
            assert row["image"].size == (image.width, image.height)
            mask = np.asarray(row["mask"])
            assert row["classes"] == sorted(set(np.unique(mask).tolist()) - {255})
            read[image.name] = table[mask]
    check(drawn, export, read)


def test_fiftyone_by_its_importer(drawn, tmp_path, monkeypatch):
    monkeypatch.setenv("FIFTYONE_DATABASE_DIR", str(tmp_path / "database"))
    importers = pytest.importorskip("fiftyone.utils.data.importers", exc_type=Exception)
    export = drawn.make_export(tmp_path, "fiftyone")
    targets = json.loads((export.root / "mask_targets.json").read_bytes())
    table = np.full(256, 255, np.uint8)
    for value, name in targets.items():
        table[int(value)] = ids(drawn)[name]
    files = {str(export.root / "data" / image.file): image.name for image in export.images}
    read = {}
    with importers.ImageSegmentationDirectoryImporter(
        dataset_dir=str(export.root), load_masks=True
    ) as reader:
        for path, _, label in reader:
            read[files[path]] = table[label.mask]
    check(drawn, export, read)


def test_geotiff_by_rasterio(drawn, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    paths = drawn.write_photographs(tmp_path / "photos")
    placed = georeferenced(rasterio, paths["full.png"], "EPSG:32632")
    export = drawn.make_export(tmp_path, "geotiff", splits=SPLITS, paths=paths)
    rows = csv.DictReader((export.root / "classes.csv").read_text("utf-8").splitlines())
    assert {int(row["id"]): row["name"] for row in rows} == drawn.NAMES
    read = {}
    for image in export.images:
        path = export.root / image.split / "labels" / f"{image.stem}.tif"
        if image.name != "full.png":
            with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
                source = rasterio.open(path)
            assert source.crs is None
        else:
            source = rasterio.open(path)
            assert source.crs.to_epsg() == 32632
            assert source.transform == placed
        with source:
            assert source.nodata == 255
            assert source.colormap(1)[0][:3] == (230, 25, 75)
            assert source.tags(1)["CLASS_4"] == drawn.NAMES[4]
            read[image.name] = source.read(1)
    check(drawn, export, read)


def georeferenced(rasterio, path, crs, transform=True):
    """Turn a photograph into a GeoTIFF under the same name; its transform."""
    placing = rasterio.Affine(0.5, 0, 691000, 0, -0.5, 5334000) if transform else None
    pixels = np.asarray(Image.open(path))
    path.unlink()
    options = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": crs}
    if transform:
        options["transform"] = placing
    height, width = pixels.shape[:2]
    with rasterio.open(path, "w", height=height, width=width, **options) as file:
        file.write(pixels.transpose(2, 0, 1))
    return placing


def test_a_crs_without_a_transform_is_left_out(drawn, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    paths = drawn.write_photographs(tmp_path / "photos")
    georeferenced(rasterio, paths["full.png"], "EPSG:32632", transform=False)
    export = drawn.make_export(tmp_path, "geotiff", paths=paths)
    with rasterio.open(export.root / "labels" / "full.tif") as source:
        assert source.crs is None
        assert source.transform.is_identity


def test_geojson_painted_by_rasterio(drawn, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    features = pytest.importorskip("rasterio.features")
    warp = pytest.importorskip("rasterio.warp")
    paths = drawn.write_photographs(tmp_path / "photos")
    placed = georeferenced(rasterio, paths["a.png"], "EPSG:32632")
    export = drawn.make_export(tmp_path, "geojson", paths=paths)
    read = {}
    for image in export.images:
        document = json.loads((export.root / "labels" / f"{image.stem}.geojson").read_bytes())
        transform = rasterio.Affine.identity()
        shapes = [(each["geometry"], each["properties"]["id"]) for each in document["features"]]
        if image.name == "a.png":
            assert "coordinates" not in document
            longitude, latitude = shapes[0][0]["coordinates"][0][0]
            assert 11 < longitude < 12
            assert 48 < latitude < 49
            transform = placed
            shapes = [
                (warp.transform_geom("OGC:CRS84", "EPSG:32632", shape), value)
                for shape, value in shapes
            ]
        else:
            assert document["coordinates"] == "pixels"
        read[image.name] = (
            features.rasterize(shapes, image.size, fill=255, transform=transform, dtype="uint8")
            if shapes
            else np.full(image.size, 255, np.uint8)
        )
        for each in document["features"]:
            assert ids(drawn)[each["properties"]["class"]] == each["properties"]["id"]
    check(drawn, export, read)


def test_geojson_is_valid_to_shapely(drawn, tmp_path):
    geometry = pytest.importorskip("shapely.geometry")
    export = drawn.make_export(tmp_path, "geojson")
    for image in export.images:
        document = json.loads((export.root / "labels" / f"{image.stem}.geojson").read_bytes())
        for each in document["features"]:
            assert geometry.shape(each["geometry"]).is_valid
