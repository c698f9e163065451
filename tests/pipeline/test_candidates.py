import json

import pytest

from primaps.errors import CheckpointError, ConfigError
from primaps.pipeline.candidates import Candidate, CandidateFolder


def test_what_is_written_is_read_back(tmp_path):
    folders = CandidateFolder(tmp_path)
    candidate = Candidate(3, ("sky", "tree"), {11: 0, 4: 1}, 20, "abc")
    folders.write(candidate)
    assert folders.read(3) == candidate
    assert folders.numbers() == [3]
    assert folders.next_number() == 4
    assert candidate.record() == {"classes": ["sky", "tree"], "clicks": 20, "candidate": 3}


def test_unknown_and_unfinished_candidates_are_none(tmp_path):
    folders = CandidateFolder(tmp_path)
    folders.of(1).mkdir(parents=True)
    assert folders.next_number() == 1
    with pytest.raises(ConfigError, match=r"\(none\), but got 1"):
        folders.read(1)


def test_older_records_are_candidates_with_names(tmp_path):
    folders = CandidateFolder(tmp_path)
    folders.write(Candidate(1, ("sky",), {}, 20, "abc", "split", {4: 0}))
    assert folders.read(1).back == {4: 0}
    path = folders.of(1) / "candidate.json"
    record = json.loads(path.read_text("utf-8"))
    del record["kind"], record["back"]
    path.write_text(json.dumps(record), "utf-8")
    assert (folders.read(1).kind, folders.read(1).back) == ("names", {})


def test_a_removed_candidate_is_gone_with_its_files(tmp_path):
    folders = CandidateFolder(tmp_path)
    for number in (1, 2):
        folders.write(Candidate(number, ("sky",), {}, 20, "abc"))
    (folders.folder / ".removed-7-left").mkdir()  # of a removal that was killed
    folders.remove(1, accepted=[2])
    assert [path.name for path in folders.folder.iterdir()] == ["2"]
    with pytest.raises(ConfigError, match="but got 1"):
        folders.remove(1, accepted=[2])
    with pytest.raises(ConfigError, match="not accepted, but 2 is"):
        folders.remove(2, accepted=[2])
    folders.plan.write_text("{}", "utf-8")
    with pytest.raises(ConfigError, match="stopped halfway"):
        folders.remove(2, accepted=[])
    assert folders.numbers() == [2]


@pytest.mark.parametrize("text", ['{"classes": []}', '{"classes": 3, "moves": {}}', "[]"])
def test_a_damaged_record_is_said_to_be(tmp_path, text):
    folders = CandidateFolder(tmp_path)
    folders.of(2).mkdir(parents=True)
    (folders.of(2) / "candidate.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"candidate\.json"):
        folders.read(2)
