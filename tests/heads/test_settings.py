import dataclasses

import pytest

from primaps.errors import ConfigError
from primaps.heads.crops import CropConfig
from primaps.heads.settings import HP_PRESETS, STEGO_PRESETS, hp_preset, stego_preset


def published(config):
    switches = config.switches
    return (
        *(config.weight_random, config.weight_neighbour, config.weight_self),
        *(switches.shift_random, switches.shift_neighbour, switches.shift_self),
        *(config.dim, switches.pointwise, config.batch_size, config.steps, config.crops.mode),
    )


def test_published_settings_of_stego():
    assert published(stego_preset("cocostuff")) == (
        *(0.1538476246415498, 1, 0.1, 1, 0.2, 0.12),
        *(90, True, 32, 7000, "five"),
    )
    assert published(stego_preset("cocostuff-vits8")) == (
        0.63,
        0.25,
        0.67,
        0.66,
        0.02,
        0.08,
        70,
        True,
        16,
        5000,
        "five",
    )
    assert published(stego_preset("cityscapes")) == (
        *(
            0.9058762625226623,
            0.577453483136995,
            1,
            0.31361241889448443,
            0.1754346515479633,
            0.45828472207,
        ),
        *(100, False, 32, 7000, "five"),
    )
    assert published(stego_preset("potsdam")) == (
        0.63,
        0.25,
        0.67,
        0.76,
        0.02,
        0.08,
        70,
        True,
        16,
        5000,
        "whole",
    )
    common = stego_preset("potsdam")
    assert (common.samples, common.negatives, common.num_neighbours) == (11, 5, 7)
    assert (common.learning_rate, common.cluster_learning_rate, common.dropout) == (5e-4, 5e-3, 0.1)
    assert (common.switches.zero_clamp, common.switches.stabilize) == (True, False)
    assert (common.crops.resolution, common.crops.resample) == (224, "nearest")


def test_published_settings_of_hp():
    rows = {
        name: (
            *(
                config.dim,
                config.temperature,
                config.consistency_weight,
                config.kept,
                config.pool_size,
                config.momentum,
            ),
            *(
                config.warmup,
                config.renew_every,
                config.epochs,
                config.crops.mode,
                config.batch_size,
                config.crops.resolution,
            ),
        )
        for name in ("cityscapes", "cocostuff", "potsdam")
        for config in [hp_preset(name)]
    }
    assert rows == {
        "cityscapes": (512, 0.6, 0.05, 0.02, 2048, 0.999, 50, 20, 30, "five", 64, 224),
        "cocostuff": (512, 0.8, 0.05, 0.02, 2048, 0.99, 1000, 100, 3, "five", 64, 224),
        "potsdam": (256, 0.4, 0.0, 1.0, 1024, 0.999, 100, 20, 10, "whole", 64, 224),
    }
    common = hp_preset("cityscapes")
    assert (
        common.learning_rate,
        common.weight_decay,
        common.cluster_learning_rate,
        common.clip,
    ) == (5e-4, 0.1, 5e-3, 10.0)
    assert common.clamp_jitter
    assert common.photometric_views is None


def test_steps_of_hp_follow_from_epochs():
    assert hp_preset("cityscapes").num_steps(14875) == 6960
    assert hp_preset("cocostuff").num_steps(488510) == 22896
    assert hp_preset("potsdam").num_steps(4545) == 710
    assert hp_preset("cityscapes").num_steps(3) == 30
    assert hp_preset("cityscapes").with_steps(5).num_steps(14875) == 5


@pytest.mark.parametrize("name", STEGO_PRESETS)
def test_stego_presets_carry_their_name(name):
    assert stego_preset(name).refit_centres == (name == "default")
    assert stego_preset(name).preset == name
    assert stego_preset(name).with_steps(3).num_steps(100) == 3


@pytest.mark.parametrize("name", HP_PRESETS)
def test_hp_presets_carry_their_name(name):
    assert hp_preset(name).preset == name
    assert hp_preset(name).refit_centres == hp_preset(name).unit_scale == (name == "default")


@pytest.mark.parametrize("preset", [stego_preset, hp_preset])
def test_unknown_presets_are_refused_with_a_hint(preset):
    with pytest.raises(ConfigError, match="Did you mean 'cityscapes'"):
        preset("cityscape")


@pytest.mark.parametrize(
    ("preset", "changes", "text"),
    [
        (stego_preset, {"batch_size": 1}, "batch_size to be 2 or more"),
        (stego_preset, {"steps": 0}, "steps to be 1 or more"),
        (stego_preset, {"learning_rate": 0.0}, "learning_rate to be positive"),
        (stego_preset, {"dropout": 1.0}, "dropout to be a probability"),
        (hp_preset, {"temperature": 0.0}, "temperature to be positive"),
        (hp_preset, {"kept": 1.5}, "kept to be between 0 and 1"),
        (hp_preset, {"steps": 0}, "steps to be 1 or more"),
        (hp_preset, {"photometric_views": 0}, "photometric_views to be 1 or more"),
    ],
)
def test_values_out_of_range_are_refused(preset, changes, text):
    with pytest.raises(ConfigError, match=text):
        dataclasses.replace(preset("default"), **changes)


@pytest.mark.parametrize(
    "changes", [{"mode": "ten"}, {"resample": "cubic"}, {"fraction": 0.0}, {"resolution": 0}]
)
def test_crops_out_of_range_are_refused(changes):
    with pytest.raises(ConfigError, match="Expected"):
        CropConfig(**changes)
