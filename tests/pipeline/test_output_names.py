from pathlib import Path

import pytest

from primaps.pipeline import output_names
from primaps.pipeline.output_names import folder_ignores_case, without_names_that_fail
from primaps.types import ImageFile


def images(*names):
    return [ImageFile(Path("in") / name, name) for name in names]


def test_ordinary_names_pass_without_a_word(tmp_path):
    given = images("a.png", "more/a.png", "b [1].png", "konsole.png", "nullo.jpg", "com10.png")
    assert without_names_that_fail(given, tmp_path) == (tuple(given), [], [])


def test_names_that_differ_by_case_clash_where_case_means_nothing(tmp_path, monkeypatch):
    given = images("A.png", "a.png", "e\u0301.png", "\u00e9.png", "x/B.png", "y/b.png")
    kept, failures, (note,) = without_names_that_fail(given, tmp_path)
    assert kept == tuple(given)
    assert failures == []
    assert note.startswith("Names that differ by case alone: A.png and a.png, ")
    monkeypatch.setattr(output_names, "folder_ignores_case", lambda _: True)
    kept, failures, notes = without_names_that_fail(given, tmp_path)
    assert [image.name for image in kept] == ["A.png", "e\u0301.png", "x/B.png", "y/b.png"]
    assert "differs from A.png by more than case" in failures[0].reason
    assert len(failures) == 2
    assert notes == []


@pytest.mark.parametrize(
    "name", ["con.jpg", "more/NUL.png", "aux/a.png", "COM3", "a:b.png", "what?.png", "a./b.png"]
)
def test_names_of_windows(name, tmp_path, monkeypatch):
    kept, failures, (note,) = without_names_that_fail(images(name, "ok.png"), tmp_path)
    assert len(kept) == 2
    assert failures == []
    assert name in note
    monkeypatch.setattr(output_names, "on_windows", lambda: True)
    kept, failures, notes = without_names_that_fail(images(name, "ok.png"), tmp_path)
    assert [image.name for image in kept] == ["ok.png"]
    assert "Windows" in failures[0].reason
    assert notes == []


def test_long_names(tmp_path):
    kept, (failure,), notes = without_names_that_fail(images("a" * 250 + ".png"), tmp_path)
    assert (kept, notes) == ((), [])
    assert "Shorten it" in failure.reason


def test_this_disk_knows_case(tmp_path):
    folder = tmp_path / "Mixed"
    folder.mkdir()
    assert folder_ignores_case(folder / "not" / "there") == (tmp_path / "mIXED").exists()
