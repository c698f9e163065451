from primaps.engine.fetching import fetched, lie_elsewhere


def test_urls_and_tar_files_lie_elsewhere():
    assert lie_elsewhere(["photos", "s3://bucket/photos"])
    assert lie_elsewhere(["photos.TAR"])
    assert not lie_elsewhere(["photos", "a.png"])


def test_images_of_an_object_store_are_copied_once(s3, draw, tmp_path, heard):
    import fsspec

    images = draw(tmp_path / "images", 3)
    fsspec.filesystem("s3").put(str(images), f"{s3}/images", recursive=True)
    scan = fetched([f"{s3}/images"], tmp_path / "run", heard)
    assert [image.name for image in scan.images] == ["0/000.png", "1/001.png", "2/002.png"]
    for image in scan.images:
        assert image.path == tmp_path / "run" / "photographs" / image.name
        assert image.path.read_bytes() == (images / image.name).read_bytes()
    assert len(heard.notes) == 1
    assert heard.notes[0].startswith("Copies 3 images")
    again = fetched([f"{s3}/images"], tmp_path / "run", heard)
    assert again == scan
    assert len(heard.notes) == 1
