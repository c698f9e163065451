import dataclasses
import json

import numpy as np
import pytest

from primaps.config import (
    IMPLIED,
    PRESETS,
    Config,
    FitConfig,
    InputConfig,
    PredictConfig,
    ProposalConfig,
    comparable,
    differences,
    from_dict,
    from_record,
    part_from_record,
    preset_config,
    to_dict,
    with_settings,
)
from primaps.errors import ConfigError


@pytest.mark.parametrize("preset", ["default", "paper", "fast"])
def test_presets_survive_the_round_trip(preset):
    config = preset_config(preset)
    assert config.preset == preset
    assert from_dict(to_dict(config)) == config


def test_paper_constants():
    paper = preset_config("paper")
    assert paper.proposals.official_order
    assert paper.proposals.stop_fraction == 0.95
    assert (paper.fit.epochs, paper.fit.kmeans_epochs, paper.fit.batch_size) == (50, 2, 32)
    assert (
        paper.fit.learning_rate,
        paper.fit.focal_gamma,
        paper.fit.momentum,
        paper.fit.teacher_every,
    ) == (5e-3, 2.0, 0.98, 10)
    assert (paper.fit.pixels_per_image, paper.fit.vote_stride) == (None, 1)
    # Cityscapes: 2975 images are 92 full batches, 50 epochs of them are the published schedule.
    assert paper.fit.main_steps(2975) == 50 * 92
    assert paper.fit.kmeans_steps(2975) == 2 * 92
    assert (paper.fit.em_learning_rate, paper.fit.min_agreement, paper.fit.feature_norm) == (
        5e-3,
        0.0,
        None,
    )
    assert (paper.fit.initialise, paper.fit.em_on, paper.fit.proposal_weight) == (
        "pca",
        "pixels",
        1.0,
    )
    assert not paper.fit.soft_votes
    assert (paper.features.flip, paper.features.photometric_views) == (True, 2)
    assert (paper.proposals.crf_scale, paper.predict.crf_scale) == (1.0, 1.0)


def test_unknown_preset_suggests_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'paper'"):
        preset_config("papr")


def test_unknown_setting_suggests_the_nearest():
    with pytest.raises(ConfigError, match=r"Unknown setting 'fit.epoch'. Did you mean 'epochs'"):
        from_dict({"fit": {"epoch": 3}})


@pytest.mark.parametrize("number", [0, 1, 255, -3])
def test_number_of_classes_is_checked(number):
    with pytest.raises(ConfigError, match=f"between 2 and 254, but got {number}"):
        Config(num_clusters=number)


def test_seed_is_checked():
    with pytest.raises(ConfigError, match="seed to be a whole number from 0 on, but got -1"):
        Config(seed=-1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": 0.0}, "cosine similarity"),
        ({"threshold": 1.5}, "cosine similarity"),
        ({"min_area": -1}, "min_area"),
        ({"max_masks": 0}, "max_masks"),
        ({"crf_scale": 0.0}, "crf_scale"),
        ({"crf_scale": 1.5}, "crf_scale"),
    ],
)
def test_proposal_settings_are_checked(change, message):
    with pytest.raises(ConfigError, match=message):
        Config(proposals=dataclasses.replace(ProposalConfig(), **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crf_scale": 0.0}, r"crf_scale to be a fraction in \(0, 1\], but got 0.0"),
        ({"crf_scale": 2.0}, "but got 2.0"),
        ({"max_pixels": 1023}, "max_pixels to be 1024 or more, but got 1023"),
    ],
)
def test_settings_of_label_maps_are_checked(change, message):
    with pytest.raises(ConfigError, match=message):
        Config(predict=dataclasses.replace(PredictConfig(), **change))


def test_steps_scale_with_the_folder_within_bounds():
    config = FitConfig(em_on="pixels", batch_size=32, epochs=50, min_steps=300, max_steps=1500)
    assert config.main_steps(1) == 300
    assert config.main_steps(367) == 50 * 11
    assert config.main_steps(100_000) == 1500
    assert config.kmeans_steps(1) == 300


