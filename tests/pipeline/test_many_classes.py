"""A number of classes that is large for the photographs is told, and fitted all the same."""

import dataclasses

import pytest

from primaps import pipeline
from primaps.pipeline.naming_after_fit import fit_and_name
from primaps.pipeline.number_of_classes import FEW_EACH
from primaps.progress import Silent


class Told(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.mark.parametrize("many", [True, False])
def test_many_classes_for_few_proposals_are_told(
    photographs, texture, small_config, tmp_path, many
):
    told = Told()
    run = pipeline.open_run(
        [photographs / "p0.png", photographs / "p1.png"],
        tmp_path / "run",
        texture,
        small_config,
        stages=pipeline.PROPOSAL_STAGES,
        progress=told,
    )
    pipeline.proposals(run)
    number = sum(run.store.info(image.name).num_masks for image in run.images)
    classes = number // FEW_EACH + 1 if many else max(2, number // FEW_EACH)
    run.config = dataclasses.replace(run.config, num_clusters=classes)
    fit_and_name(run)
    notes = [note for note in told.notes if "classes are many for 2 photographs" in note]
    assert len(notes) == many
    assert all(f"with {number} proposals" in note for note in notes)
