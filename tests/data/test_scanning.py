from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from primaps.data import scanning
from primaps.data.scanning import scan
from primaps.errors import DatasetError
from primaps.types import ImageFile


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def _names(result: scanning.Scan) -> list[str]:
    return [image.name for image in result.images]


def test_folder_is_scanned_recursively_sorted_and_counted(tmp_path):
    _touch(
        tmp_path,
        "b.JPG",
        "a.png",
        "sub/deep/c.webp",
        "notes.txt",
        "sub/more.TXT",
        "LICENSE",
        "sub/clip.mp4",
    )
    _touch(tmp_path, ".hidden.jpg", ".cache/x.jpg")
    result = scan([tmp_path])
    assert result.images == (
        ImageFile(tmp_path / "a.png", "a.png"),
        ImageFile(tmp_path / "b.JPG", "b.JPG"),
        ImageFile(tmp_path / "sub/deep/c.webp", "sub/deep/c.webp"),
    )
    assert result.failures == ()
    assert dict(result.passed_over) == {"": 1, ".mp4": 1, ".txt": 2}
    assert list(result.passed_over) == ["", ".mp4", ".txt"]
    with pytest.raises(TypeError):
        result.passed_over[".txt"] = 0


def test_one_path_may_be_given_bare(tmp_path):
    _touch(tmp_path, "a.png")
    assert scan(str(tmp_path)) == scan(tmp_path) == scan([tmp_path])


def test_odd_images_keep_their_names(odd_images):
    root = odd_images["grey"].parent
    result = scan([root])
    assert {image.path for image in result.images} == set(odd_images.values())
    assert {"Straße 東京 é.PNG", "first/same.png", "second/same.png", "a.jpg", "a.png"} <= set(
        _names(result)
    )
    assert result.failures == ()


def test_bad_images_folder(bad_images):
    root = bad_images["empty_jpg"].parent
    result = scan([root])
    readable_later = {
        "empty.jpg",
        "text.jpg",
        "truncated.jpg",
        "truncated.png",
        "huge_header.png",
        "bomb.png",
    }
    assert set(_names(result)) == readable_later | {"folder.jpg/inside.png"}
    reasons = {Path(failure.path).name: failure.reason for failure in result.failures}
    assert set(reasons) == {"broken_link.jpg", "folder.jpg"}
    assert "link to" in reasons["broken_link.jpg"]
    assert "not_there.jpg, which does not exist" in reasons["broken_link.jpg"]
    assert "this is a folder with an image's name. Its content was scanned" in reasons["folder.jpg"]
    assert {failure.stage for failure in result.failures} == {"scan"}


def test_several_folders(tmp_path):
    _touch(tmp_path, "street/a.jpg", "forest/a.jpg", "one/images/a.jpg", "two/images/sub/a.jpg")
    result = scan(
        [tmp_path / "street", tmp_path / "forest", tmp_path / "one/images", tmp_path / "two/images"]
    )
    assert _names(result) == [
        "forest/a.jpg",
        "one/images/a.jpg",
        "street/a.jpg",
        "two/images/sub/a.jpg",
    ]


def test_files_one_by_one(tmp_path):
    _touch(tmp_path, "x/a.jpg", "x/b.png", "y/a.jpg", "x/photo")
    assert _names(scan([tmp_path / "x/a.jpg", tmp_path / "x/b.png"])) == ["a.jpg", "b.png"]
    assert _names(scan([tmp_path / "x/a.jpg", tmp_path / "y/a.jpg"])) == ["x/a.jpg", "y/a.jpg"]
    assert _names(scan([tmp_path / "x/photo"])) == ["photo"]


def test_same_file_is_taken_once(tmp_path):
    _touch(tmp_path, "x/a.jpg", "x/sub/b.jpg")
    (tmp_path / "x" / "A_link.jpg").symlink_to(tmp_path / "x" / "a.jpg")
    inputs = [
        tmp_path / "x/sub",
        tmp_path / "x/a.jpg",
        tmp_path / "x",
        str(tmp_path / "x/**/*.jpg"),
        tmp_path / "x/sub/../a.jpg",
    ]
    result = scan(inputs)
    assert _names(result) == ["a.jpg", "sub/b.jpg"]
    assert result == scan(inputs[::-1])


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    _touch(tmp_path, "photos/a.jpg", "disk/b.jpg", "disk/sub/c.jpg")
    (tmp_path / "photos/disk").symlink_to(tmp_path / "disk")
    (tmp_path / "photos/self").symlink_to(tmp_path / "photos")
    (tmp_path / "disk/sub/back").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/x.jpg").symlink_to(tmp_path / "photos")
    result = scan([tmp_path / "photos"])
    assert _names(result) == ["a.jpg", "disk/b.jpg", "disk/sub/c.jpg"]