def test_steps_on_proposals_are_fixed():
    config = FitConfig(
        proposal_steps=70, teacher_every=10, checkpoint_every=100, min_steps=20, max_steps=None
    )
    for start in ("proposals", "head"):
        chosen = dataclasses.replace(config, initialise=start)
        assert (chosen.on_proposals, chosen.main_steps(5), chosen.main_steps(100_000)) == (
            True,
            70,
            70,
        )
        assert chosen.snapshot_distance == 10
    assert dataclasses.replace(config, checkpoint_every=4).snapshot_distance == 4
    alone = config.with_method("clusters")
    assert (alone.on_proposals, alone.main_steps(5)) == (True, 0)
    for other in ({"initialise": "pca"}, {"em_on": "pixels"}, {"method": "baseline"}):
        chosen = dataclasses.replace(config, epochs=30, baseline_epochs=30, **other)
        assert not chosen.on_proposals
        assert (chosen.snapshot_distance, chosen.main_steps(367)) == (100, 30 * 11)


def test_differences_name_every_leaf():
    old, new = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 5}, "e": 4}
    assert differences(old, new) == ["a.c: 2 -> 5", "d: 3 -> None", "e: None -> 4"]
    assert differences(old, old) == []


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("features", {"framing": "square"}, "framing to be one of whole, centre-crop"),
        ("protocol", {"interpolation": "cubic"}, "interpolation to be one of pillow, tensor"),
    ],
)
def test_framing_is_checked(part, change, message):
    config = Config()
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(config, **{part: dataclasses.replace(getattr(config, part), **change)})


def test_only_preset_paper_interpolates_as_the_official_validation():
    assert [preset_config(name).protocol.interpolation for name in PRESETS] == [
        "pillow",
        "tensor",
        "pillow",
    ]
    assert all(preset_config(name).features.framing == "whole" for name in PRESETS)


# ---- settings that were added later, and settings that are given ---------------------------------


@pytest.fixture
def added(monkeypatch):
    """Pretend that two settings are new, and what earlier versions did is not the default."""
    monkeypatch.setitem(IMPLIED, "fit.vote_stride", 4)
    monkeypatch.setitem(IMPLIED, "proposals.crf.iterations", 3)


def test_records_mean_what_was_before_a_setting_existed(added):
    values = to_dict(preset_config("paper"))
    del values["fit"]["vote_stride"], values["proposals"]["crf"]["iterations"]
    old = from_record(values)
    assert (old.fit.vote_stride, old.proposals.crf.iterations) == (4, 3)
    assert (from_dict(values).fit.vote_stride, from_dict(values).proposals.crf.iterations) == (
        1,
        10,
    )
    del values["proposals"], values["fit"]
    assert (from_record(values).fit.vote_stride, from_record(values).proposals.crf.iterations) == (
        4,
        3,
    )
    assert part_from_record("fit", {}).vote_stride == 4
    assert from_record(to_dict(preset_config("paper"))) == preset_config("paper")
    with pytest.raises(ConfigError, match=r"Unknown setting 'fit\.epoch'"):
        from_record({"fit": {"epoch": 3}})


def test_comparisons_leave_out_what_is_as_before(added):
    config = with_settings(Config(), {"fit.vote_stride": 4, "proposals.crf.iterations": 3})
    assert "vote_stride" not in comparable(config.fit, "fit")
    assert "iterations" not in comparable(config.proposals, "proposals")["crf"]
    later = {
        name.removeprefix("fit.") for name, value in IMPLIED.items() if name.startswith("fit.")
    }
    config = with_settings(config, {f"fit.{name}": IMPLIED[f"fit.{name}"] for name in later})
    assert later > {"vote_stride", "em_on"}
    assert comparable(config.fit, "fit").keys() == to_dict(config)["fit"].keys() - later
    present = comparable(Config().fit, "fit")
    assert present.items() <= to_dict(Config())["fit"].items()
    assert present.keys() >= {"vote_stride", "em_on", "soft_votes", "epochs"}, (
        "these are not as before"
    )
    assert differences({"vote_stride": 4}, {}, "fit.") == []
    assert differences({}, {"vote_stride": 1}, "fit.") == ["fit.vote_stride: 4 -> 1"]


def test_records_of_before_soft_votes_mean_hard_ones():
    assert (FitConfig().soft_votes, FitConfig().proposal_steps) == (True, 150)
    values = to_dict(Config())
    del values["fit"]["soft_votes"]
    old = from_record(values)
    assert old.fit == dataclasses.replace(FitConfig(), soft_votes=False)
    assert "soft_votes" not in comparable(old.fit, "fit")
    assert comparable(Config().fit, "fit")["soft_votes"] is True
    assert from_record(to_dict(Config())) == Config()


