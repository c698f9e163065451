"""Files that are replaced all together: after errors and kills at every move the folder is as it
was.
"""

from pathlib import Path

import pytest

from primaps.errors import OutputError
from primaps.pipeline import replacing as module
from primaps.pipeline.replacing import replacing

NAMES = ("weights", "a.tensors", "a.json", "b.json")
MOVES = 6  # weights, a.tensors and b.json aside; a.tensors, a.json and weights into place


class KilledError(BaseException):
    pass


@pytest.fixture
def folder(tmp_path):
    """Holds three of the files and one that is none of them."""
    root = tmp_path / "out"
    root.mkdir()
    for name in ("weights", "a.tensors", "b.json", "own.txt"):
        (root / name).write_text(f"old {name}")
    return root


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def make(folder, error=None):
    with replacing(folder, NAMES, kept={"weights"}) as made:
        for name in ("weights", "a.tensors", "a.json"):
            (made / name).write_text(f"new {name}")
        if error is not None:
            raise error


def break_move(monkeypatch, number, error):
    """Moving fails at this one and, as the process has ended, so to speak, at all later ones; JSON
    is still written.
    """
    done, real = [], Path.replace

    def replace(source, target):
        if target.name == "moves.json":
            return real(source, target)
        done.append(target)
        if len(done) == number or (len(done) > number and isinstance(error, KilledError)):
            raise error
        return real(source, target)

    monkeypatch.setattr(Path, "replace", replace)


def test_what_was_made_takes_the_place_of_all_names(folder):
    make(folder)
    assert content(folder) == {name: f"new {name}" for name in NAMES[:3]} | {
        "own.txt": "old own.txt"
    }
    assert not [path for path in folder.iterdir() if path.is_dir()]


def test_a_file_that_is_kept_stays_if_none_is_made_in_its_place(folder):
    with replacing(folder, NAMES, kept={"weights"}) as made:
        (made / "a.json").write_text("new")
    assert content(folder) == {"weights": "old weights", "a.json": "new", "own.txt": "old own.txt"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_failure_while_files_are_made_changes_nothing(error, folder):
    before = content(folder)
    with pytest.raises(error):
        make(folder, error)
    assert content(folder) == before
    assert len(list(folder.iterdir())) == len(before)


@pytest.mark.parametrize("number", range(1, MOVES + 1))
def test_a_failure_at_any_move_puts_everything_back(number, folder, monkeypatch):
    before = content(folder)
    for error, raised in (
        (PermissionError("no"), OutputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ):
        with monkeypatch.context() as patched:
            break_move(patched, number, error)
            with pytest.raises(raised):
                make(folder)
        assert content(folder) == before
        assert len(list(folder.iterdir())) == len(before)


@pytest.mark.parametrize("number", range(1, MOVES + 1))
def test_after_a_kill_at_any_move_the_next_one_puts_everything_back_first(
    number, folder, monkeypatch
):
    before = content(folder)
    with monkeypatch.context() as patched:
        break_move(patched, number, KilledError())
        patched.setattr(module, "_undo", lambda *_: None)
        with pytest.raises(KilledError):
            make(folder)
    assert content(folder) == before if number == 1 else content(folder) != before
    with pytest.raises(ValueError, match="again"):
        make(folder, ValueError("again"))
    assert content(folder) == before
    make(folder)
    assert content(folder) == {name: f"new {name}" for name in NAMES[:3]} | {
        "own.txt": "old own.txt"
    }


def test_what_a_killed_process_made_does_not_come_into_place(folder):
    hidden = folder / ".new.primaps-tmp" / "made"
    hidden.mkdir(parents=True)
    (hidden / "b.json").write_text("half")
    make(folder)
    assert "b.json" not in content(folder)


def test_a_folder_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="something else"):
        make(tmp_path / "out")
