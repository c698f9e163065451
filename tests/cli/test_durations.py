import pytest

from primaps.cli.durations import Durations, durations_file


def test_what_is_kept_is_expected_in_proportion(tmp_path):
    Durations(tmp_path / "d.json").keep("a", 10, {"fit": 5.0, "report": 1.0})
    assert Durations(tmp_path / "d.json").expected("a", 20) == {"fit": 10.0, "report": 2.0}
    assert Durations(tmp_path / "d.json").expected("b", 20) == {}


@pytest.mark.parametrize("images", [3, 31])
def test_much_larger_or_smaller_jobs_have_no_basis(tmp_path, images):
    durations = Durations(tmp_path / "d.json")
    durations.keep("a", 10, {"fit": 5.0})
    assert durations.expected("a", images) == {}
    assert durations.expected("a", 30) == {"fit": 15.0}


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a": 1}', '{"a": {"fit": 1}}', '{"a": {"fit": [1, "x"]}}']
)
def test_a_damaged_file_is_no_basis_and_is_replaced(tmp_path, text):
    path = tmp_path / "d.json"
    path.write_text(text)
    assert Durations(path).expected("a", 10) == {}
    Durations(path).keep("a", 10, {"fit": 5.0})
    assert Durations(path).expected("a", 10) == {"fit": 5.0}


def test_the_latest_hundred_kinds_are_kept(tmp_path):
    durations = Durations(tmp_path / "d.json")
    for number in range(101):
        durations.keep(f"kind {number}", 1, {"fit": 1.0})
    assert durations.expected("kind 0", 1) == {}
    assert durations.expected("kind 1", 1) == durations.expected("kind 100", 1) == {"fit": 1.0}


def test_a_folder_that_cannot_be_written_is_no_matter(tmp_path):
    (tmp_path / "file").write_text("")
    durations = Durations(tmp_path / "file" / "d.json")
    durations.keep("a", 10, {"fit": 5.0})
    assert durations.expected("a", 10) == {}


@pytest.mark.parametrize(
    ("platform", "variable", "ending"),
    [("linux", "XDG_CACHE_HOME", "primaps"), ("win32", "LOCALAPPDATA", "primaps")],
)
def test_the_file_lies_in_the_users_folder_for_caches(monkeypatch, platform, variable, ending):
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv(variable, "somewhere")
    assert durations_file().parts == ("somewhere", ending, "durations.json")
