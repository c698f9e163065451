import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module", autouse=True)
def measures():
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))


def test_held_out_frames_are_the_last_quarter_of_every_sequence():
    from backbone_measures.crops import held_out

    names = (
        [f"b_{index:03}.png" for index in range(9)]
        + [f"a_{index:03}.png" for index in range(4)]
        + ["c_0.png"]
    )
    assert {names[index] for index in held_out(names)} == {"b_007.png", "b_008.png", "a_003.png"}


def test_crop_is_the_centre_of_the_short_side_at_320():
    from backbone_measures.crops import centre_crop

    image = np.zeros((360, 480, 3), np.uint8)
    image[:, 240:] = 255
    labels = (image[..., 0] > 0).astype(np.int64)
    cropped, truth = centre_crop(image, labels, 320)
    assert cropped.shape == (320, 320, 3)
    assert truth.shape == (320, 320)
    assert np.array_equal(truth[:, :158], np.zeros((320, 158)))
    assert np.array_equal(truth[:, 162:], np.ones((320, 158)))
    assert np.array_equal(cropped[:, [0, -1], 0], [[0, 255]] * 320)


def test_forward_reports_the_ratio_of_its_two_medians(monkeypatch):
    from backbone_measures import forward

    from primaps.heads.loading import load_backbone

    monkeypatch.setattr(forward, "SIZE", 96)
    result = forward.measure_forward(load_backbone("texture", device="cpu"), rounds=1)
    assert result["ratio"] == pytest.approx(result["reference_seconds"] / result["seconds"])
    assert result["ratio"] > 1


@pytest.mark.parametrize("preset", ["default", "fast"])
def test_settings_are_those_of_the_preset_but_for_what_is_asked(preset):
    from backbone_measures.segments import settings

    from primaps.config import preset_config

    own = preset_config(preset).proposals
    assert settings(None, crf=True, preset=preset).proposals == own
    changed = settings(0.5, crf=False, preset=preset).proposals
    assert (changed.threshold, changed.crf.iterations, changed.crf_scale) == (0.5, 0, own.crf_scale)