def test_given_settings_replace_those_of_their_names():
    config = with_settings(
        preset_config("paper"), {"num_clusters": 5, "fit.epochs": 2, "proposals.crf.iterations": 0}
    )
    assert (config.num_clusters, config.fit.epochs, config.proposals.crf.iterations) == (5, 2, 0)
    assert config.preset == "paper"
    assert with_settings(config, {}) == config
    with pytest.raises(ConfigError, match="Did you mean 'epochs'"):
        with_settings(config, {"fit.epoch": 2})
    with pytest.raises(ConfigError, match="between 2 and 254"):
        with_settings(config, {"num_clusters": 1})


def test_two_methods_have_one_start_unless_they_start_from_a_head():
    other = dataclasses.replace(FitConfig(), initialise="proposals")
    assert (
        dataclasses.replace(other, initialise="pca").with_method("clusters").initialise
        == "proposals"
    )
    assert other.with_method("baseline").initialise == "pca"
    assert other.with_method("em").initialise == "proposals"
    assert (
        dataclasses.replace(other, initialise="head").with_method("baseline").initialise == "head"
    )
    assert (
        with_settings(Config(), {"fit.method": "baseline", "fit.initialise": "head"}).fit.initialise
        == "head"
    )
    assert with_settings(Config(fit=other), {"fit.method": "baseline"}).fit.initialise == "pca"


@pytest.mark.parametrize(("method", "start"), [("baseline", "proposals"), ("clusters", "pca")])
def test_a_method_refuses_a_start_that_it_does_not_have(method, start):
    with pytest.raises(
        ConfigError, match=f"'{method}' to start in its own way or from a head, but got '{start}'"
    ):
        with_settings(preset_config("default"), {"fit.method": method, "fit.initialise": start})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"value_range": "all"}, "auto, dtype, or two numbers"),
        ({"value_range": (5, 5)}, "LOW below HIGH"),
        ({"value_range": (0, float("nan"))}, "two numbers"),
        ({"bands": (1, 2)}, "three numbers from 1 on"),
        ({"bands": (0, 1, 2)}, "three numbers from 1 on"),
        ({"pages": "second"}, "pages to be one of first, all"),
        ({"megapixels": 0}, "megapixels to be 1 or more"),
    ],
)
def test_inputs_out_of_range(values, text):
    with pytest.raises(ConfigError, match=text):
        InputConfig(**values)


def test_inputs_as_json_has_them():
    given = InputConfig((0, 9), (3, 2, 1), "all", 200, (("uint16", 0, 4095),))
    record = json.loads(json.dumps(to_dict(Config(inputs=given))))
    assert from_record(record).inputs == given
    del record["inputs"]
    assert from_record(record).inputs == InputConfig()


@pytest.mark.parametrize(
    ("part", "settings", "message"),
    [
        (ProposalConfig, {"threshold": "0.4"}, "threshold to be a number, but got '0.4'"),
        (ProposalConfig, {"max_masks": "3"}, "max_masks to be a whole number, but got '3'"),
        (ProposalConfig, {"official_order": "no"}, "official_order to be True or False"),
        (ProposalConfig, {"crf": 3}, r"crf to be a primaps\.config\.CRFConfig, but got 3"),
        (FitConfig, {"method": "cluster"}, r"got 'cluster'\. Did you mean 'clusters'\?"),
        (PredictConfig, {"unknown_below": None}, "unknown_below to be a number, but got None"),
        (InputConfig, {"megapixels": 1.5}, "megapixels to be a whole number"),
        (Config, {"seed": "0"}, "seed to be a whole number, but got '0'"),
    ],
)
def test_other_types_are_refused_by_their_name(part, settings, message):
    with pytest.raises(ConfigError, match=message):
        part(**settings)


def test_numbers_of_numpy_become_those_that_json_holds():
    config = Config(
        num_clusters=np.int64(5), predict=PredictConfig(crf=np.bool_(1), crf_scale=np.float32(0.5))
    )
    plain = Config(num_clusters=5, predict=PredictConfig(crf=True, crf_scale=0.5))
    assert json.loads(json.dumps(to_dict(config))) == json.loads(json.dumps(to_dict(plain)))
