import dataclasses

import pytest

from primaps.pipeline.viewed_advice import Advised, advice

RUN = Advised("runs/my run", ["photos"], "mini", None, "em", 27, 0, fitted=True)


def commands(run):
    return [each["command"] for each in advice(run) if each["command"]]


def test_commands_can_be_pasted():
    found = commands(RUN)
    assert "primaps studio 'runs/my run'" in found
    assert "primaps classes 'runs/my run' --name 3=road --merge 4,7=building --ignore 9" in found
    assert "primaps classes 'runs/my run' --cut 13" in found
    assert "primaps segment photos --out OTHER_DIR --classes 54 --backbone mini" in found
    assert "primaps segment photos --out OTHER_DIR --classes 18 --backbone mini" in found


def test_a_stronger_backbone_than_a_weak_one():
    assert [each for each in commands(RUN) if "--backbone dinov2_vits14" in each]
    strong = dataclasses.replace(RUN, backbone="dinov2_vitl14")
    assert not [each for each in commands(strong) if "dinov2_vits14" in each]


def test_levels_and_method_are_repeated():
    run = dataclasses.replace(RUN, levels="4,8", method="clusters", inputs=[])
    assert (
        "primaps segment IMAGES --out OTHER_DIR --classes 54 --backbone mini --levels 4,8"
        " --method clusters"
    ) in commands(run)


def test_empty_classes_are_counted():
    run = dataclasses.replace(RUN, dead=20)
    (fewer,) = [each for each in advice(run) if "stay empty" in each["title"]]
    assert "20 of 27 stayed empty" in fewer["text"]
    assert "--classes 7 " in fewer["command"]


@pytest.mark.parametrize(("classes", "words"), [(2, "Ask for fewer"), (254, "Ask for more")])
def test_no_number_of_classes_beyond_the_limits(classes, words):
    run = dataclasses.replace(RUN, classes=classes)
    assert not [each for each in advice(run) if words in each["text"]]


def test_label_maps_alone_have_no_tree_to_cut():
    run = dataclasses.replace(RUN, fitted=False)
    assert not [each for each in commands(run) if "--cut" in each]
