"""A folder in an object store, complete or not yet."""

import json

import pytest

from primaps.engine import publishing
from primaps.engine.publishing import LIST, Published, publish_folder, published, refuse_others
from primaps.errors import CheckpointError, ConfigError, OutputError
from primaps.progress import Silent
from primaps.shards.places import Place, place_of


@pytest.fixture(params=["memory", "s3"])
def place(request, tmp_path):
    if request.param == "s3":
        return place_of(f"{request.getfixturevalue('s3')}/data")
    return place_of(f"memory://publishing/{tmp_path.name}")


@pytest.fixture
def folder(tmp_path):
    for name, text in {"a/1.txt": "one", "b.txt": "two", ".hidden/settings": "{}"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / ".hidden" / "x-lock").touch()
    return tmp_path


@pytest.fixture
def sent(monkeypatch):
    """Names of what is written, in order of a sort."""
    names, publish = [], Place.publish

    def noted(self, path, source):
        names.append(path)
        publish(self, path, source)

    monkeypatch.setattr(Place, "publish", noted)
    return names


def test_everything_arrives_then_what_changed(folder, place, sent):
    assert refuse_others(place, "coco") is None
    publish_folder(folder, place, "coco", Silent())
    assert sorted(sent) == [".hidden/settings", "a/1.txt", "b.txt"]
    assert place.read("a/1.txt") == b"one"
    known = published(place)
    assert (known.kind, known.complete, set(known.files)) == ("coco", True, set(sent))
    sent.clear()
    publish_folder(folder, place, "coco", Silent())
    assert sent == []
    (folder / "b.txt").write_text("three")
    (folder / "a" / "1.txt").unlink()
    (folder / "c.txt").write_text("new")
    publish_folder(folder, place, "coco", Silent())
    assert sorted(sent) == ["b.txt", "c.txt"]
    assert place.read("b.txt") == b"three"
    assert not place.exists("a/1.txt")


def test_what_was_cut_short_goes_on(folder, place, sent, monkeypatch):
    monkeypatch.setattr(publishing, "_TOGETHER", 1)
    noted = Place.publish

    def cut(self, path, source):
        if path == "b.txt":
            raise OutputError("The disk is full.")
        noted(self, path, source)

    with monkeypatch.context() as patch:
        patch.setattr(Place, "publish", cut)
        with pytest.raises(OutputError, match="full"):
            publish_folder(folder, place, "coco", Silent())
    known = published(place)
    assert not known.complete
    assert known.files["b.txt"] == ""
    sent.clear()
    publish_folder(folder, place, "coco", Silent())
    assert sent == ["b.txt"]
    assert published(place).complete


def test_something_else_stays(folder, place):
    place.write("deep/below/x", b"mine")
    with pytest.raises(ConfigError, match="holds other files"):
        publish_folder(folder, place, "coco", Silent())
    place.remove("deep/below/x")
    publish_folder(folder, place, "coco", Silent())
    with pytest.raises(ConfigError, match="holds an export in the format coco"):
        refuse_others(place, "yolo")


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"format": "x"}), '{"format": 1}'])
def test_a_damaged_list_is_named(content, tmp_path):
    place = place_of(f"memory://publishing/{tmp_path.name}")
    place.write(LIST, content.encode())
    with pytest.raises(CheckpointError, match=r"to list files \(primaps-files-1\)"):
        published(place)


def test_no_list():
    assert published(place_of("memory://publishing/nothing")) is None
    assert Published("coco", True, {}).files == {}
