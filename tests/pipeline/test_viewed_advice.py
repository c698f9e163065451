import dataclasses
import shlex
from pathlib import Path

import pytest

from primaps.pipeline.viewed_advice import Advised, advice, shown_path


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with photographs and a run."""
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


RUN = Advised(
    folder="runs/a run",
    inputs=["photos"],
    backbone="mini",
    method="em",
    preset="default",
    classes=27,
    used=27,
    unnamed=[3, 1, 2, 0, *range(4, 27)],
    images=100,
    label_map=Path("runs/a run/labels/a.jpg.png"),
    failures=0,
    fitted=True,
)


def commands(run):
    return [each["command"] for each in advice(run) if each["command"]]


def test_the_cheapest_comes_first(here):
    assert commands(RUN) == [
        "primaps studio 'runs/a run'",
        "primaps classes 'runs/a run' --name 3=road --merge 1,2=building --ignore 26",
        "primaps classes 'runs/a run' --cut 13",
        "primaps export 'runs/a run' --format coco --out 'runs/a run-coco'",
        shlex.join(
            [
                *("python", "-c"),
                (
                    "from PIL import Image; import numpy;"
                    " print(numpy.unique(Image.open('runs/a run/labels/a.jpg.png')))"
                ),
            ]
        ),
        (
            "primaps segment photos --out 'runs/a run' --config 'runs/a run/run.json' --classes 18"
            " --overwrite"
        ),
        (
            "primaps segment photos --out 'runs/a run' --config 'runs/a run/run.json' --classes 54"
            " --overwrite"
        ),
        (
            "primaps segment photos --out 'runs/a run-efficientnet_lite0' --classes 27"
            " --backbone efficientnet_lite0"
        ),
    ]


def test_a_stronger_backbone(here):
    usual = dataclasses.replace(
        RUN, backbone="efficientnet_lite0", method="clusters", preset="fast"
    )
    assert commands(usual)[-1] == (
        "primaps segment photos --out 'runs/a run-dinov2_vits14' --classes 27"
        " --backbone dinov2_vits14 --preset fast --method clusters"
    )
    strong = dataclasses.replace(RUN, backbone="dinov2_vitl14")
    assert not [each for each in advice(strong) if "stronger" in each["title"]]


@pytest.mark.parametrize(
    "inputs", [[], ["gone"], ["photos"] * 4, [f"photos/../{'photos/../' * 20}photos"]]
)
def test_without_inputs_to_type_the_fit_is_made_beside_the_run(here, inputs):
    found = commands(dataclasses.replace(RUN, folder="run", inputs=inputs))
    assert found[-1] == (
        "primaps fit run --classes 54 --model run-54-classes-model && primaps predict --stored run"
        " --model run-54-classes-model --out run-54-classes"
    )
    assert not [each for each in found if "segment" in each]


def test_the_centres_of_a_head_have_a_number_of_their_own(here):
    found = commands(dataclasses.replace(RUN, folder="run", from_head=True))
    assert [each for each in found if each.startswith("primaps fit run --classes 18 ")]


def test_empty_classes_are_counted_and_no_more_are_advised(here):
    run = dataclasses.replace(RUN, used=7, unnamed=[4, 2, 9, 1, 0, 5, 6])
    (fewer,) = [each for each in advice(run) if "stay empty" in each["title"]]
    assert "Of 27 classes, 20 stayed empty." in fewer["text"]
    assert "--classes 7 " in fewer["command"]
    assert not [each for each in advice(run) if "more classes" in each["text"]]
    assert "primaps classes 'runs/a run' --cut 3" in commands(run)


@pytest.mark.parametrize(("classes", "words"), [(2, "Ask for fewer"), (254, "Ask for more")])
def test_no_number_of_classes_beyond_the_limits(here, classes, words):
    run = dataclasses.replace(RUN, classes=classes, used=classes, unnamed=range(classes))
    assert not [each for each in advice(run) if words in each["text"]]


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ([5], "--name 5=road"),
        ([5, 1], "--name 5=road"),
        ([5, 1, 2], "--name 5=road --merge 1,2=building"),
    ],
)
def test_only_classes_that_are_there_are_named(here, sizes, options):
    run = dataclasses.replace(RUN, folder="run", unnamed=sizes)
    assert commands(run)[1] == f"primaps classes run {options}"


def test_what_is_named_is_not_named_or_cut_again(here):
    found = commands(dataclasses.replace(RUN, folder="run", unnamed=[7]))
    assert "primaps classes run --name 7=road" in found
    assert not [each for each in found if "--cut" in each]
    assert not [
        each for each in commands(dataclasses.replace(RUN, unnamed=[])) if "classes '" in each
    ]


def test_label_maps_alone_have_no_tree_and_no_fit(here):
    run = dataclasses.replace(RUN, fitted=False)
    assert not [each for each in commands(run) if "--cut" in each or "--overwrite" in each]


def test_few_photographs_and_files_that_failed_are_told(here):
    run = dataclasses.replace(RUN, images=4, failures=2)
    titles = [each["title"] for each in advice(run)]
    assert titles[0] == "Mend the files that could not be used: 2"
    assert "Give more photographs" in titles
    assert "Give more photographs" not in [each["title"] for each in advice(RUN)]


def test_a_candidate_is_to_be_accepted(here):
    found = commands(dataclasses.replace(RUN, folder=str(here / "run" / "candidates" / "2")))
    assert found[0] == "primaps accept run 2"
    assert not [each for each in found if "--overwrite" in each]


def test_paths_are_as_short_as_may_be(here):
    assert shown_path(here / "photos") == "photos"
    assert shown_path("/elsewhere/photos") == "/elsewhere/photos"
    assert shown_path("-photos") == "./-photos"
    assert commands(dataclasses.replace(RUN, folder=".", inputs=[str(here / "photos")]))[3] == (
        f"primaps export . --format coco --out ../{here.name}-coco"
    )
