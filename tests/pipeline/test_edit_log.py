import pytest

from primaps.errors import CheckpointError
from primaps.pipeline.edit_log import EditFiles, EditLog, Stand, Step, checksum
from primaps.runs.named_files import NamedFolder

STAND = Stand(1, "a", 0, "b", "m")


def step(number, kind="edit", words="", barrier=""):
    return Step(number, kind, words, STAND, STAND, barrier)


@pytest.fixture
def files(tmp_path):
    named = NamedFolder(tmp_path)
    named.write_classes("first\n")
    found = EditFiles(named)
    found.append(EditLog(), Step(0, "begin", "", found.stand("m"), found.stand("m")))
    return found


def begin(files, text, lines):
    before, said = files.stand("m"), files.named.read_corrections() + lines
    after = Stand(before.names, checksum(text), len(said), checksum(said), "m")
    files.begin(Step(1, "edit", "w", before, after), text, lines, names_first=False)


def test_what_can_be_taken_back_follows_from_the_lines():
    log = EditLog()
    for each in (step(0, "begin"), step(1), step(2), step(3, "undo"), step(4, "undo")):
        log.add(each)
    assert (log.revision, log.undoable(), log.redoable().number) == (4, None, 1)
    log.add(step(5, "redo"))
    assert (log.undoable().number, log.redoable().number) == (1, 2)
    log.add(step(6, "outside", barrier="because"))
    assert (log.undoable(), log.redoable()) == (None, None)


def test_lines_are_read_back(files):
    log = files.read()
    files.append(log, step(1, words="é"))
    assert files.read().steps == log.steps
    files.log.write_text("{}\n", "utf-8")
    with pytest.raises(CheckpointError, match="Move the file away"):
        files.read()


@pytest.mark.parametrize("written", ["nothing", "lines", "names", "both", "all"])
def test_a_change_is_finished_from_wherever_it_was_left(files, written):
    begin(files, "second\n", "line\n")
    pending = files.pending.read_bytes()
    if written in {"lines", "both"}:
        files.named.append_corrections("line\n")
    if written in {"names", "both"}:
        files.named.write_classes("second\n")
    if written == "all":
        files.finish()
        files.pending.write_bytes(pending)
    files.finish()
    assert files.named.read_classes() == "second\n"
    assert files.named.read_corrections() == "line\n"
    assert [each.number for each in files.read().steps] == [0, 1]
    assert files.read().steps[1].after.same(files.stand("m"))
    assert files.named.version(files.read().steps[1].after.names) == "second\n"
    assert not files.pending.exists()
    files.finish()
    assert files.read().revision == 1


def test_a_change_made_since_by_somebody_else_stays(files):
    begin(files, "second\n", "line\n")
    files.named.write_classes("theirs\n")
    files.finish()
    assert files.named.read_classes() == "theirs\n"
    assert files.named.read_corrections() == ""
    assert files.read().revision == 0
    assert not files.pending.exists()
