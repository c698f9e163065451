from primaps.pipeline.commands import fit_again
from primaps.pipeline.fitting import _phases
from primaps.pipeline.opening import reopen


class Told:
    def __init__(self):
        self.heard = []

    def start(self, stage, total, done=0):
        self.heard.append((stage, total, done))

    def advance(self, steps=1):
        self.heard.append(steps)


def test_phases_become_parts_of_the_stage_when_they_begin():
    told = Told()
    tell = _phases(told)
    for phase, step, total in [
        ("pca", 0, 2),
        ("pca", 1, 2),
        ("pca", 2, 2),
        ("em", 0, 40),
        ("em", 1, 40),
        ("em", 3, 40),
    ]:
        tell(phase, step, total)
    assert told.heard == [("fit: pca", 2, 0), 1, 1, ("fit: em", 40, 0), 1, 2]


def test_what_an_earlier_run_did_is_no_progress_of_this_one():
    told = Told()
    tell = _phases(told)
    for step in (30, 31):
        tell("em", step, 40)
    assert told.heard == [("fit: em", 40, 30), 1]


def test_a_checkpoint_of_a_fit_that_was_killed_at_its_very_end_goes(named_run):
    left = named_run / "model" / "checkpoint.safetensors"
    left.write_bytes(b"of the last step")
    prototypes = (named_run / "model" / "prototypes.safetensors").read_bytes()
    fit_again(reopen(named_run, {}), None)
    assert not left.exists()
    assert (named_run / "model" / "prototypes.safetensors").read_bytes() == prototypes
