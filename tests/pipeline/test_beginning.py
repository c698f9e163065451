import pytest

from primaps.errors import BackboneError, ConfigError
from primaps.pipeline import PROPOSAL_STAGES
from primaps.pipeline.beginning import Choice, begin
from primaps.progress import Silent
from primaps.runs.store import release

FAST = {"features.size": 64}


def test_settings_are_those_given_then_the_preset_s(tmp_path):
    """Where EM starts is the choice of the backbone, unless somebody says."""
    config = Choice({"seed": 3}, "fast", "texture").config(tmp_path / "run", Silent())
    assert (config.preset, config.seed, config.num_clusters) == ("fast", 3, 27)
    assert config.fit.initialise == "pca"
    few = Choice({}, backbone="mini", num_clusters=12).config(tmp_path / "run", Silent())
    assert (few.preset, few.num_clusters, few.fit.initialise) == ("default", 12, "proposals")
    given = Choice({"num_clusters": 4}, num_clusters=12).config(tmp_path / "run", Silent())
    assert given.num_clusters == 4


def test_the_backbone_is_the_heads_unless_one_is_named(texture_head):
    chosen = Choice(head=texture_head, head_dropout=True, device="cpu")
    extractor = chosen.extractor(None, Silent())
    assert extractor.name.startswith("texture with a head")
    assert (extractor.dim, extractor.inference_dropout) == (6, True)
    assert Choice(backbone="texture", device="cpu").extractor(None, Silent()).name == "texture"


def test_a_run_is_open_and_claimed(photographs, tmp_path):
    choice, out = Choice(FAST, backbone="texture", device="cpu"), tmp_path / "run"
    run = begin([photographs], out, choice, stages=PROPOSAL_STAGES, progress=Silent())
    release(out)
    assert (len(run.images), run.backbone.name, run.config.features.size) == (5, "texture", 64)
    other = Choice({"features.size": 96}, backbone="texture", device="cpu")
    with pytest.raises(ConfigError, match=r"features\.size: 64 -> 96"):
        begin([photographs], out, other, stages=PROPOSAL_STAGES, progress=Silent())
    begin([photographs], out, other, stages=PROPOSAL_STAGES, overwrite=True, progress=Silent())
    release(out)


def test_settings_come_before_the_backbone(photographs, tmp_path):
    wrong = Choice({"num_clusters": 1}, backbone="textur", device="cpu")
    with pytest.raises(ConfigError, match="between 2 and 254"):
        begin([photographs], tmp_path / "run", wrong, progress=Silent())
    with pytest.raises(BackboneError, match="Did you mean 'texture'"):
        begin([photographs], tmp_path / "run", Choice(backbone="textur"), progress=Silent())