def test_real_place_names_a_file_even_if_a_link_comes_first(tmp_path):
    _touch(tmp_path, "photos/z/deep/a.jpg")
    (tmp_path / "photos/0link").symlink_to(tmp_path / "photos/z/deep")
    assert _names(scan([tmp_path / "photos"])) == ["z/deep/a.jpg"]


def test_input_that_is_a_link_to_a_folder(tmp_path):
    _touch(tmp_path, "real/a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert scan([tmp_path / "link"]).images == (ImageFile(tmp_path / "link" / "a.jpg", "a.jpg"),)


def test_hidden_folder_is_scanned_if_it_is_given(tmp_path):
    _touch(tmp_path, ".private/a.jpg")
    assert _names(scan([tmp_path / ".private"])) == ["a.jpg"]


def test_patterns(tmp_path, monkeypatch):
    _touch(tmp_path, "x/1/a.jpg", "x/2/a.jpg", "x/2/notes.txt", "x/3.png/b.jpg", "y/c.png")
    assert _names(scan([f"{tmp_path}/x/*/a.jpg"])) == ["1/a.jpg", "2/a.jpg"]
    result = scan([f"{tmp_path}/x/*"])
    assert _names(result) == ["1/a.jpg", "2/a.jpg", "3.png/b.jpg"]
    assert dict(result.passed_over) == {".txt": 1}
    assert len(result.failures) == 1
    assert _names(scan([f"{tmp_path}/x/**/*.jpg", f"{tmp_path}/y/*.png"])) == [
        "x/1/a.jpg",
        "x/2/a.jpg",
        "x/3.png/b.jpg",
        "y/c.png",
    ]
    monkeypatch.chdir(tmp_path / "x")
    assert scan(["**/a.*"]).images == (
        ImageFile(Path("1/a.jpg"), "1/a.jpg"),
        ImageFile(Path("2/a.jpg"), "2/a.jpg"),
    )
    assert _names(scan(["../y/*"])) == ["c.png"]
    assert _names(scan(["."])) == ["1/a.jpg", "2/a.jpg", "3.png/b.jpg"]


def test_file_whose_name_looks_like_a_pattern(tmp_path):
    _touch(tmp_path, "a[1].jpg", "a1.jpg")
    assert _names(scan([tmp_path / "a[1].jpg"])) == ["a[1].jpg"]


def test_inputs_that_are_not_there_are_failures(tmp_path):
    _touch(tmp_path, "a.jpg")
    (tmp_path / "dead").symlink_to(tmp_path / "gone")
    inputs = [
        tmp_path,
        tmp_path / "missing",
        f"{tmp_path}/*.gif",
        f"{tmp_path}/nowhere/*",
        tmp_path / "dead",
        "",
        "nul\0",
    ]
    result = scan(inputs)
    assert _names(result) == ["a.jpg"]
    reasons = {failure.path: failure.reason for failure in result.failures}
    assert reasons[str(tmp_path / "missing")].startswith(
        "Expected a file, a folder or a pattern, but there is nothing"
    )
    assert "it matches nothing" in reasons[f"{tmp_path}/*.gif"]
    assert "it matches nothing" in reasons[f"{tmp_path}/nowhere/*"]
    assert "which does not exist" in reasons[str(tmp_path / "dead")]
    assert {"nul\0", "."} <= reasons.keys()
    assert len(result.failures) == 6


def test_broken_links(tmp_path):
    _touch(tmp_path, "a.jpg")
    for name in ("gone.JPG", "disk2", "old.txt"):
        (tmp_path / name).symlink_to("/nowhere/at/all")
    result = scan([tmp_path])
    assert sorted(Path(failure.path).name for failure in result.failures) == ["disk2", "gone.JPG"]
    assert dict(result.passed_over) == {".txt": 1}


def test_pipe_with_an_image_name(tmp_path):
    _touch(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "b.jpg")
    result = scan([tmp_path])
    assert _names(result) == ["a.jpg"]
    assert "pipe, socket or device" in result.failures[0].reason


def test_names_that_are_no_unicode_are_failures(tmp_path):
    _touch(tmp_path, "a.jpg")
    (tmp_path / os.fsdecode(b"\xff.jpg")).touch()
    (tmp_path / os.fsdecode(b"f\xfe")).mkdir()
    result = scan([tmp_path, tmp_path / os.fsdecode(b"\xff.jpg")])
    assert _names(result) == ["a.jpg"]
    assert {Path(failure.path).name for failure in result.failures} == {"\\xff.jpg", "f\\xfe"}
    assert all("valid UTF-8" in failure.reason for failure in result.failures)


def test_unreadable_folder(tmp_path, monkeypatch):
    _touch(tmp_path, "a.jpg", "locked/b.jpg")
    listing = Path.iterdir

    def refuse(path):
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    result = scan([tmp_path])
    assert _names(result) == ["a.jpg"]
    assert result.failures[0].path == str(tmp_path / "locked")
    assert "readable folder, but got: Permission denied" in result.failures[0].reason


def test_output_folder_inside_the_inputs_is_not_scanned(tmp_path):
    _touch(tmp_path, "a.jpg", "out/labels/a.jpg.png", "out2/b.jpg")
    assert _names(scan([tmp_path], exclude=tmp_path / "out")) == ["a.jpg", "out2/b.jpg"]
    assert _names(scan([f"{tmp_path}/**/*.*"], exclude=tmp_path / "out")) == ["a.jpg", "out2/b.jpg"]
    (tmp_path / "link").symlink_to(tmp_path / "out")
    assert _names(scan([tmp_path], exclude=tmp_path / "out")) == ["a.jpg", "out2/b.jpg"]
    assert _names(scan([tmp_path / "out2"], exclude=tmp_path)) == ["b.jpg"]
    assert _names(scan([tmp_path], exclude=tmp_path / "not_made_yet")) == [
        "a.jpg",
        "out/labels/a.jpg.png",
        "out2/b.jpg",
    ]


def test_output_folder_that_is_an_input(tmp_path):
    _touch(tmp_path, "a.jpg")
    for given_input in (tmp_path, f"{tmp_path}/*.jpg"):
        with pytest.raises(
            DatasetError,
            match=r"Expected an output folder other than the input .* Choose another output folder",
        ):
            scan([given_input], exclude=tmp_path)


def test_pictures_of_phones_and_raw_files_are_taken_so_that_they_can_be_reported(tmp_path):
    names = ("a.HEIC", "b.dng", "c.CR3", "d.nef", "e.psd", "f.jxl")
    _touch(tmp_path, *names, "g.txt")
    found = scan([tmp_path])
    assert [image.name for image in found.images] == list(names)
    assert found.passed_over == {".txt": 1}


def test_nothing_found_says_what_was_looked_for_and_what_was_there(tmp_path):
    with pytest.raises(
        DatasetError,
        match=(
            rf"Expected images \(\.jpg .*\) in {tmp_path}, but found none\.\nThere are no files"
            r" there"
        ),
    ):
        scan([tmp_path])
    _touch(tmp_path, "a.pdf", "b.pdf", "README")
    with pytest.raises(
        DatasetError, match=r"Other files there: 1 without extension, 2 \.pdf\."
    ) as caught:
        scan([tmp_path], exclude=tmp_path / "out")
    assert f"The output folder {tmp_path / 'out'} was not searched." in str(caught.value)
    with pytest.raises(
        DatasetError,
        match=r"missing: Expected a file, a folder or a pattern, but there is nothing at this path",
    ):
        scan([tmp_path / "missing"])
    with pytest.raises(DatasetError, match="in no input at all, but found none"):
        scan([])


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(
    inputs=st.lists(
        st.sampled_from(["", "a", "a/b", "c", "c/a", "*", "a/*", "**/x.jpg", "x.jpg", "a/b/x.jpg"]),
        min_size=1,
        max_size=5,
    )
)
def test_names_are_unique_and_do_not_depend_on_the_order_of_inputs(tmp_path, inputs):
    _touch(tmp_path, "x.jpg", "a/x.jpg", "a/b/x.jpg", "c/x.jpg", "c/a/x.jpg", "c/a/b/x.jpg")
    given_inputs = [str(tmp_path / entry) for entry in inputs]
    result = scan(given_inputs)
    names = _names(result)
    assert len(set(names)) == len(names) == len({image.path.resolve() for image in result.images})
    assert names == sorted(names)
    assert not any(part in {"", ".", ".."} for name in names for part in name.split("/"))
    assert all(image.path.name == image.name.split("/")[-1] for image in result.images)
    assert scan(given_inputs[::-1]) == result


def test_run_folders_are_not_entered_at_any_depth(tmp_path):
    run = {"format": 1, "settings": {"predict": {}}, "versions": {"primaps": "0.1.0"}}
    for folder, record in (("a/run", run), ("b/c/run2", run), ("mine", {"format": 1}), ("d", [])):
        place = tmp_path / folder
        (place / "labels").mkdir(parents=True)
        (place / "labels" / "x.png").touch()
        (place / "run.json").write_text(json.dumps(record))
    (tmp_path / "a" / "photo.png").touch()
    (tmp_path / "link").symlink_to(tmp_path / "b" / "c")
    found = scan([tmp_path])
    assert [image.name for image in found.images] == [
        "a/photo.png",
        "d/labels/x.png",
        "mine/labels/x.png",
    ]
    assert found.runs == (tmp_path / "a" / "run", tmp_path / "b" / "c" / "run2")
    assert [image.name for image in scan([f"{tmp_path}/*/*/*.png", tmp_path / "a"]).images]
    assert [image.name for image in scan([tmp_path / "a" / "run" / "labels"]).images] == ["x.png"]
    with pytest.raises(DatasetError, match=r"a/run is a run folder, whose outputs are no phot"):
        scan([tmp_path / "a" / "run"])
