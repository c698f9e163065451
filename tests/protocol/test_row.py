import dataclasses
import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primaps.config import FitConfig
from primaps.errors import ConfigError
from primaps.heads.files import load_head, save_head
from primaps.heads.loading import load_backbone
from primaps.protocol.packaged import row_names, row_text
from primaps.protocol.published import PUBLISHED, SOTA_HEADS, published
from primaps.protocol.row import MAX_SNAPSHOTS, Row, parse_row, read_row, snapshot_distance

ROW = Row("cityscapes", "dino_vits8")


def backbone(input_multiple):
    return SimpleNamespace(input_multiple=input_multiple)


# ---- the rows that come with the package ---------------------------------------------------------


def test_there_is_a_row_for_every_published_cell_that_can_be_measured():
    plain = {
        f"{dataset}-{model}-{method}" for method, model, dataset in PUBLISHED if method != "sota+em"
    }
    # what STEGO and HP are trained on
    models = {"dino_vits8": "dino_vits8_300ep", "dino_vitb8": "dino_vitb8"}
    headed = {
        f"{dataset}-{models[model]}-{kind}-em" for (model, dataset), kind in SOTA_HEADS.items()
    }
    assert set(row_names()) == plain | headed


@pytest.mark.parametrize("name", row_names())
def test_a_row_says_its_command_and_its_published_score(name):
    row = read_row(name)
    assert row.name == name
    assert row.preset == "paper"
    assert row.select == "last"
    text = row_text(name)
    accuracy, miou = re.search(r"# published +accuracy ([\d.]+), mIoU ([\d.]+)", text).groups()
    assert (float(accuracy), float(miou)) == published(
        row.method, row.backbone, row.dataset, row.head
    )
    assert (
        f"primaps benchmark --row {name} --root ROOT{'' if row.head is None else ' --head DIR'}"
        " --out OUT" in text
    )
    for statement in ("expected time", "published are", "ours are"):
        assert f"# {statement}" in text


def test_unknown_row():
    with pytest.raises(ConfigError, match="Did you mean 'potsdam-dino_vits8-em'"):
        read_row("potsdam-dino_vit8-em")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset = ", "to be TOML"),
        ('dataset = "camvid"', "to name its backbone"),
        ('dataset = "camvid"\nbackbone = "mini"\nmetod = "em"', "Did you mean 'method'"),
        (
            'dataset = "camvid"\nbackbone = "mini"\nfit = { epoch = 3 }',
            r"'fit.epoch'. Did you mean 'epochs'",
        ),
        (
            'dataset = "camvid"\nbackbone = "mini"\nselect = "best"',
            "--select to be one of last, agreement, oracle",
        ),
        (
            'dataset = "camvid"\nbackbone = "mini"\nmethod = "hp"',
            "--method to be one of em, clusters, baseline, head",
        ),
        (
            'dataset = "camvid"\nbackbone = "mini"\nhead = "steg"',
            r"kind of the head to be one of stego, hp.*Did you mean 'stego'",
        ),
        (
            'dataset = "camvid"\nbackbone = "mini"\nmethod = "head"\nseeds = 2',
            "--seeds 1 and --select last with --method head",
        ),
        (
            'dataset = "camvid"\nbackbone = "mini"\nmethod = "head"\nselect = "oracle"',
            "fits nothing, but got .*--select oracle",
        ),
        ('dataset = "camvid"\nbackbone = "mini"\nseeds = 0', "--seeds to be 1 or more"),
        ('dataset = "camvid"\nbackbone = "mini"\nlimit = -1', "--limit to be 1 or more"),
    ],
)
def test_rows_that_cannot_be(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_row(text, "x")


# ---- settings of the fits ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("multiple", "side"), [(8, 320), (14, 322), (16, 320), (32, 320), (64, 320), (96, 288)]
)
def test_the_crop_is_a_multiple_of_what_the_backbone_needs(multiple, side):
    config = ROW.config(backbone(multiple), 27, 2975)
    assert config.features.size == side
    assert config.features.framing == "centre-crop"


