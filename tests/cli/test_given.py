import pytest

from primaps.cli.given import given_settings, preset_settings
from primaps.errors import ConfigError


def test_what_was_left_out_is_not_given():
    given = given_settings(classes=5, seed=0, size=None, crf=False, method="em", init="pca")
    assert given == {
        "num_clusters": 5,
        "seed": 0,
        "predict.crf": False,
        "fit.method": "em",
        "fit.initialise": "pca",
    }


@pytest.mark.parametrize(("text", "value"), [("auto", None), ("0.7", 0.7), ("1", 1.0)])
def test_a_threshold_is_auto_or_a_number(text, value):
    assert given_settings(threshold=text) == {"proposals.threshold": value}


@pytest.mark.parametrize(("text", "value"), [("auto", None), ("7", 7), (7, 7)])
def test_classes_are_auto_or_a_number(text, value):
    assert given_settings(classes=text) == {"num_clusters": value}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"method": "emm"},
            r"Expected --method to be em, clusters or baseline.* Did you mean 'em'",
        ),
        ({"init": "random"}, "Expected --init to be proposals, pca or head, but got 'random'"),
        ({"classes": "many"}, "Expected --classes to be auto, or a whole number from 2 to 254"),
        ({"threshold": "high"}, "Expected --threshold to be auto, or a cosine similarity"),
    ],
)
def test_wrong_words_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        given_settings(**options)


def test_presets_take_what_was_given():
    assert preset_settings(None, {"num_clusters": 5}).num_clusters == 5
    assert preset_settings("paper", {}).preset == "paper"
    with pytest.raises(ConfigError, match="Did you mean 'paper'"):
        preset_settings("papr", {})
    with pytest.raises(ConfigError, match="between 2 and 254"):
        preset_settings(None, {"num_clusters": 1})


@pytest.mark.parametrize(
    ("text", "value"), [("auto", "auto"), ("dtype", "dtype"), ("0,3000", (0.0, 3000.0))]
)
def test_ranges(text, value):
    assert given_settings(value_range=text) == {"inputs.value_range": value}


def test_bands_pages_and_megapixels():
    given = given_settings(bands="4,3,2", pages="all", max_megapixels=300)
    assert given == {"inputs.bands": (4, 3, 2), "inputs.pages": "all", "inputs.megapixels": 300}


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("value_range", "3000", "--range to be auto, dtype, or two numbers such as 0,3000"),
        ("value_range", "a,b", "--range to be auto"),
        ("bands", "r,g,b", "--bands to be numbers from 1 on, such as 4,3,2"),
        ("pages", "second", "--pages to be first or all, but got 'second'"),
    ],
)
def test_wrong_words_for_inputs(option, text, message):
    with pytest.raises(ConfigError, match=message):
        given_settings(**{option: text})
