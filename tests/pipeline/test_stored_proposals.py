import pytest
import torch

from primaps import pipeline
from primaps.errors import DatasetError
from primaps.pipeline.stored_proposals import proposals_in, read_proposals


def test_all_proposals_of_a_run_with_image_and_id(finished_run):
    run = pipeline.reopen(finished_run, {})
    stored = read_proposals(run)
    assert stored.images == ("0.png", "2.png", "sub/1.png", "sub/3.png")
    assert torch.allclose(stored.unit.norm(dim=1), torch.ones(len(stored.unit)))
    for name, row in stored.rows().items():
        assert stored.name(row) == name
    for image in stored.images:
        ids = [number for name, number in stored.rows() if name == image]
        known = run.store.proposals(image).unique().tolist()
        assert ids == sorted(ids)
        assert set(ids) <= set(known) - {0}
    assert stored.token_norm > 0


def test_wanted_images_come_in_any_case(finished_run):
    run = pipeline.reopen(finished_run, {"max_proposals": 1})
    assert read_proposals(run, {"sub/3.png"}).images == ("sub/3.png",)
    assert len(read_proposals(run).images) == 1
    assert read_proposals(run).images == read_proposals(run).images


def test_no_proposal_is_an_error(finished_run):
    run = pipeline.reopen(finished_run, {})
    with pytest.raises(DatasetError, match="Expected mask proposals"):
        proposals_in(run.store, [])
