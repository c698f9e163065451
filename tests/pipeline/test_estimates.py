import pytest

from primaps.pipeline.estimates import disk_line, duration, tried
from primaps.pipeline.opening import find_images


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.1, "1 s"), (89, "89 s"), (300, "5 min"), (9000, "2.5 h")]
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_what_is_free(tmp_path):
    line = disk_line(1e6, tmp_path / "not" / "there")
    assert line.startswith("Disk:        about 1 MB in ")
    assert "free)" in line


def test_some_images_are_tried_and_broken_ones_left_out(
    photographs, tmp_path, texture, small_config
):
    (photographs / "p0.png").write_text("no picture")
    run = find_images([photographs], tmp_path / "run", texture, small_config)
    seen = []

    def work(image):
        seen.append(image.name)
        return image.path.stat().st_size

    each, found = tried(run, run.images, work)
    assert each > 0
    assert len(found) == len(seen) - 1
    assert not (tmp_path / "run").exists()