def test_preset_paper_is_the_published_schedule():
    config = dataclasses.replace(ROW, preset="paper").config(backbone(8), 27, 2975)
    assert config.protocol.interpolation == "tensor"
    assert config.num_clusters == 27
    assert config.fit.main_steps(2975) == 50 * 92
    assert config.fit.checkpoint_every == 92  # a snapshot per epoch
    assert ROW.config(backbone(8), 27, 2975).protocol.interpolation == "pillow"


def test_a_row_changes_single_settings_of_the_fit():
    row = dataclasses.replace(ROW, method="baseline", fit={"baseline_epochs": 3, "min_steps": 1})
    config = row.config(backbone(8), 27, 320)
    assert config.fit.method == "baseline"
    assert config.fit.main_steps(320) == 30


def test_more_clusters_than_classes_but_not_fewer():
    assert dataclasses.replace(ROW, clusters=30).config(backbone(8), 27, 10).num_clusters == 30
    with pytest.raises(
        ConfigError, match="at least as many clusters as the 27 classes of cityscapes, but got 10"
    ):
        dataclasses.replace(ROW, clusters=10).config(backbone(8), 27, 10)


@given(st.integers(1, 60_000), st.integers(1, 60), st.integers(1, 2000))
def test_never_too_many_snapshots(num_images, epochs, min_steps):
    fit = FitConfig(em_on="pixels", epochs=epochs, min_steps=min_steps, max_steps=None)
    distance = snapshot_distance(fit, num_images)
    assert distance >= fit.steps_per_epoch(num_images)
    assert fit.main_steps(num_images) / distance <= MAX_SNAPSHOTS


def test_what_a_fit_on_proposals_keeps():
    row = dataclasses.replace(ROW, fit={"proposal_steps": 80, "teacher_every": 10})
    for num_images, distance in ((7, 2), (100, 3), (2975, 10)):
        assert row.config(backbone(8), 27, num_images).fit.snapshot_distance == distance
    assert row.config(backbone(8), 27, 2975).fit.on_proposals


def test_agreement_needs_views_to_compare_the_classes_in():
    row = dataclasses.replace(ROW, select="agreement")
    with pytest.raises(
        ConfigError,
        match=r"default keeps the plain one only\. Give --preset paper, or leave --select out",
    ):
        row.config(backbone(8), 27, 10)
    assert dataclasses.replace(row, preset="paper").config(backbone(8), 27, 10).features.flip


def test_the_method_of_a_row_is_its_own():
    for method, expected in (("clusters", "clusters"), ("baseline", "baseline"), ("em", "em")):
        row = dataclasses.replace(ROW, method=method, fit={"method": "em", "cluster_restarts": 3})
        assert row.config(backbone(8), 27, 10).fit.method == expected


def test_the_backbone_carries_the_head_of_the_row(texture, texture_head):
    headed = load_backbone("texture", device="cpu", head=texture_head)
    row = Row("potsdam", "texture", head="stego")
    assert row.config(headed, 3, 10).fit.initialise == "head"
    with pytest.raises(
        ConfigError,
        match="head of kind stego for row potsdam-texture-stego-em, but it carries no head",
    ):
        row.config(texture, 3, 10)
    with pytest.raises(
        ConfigError, match=r"head of kind hp for row .*but it carries a head of kind stego"
    ):
        dataclasses.replace(row, head="hp").config(headed, 3, 10)
    alone = dataclasses.replace(row, method="head")
    with pytest.raises(ConfigError, match="the head has cluster centres, 3, but got 4"):
        alone.config(headed, 4, 10)
    without = load_head(texture_head)
    save_head(texture_head, dataclasses.replace(without, centres=None))
    with pytest.raises(
        ConfigError, match="a head with cluster centres, which --method head measures"
    ):
        alone.config(load_backbone("texture", device="cpu", head=texture_head), 3, 10)
