import pytest

from primaps.errors import ConfigError
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
