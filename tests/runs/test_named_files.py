import multiprocessing
import os
import sys
import threading
import time

import pytest

from primaps.errors import CheckpointError, ConfigError, OutputError
from primaps.runs import named_files
from primaps.runs.named_files import LOCK_NAME, NamedFolder

FORKING = pytest.mark.skipif(sys.platform == "win32", reason="locks are not enforced there")


@pytest.fixture
def named(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    return NamedFolder.find(tmp_path)


def history(named):
    return {path.name: path.read_text() for path in named.history.glob("*")}


def test_names_are_found_for_runs_and_models(tmp_path):
    run, alone = tmp_path / "run", tmp_path / "model"
    (run / "model").mkdir(parents=True)
    alone.mkdir()
    with pytest.raises(CheckpointError, match=r"neither run\.json nor model\.json"):
        NamedFolder.find(alone)
    (run / "run.json").touch()
    (alone / "model.json").touch()
    assert NamedFolder.find(run).root == NamedFolder.find(run / "model").root == run
    assert NamedFolder.find(alone).root == alone
    assert NamedFolder.of_model(tmp_path / "new").root == tmp_path / "new"


def test_every_version_is_kept(named):
    assert named.read_classes() is None
    for text in ("one", "two", "two"):
        named.write_classes(text)
    named.classes.write_text("by hand")
    named.write_classes("three")
    assert named.read_classes() == "three"
    versions = {"0001.yaml": "one", "0002.yaml": "two", "0003.yaml": "by hand"}
    assert history(named) == {**versions, "0004.yaml": "three"}
    assert not list(named.root.rglob("*.primaps-tmp"))


def test_copies_are_told_from_what_was_changed_since(named):
    named.write_classes("from elsewhere", copied=True)
    assert named.unchanged_copy()
    assert set(history(named)) == {"0001-from-model.yaml"}
    named.classes.write_text("by hand")
    assert not named.unchanged_copy()
    named.write_classes("x")
    assert not named.unchanged_copy()
    assert set(history(named)) == {"0001-from-model.yaml", "0002.yaml", "0003.yaml"}


def test_the_model_within_a_run_has_a_copy(named):
    model = named.root / "model"
    model.mkdir()
    (model / "model.json").touch()
    named.write_classes("one")
    assert (model / "classes.yaml").read_text() == "one"
    named.classes.write_text("by hand")
    named.refresh_copies()
    assert (model / "classes.yaml").read_text() == "by hand"


def test_corrections_grow_at_the_end(named):
    assert named.read_corrections() == ""
    named.append_corrections("a\n")
    named.corrections.write_text("a\nby hand")
    named.append_corrections("b\n")
    assert named.read_corrections() == "a\nby hand\nb\n"


def test_other_encodings_are_refused_and_kept(named):
    named.classes.write_bytes("Straße".encode("latin-1"))
    with pytest.raises(ConfigError, match="UTF-8"):
        named.read_classes()
    named.write_classes("new")
    assert (named.history / "0001.yaml").read_bytes() == "Straße".encode("latin-1")
    named.classes.write_bytes(b"\xef\xbb\xbfmarked")
    assert named.read_classes() == "marked"


def append_often(root, letter, times):
    named = NamedFolder(root)
    for _ in range(times):
        with named.lock():
            named.append_corrections(f"{letter}\n")


def test_threads_wait_for_each_other(named):
    threads = [threading.Thread(target=append_often, args=(named.root, each, 5)) for each in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(named.read_corrections().split()) == sorted("abcd" * 5)


@FORKING
def test_processes_wait_for_each_other(named):
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=append_often, args=(named.root, each, 8)) for each in "ab"]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert sorted(named.read_corrections().split()) == sorted("ab" * 8)


def hold_for_ever(root, held):
    with NamedFolder(root).lock():
        held.set()
        time.sleep(60)


@FORKING
def test_a_killed_process_leaves_no_lock(named):
    context = multiprocessing.get_context("fork")
    held = context.Event()
    other = context.Process(target=hold_for_ever, args=(named.root, held))
    other.start()
    assert held.wait(20)
    with pytest.raises(OutputError, match="another command has been at it"), named.lock(0.1):
        pass
    other.kill()
    other.join()
    with named.lock(5):
        assert (named.root / LOCK_NAME).exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the folder can be written")
def test_a_read_only_folder_is_an_error(named):
    named.root.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="allowed to write"), named.lock():
            pass
    finally:
        named.root.chmod(0o700)


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_write_that_fails_leaves_the_names_to_be_said_again(tmp_path, monkeypatch, writes):
    (tmp_path / "model").mkdir()
    for name in ("run.json", "model/model.json"):
        (tmp_path / name).write_text("{}")
    named = NamedFolder(tmp_path)
    with named.lock():
        named.write_classes("first\n")
    real, left = named_files.atomic_write, writes

    def failing(path, data):
        nonlocal left
        left -= 1
        if left == -1:
            raise OutputError("The disk is full")
        real(path, data)

    with monkeypatch.context() as patch, named.lock():
        patch.setattr(named_files, "atomic_write", failing)
        if writes == 3:  # history, copy, names
            named.write_classes("second\n")
        else:
            with pytest.raises(OutputError, match="full"):
                named.write_classes("second\n")
    expected = "second\n" if writes == 3 else "first\n"
    assert named.read_classes() == expected
    assert [copy.read_text() for copy in named.copies] == [expected]
