import importlib.util

import pytest

from primaps.errors import BackboneError
from primaps.pipeline import installation as doctor


def test_examine_runs_the_method():
    healthy, text = doctor.examine()
    assert healthy
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert {"primaps", "torch", "python", "cpu", "cuda", "mps", "disk", "skimage"} <= lines.keys()
    assert "proposals cover" in lines["small"]
    assert text.endswith("All is well.")


def test_what_does_not_work_is_told(monkeypatch):
    def broken(name, device):
        raise BackboneError("Expected a sound machine, but got smoke.")

    monkeypatch.setattr("primaps.pipeline.installation.load_backbone", broken)
    healthy, text = doctor.examine()
    assert not healthy
    assert "failed: Expected a sound machine, but got smoke." in text
    assert "All is well" not in text


@pytest.mark.parametrize(("spec", "word"), [(None, "not installed"), (object(), "installed")])
def test_optional_parts(spec, word, monkeypatch):
    monkeypatch.setattr(doctor, "_small_run", lambda: "skipped")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    lines = [
        line.split(None, 1)[1]
        for line in doctor.examine()[1].splitlines()
        if line.startswith(("skimage", "sklearn", "tensorb"))
    ]
    assert lines == [f"{word}: demo photographs (extra: demo)"] * 2 + [
        f"{word}: --tensorboard (extra: tensorboard)"
    ]
