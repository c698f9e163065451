"""What an export would write."""

import pytest

from primaps.errors import ConfigError
from primaps.pipeline.dry_run_of_export import photographs_line, planned_export, size_line
from primaps.pipeline.exporting import ExportSettings, export


@pytest.fixture(scope="module")
def finished(tmp_path_factory, segment_four):
    return segment_four(tmp_path_factory.mktemp("finished"))


def told(lines):
    return {key: value.strip() for key, value in (line.split(":", 1) for line in lines)}


def test_what_is_up_to_date_is_told(finished, tmp_path):
    out, settings = tmp_path / "out", ExportSettings("coco")
    lines = told(planned_export(finished, str(out), settings))
    assert lines["Images"] == "4, 0 of them up to date, 4 to do"
    assert lines["Photographs"].startswith("copies of ")
    assert str(out) in lines["Disk"]
    assert not out.exists()
    export(finished, out, settings)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    lines = told(planned_export(finished, str(out), settings))
    assert lines["Images"] == "4, 4 of them up to date, 0 to do"
    lines = told(planned_export(finished, str(out), ExportSettings("coco", min_area=9)))
    assert lines["Images"] == "4, 0 of them up to date, 4 to do"
    first = next(path for path in out.rglob("*.png"))
    first.rename(tmp_path / "kept")
    assert told(planned_export(finished, str(out), settings))["Images"].endswith("1 to do")
    (tmp_path / "kept").rename(first)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path in before} == {
        path: before[path] if path.is_file() else path.stat().st_mtime_ns for path in before
    }
    with pytest.raises(ConfigError, match="an export in the format coco"):
        planned_export(finished, str(out), ExportSettings("voc"))


def test_links_take_no_photographs():
    assert photographs_line(10_000_000, link=True) == "links"
    assert "10" in photographs_line(10_000_000, link=False)
    assert size_line(2e6, "memory://x/y").startswith("Sent:        about 2")


def test_photographs_that_are_gone_are_named(tmp_path, segment_four):
    run = segment_four(tmp_path)
    (tmp_path / "photos" / "0.png").rename(tmp_path / "elsewhere.png")
    lines = told(planned_export(run, str(tmp_path / "out"), ExportSettings("coco")))
    assert str(tmp_path / "photos" / "0.png") in lines["Missing"]
    assert "--images" in lines["Missing"]
