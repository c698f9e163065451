"""What an export has done."""

import errno

import pytest

from primaps.errors import ConfigError, OutputError
from primaps.outputs.export.journal import FOLDER, Entry, Journal, Origin, read_journal


def entry(name, root, stamp="s", content=None):
    (root / "images").mkdir(exist_ok=True)
    (root / "images" / name).write_text(name)
    return Entry(name, stamp, "train", 2, 3, False, [f"images/{name}"], content)


@pytest.fixture
def journal(tmp_path):
    opened = []

    def make(stamps, format_name="coco"):
        made = Journal(tmp_path, format_name)
        opened.append(made)
        made.open(stamps, Origin({"road": 3}, 5))
        return made

    yield make
    for each in opened:
        each.close()


def test_entries_come_back_after_the_end_of_a_process(journal, tmp_path):
    first = journal({})
    first.add(entry("ä.png", tmp_path, content=[1, "x"]))
    first.add(entry("b.png", tmp_path))
    first.close()
    again = journal({"ä.png": "s", "b.png": "s"})
    assert len(again) == 2
    assert again.entry("ä.png").content == [1, "x"]
    again.add(entry("c.png", tmp_path))
    assert again.entry("b.png").files == ["images/b.png"]
    assert again.entry("c.png").name == "c.png"


def test_a_line_cut_short_counts_for_nothing(journal, tmp_path):
    first = journal({})
    first.add(entry("a.png", tmp_path))
    first.add(entry("b.png", tmp_path))
    first.close()
    done = tmp_path / FOLDER / "done"
    done.write_bytes(done.read_bytes()[:-9])
    again = journal({"a.png": "s", "b.png": "s"})
    assert "a.png" in again
    assert "b.png" not in again


def test_what_is_outdated_or_gone_is_removed(journal, tmp_path):
    first = journal({})
    for name in ("a.png", "b.png", "c.png"):
        first.add(entry(name, tmp_path))
    first.note_list("lists/all.json")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/all.json").write_text("{}")
    first.close()
    again = journal({"a.png": "s", "b.png": "other"})
    assert [name for name in ("a.png", "b.png", "c.png") if name in again] == ["a.png"]
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["a.png"]
    assert not (tmp_path / "lists").exists()


def test_a_missing_file_means_that_the_image_is_not_done(journal, tmp_path):
    first = journal({})
    first.add(entry("a.png", tmp_path))
    first.close()
    (tmp_path / "images/a.png").unlink()
    assert "a.png" not in journal({"a.png": "s"})


def test_a_folder_with_other_things_is_refused(journal, tmp_path):
    (tmp_path / "holiday.jpg").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files"):
        journal({})
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_an_export_in_another_format_is_refused(journal):
    journal({}).close()
    with pytest.raises(ConfigError, match="an export in the format coco"):
        journal({}, "voc")


def test_two_at_a_time_are_refused(tmp_path, journal):
    import subprocess
    import sys

    journal({})
    code = (
        "import sys; from pathlib import Path\n"
        "from primaps.errors import OutputError\n"
        "from primaps.outputs.export.journal import Journal\n"
        "try: Journal(Path(sys.argv[1]), 'coco')\n"
        "except OutputError: sys.exit(7)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 7


def test_an_export_can_be_looked_at_without_being_worked_on(journal, tmp_path):
    assert read_journal(tmp_path) is None
    at_work = journal({})
    at_work.add(entry("a.png", tmp_path))
    found = read_journal(tmp_path)
    assert found.format == "coco"
    assert found.origin == Origin({"road": 3}, 5)
    assert found.files == {"images/a.png": "a.png"}


def test_exports_of_earlier_versions_say_less(tmp_path):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "settings").write_text('{"format": "voc", "lists": []}')
    found = read_journal(tmp_path)
    assert (found.format, found.origin, found.files) == ("voc", Origin(), {})


def test_a_first_try_that_ended_before_it_wrote_anything_goes_on(journal, tmp_path):
    (tmp_path / FOLDER).mkdir()
    assert len(journal({})) == 0


def test_what_a_full_disk_refused_is_told_once(journal, tmp_path):
    class Full:
        def seek(self, *_):
            return 0

        def write(self, _):
            return 0

        def flush(self):
            raise OSError(errno.ENOSPC, "No space left on device")

        close = flush

    made = journal({})
    made._stream.close()
    made._stream = Full()
    with pytest.raises(OutputError, match="The disk is full"):
        made.add(entry("a.png", tmp_path))
    made.close()
