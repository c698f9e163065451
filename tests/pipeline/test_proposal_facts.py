import numpy as np
import pytest

from primaps.errors import ImageError
from primaps.naming.regions import map_checksum
from primaps.outputs.label_files import write_label_map, write_proposals
from primaps.pipeline.proposal_facts import cluster_pixels, proposal_facts


def test_facts_follow_the_file(tmp_path):
    path, labels = tmp_path / "p.png", tmp_path / "l.png"
    ids, clusters = np.array([[0, 1], [3, 3]]), np.array([[2, 2], [0, 255]], np.uint8)
    write_proposals(path, ids, {})
    write_label_map(labels, clusters, {})
    facts = proposal_facts(path)
    assert (facts.checksum, facts.present) == (map_checksum(ids), {1, 3})
    pairs = cluster_pixels(path, labels)
    assert pairs.shape == (4, 256)
    assert {tuple(map(int, each)): int(pairs[tuple(each)]) for each in np.argwhere(pairs)} == {
        (0, 2): 1,
        (1, 2): 1,
        (3, 0): 1,
        (3, 255): 1,
    }
    write_proposals(path, ids[::-1], {})
    assert proposal_facts(path).checksum == map_checksum(ids[::-1])
    assert cluster_pixels(path, labels)[3, 2] == 2


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ImageError, match="to be a label image"):
        proposal_facts(tmp_path / "p.png")
