import dataclasses
import json

import pytest

from primaps.errors import CheckpointError, ConfigError
from primaps.protocol.row import Row
from primaps.protocol.tables import joined_tables, latex_row, markdown_row, read_metrics


def metrics(
    dataset="cityscapes",
    method="em",
    *,
    clusters=27,
    head=None,
    size=320,
    weights=None,
    published=(0.812, 0.194),
    std=0.0123,
    backbone="dino_vits8",
    dropout=False,
    heads=(),
    **settings,
):
    """What a finished row writes, as far as tables read it."""
    row = Row(dataset, backbone, method, **{"preset": "paper", **settings})

    def variant(accuracy, miou, supervised=False):
        return {
            "uses_labels_to_fit": supervised,
            "accuracy": {"mean": accuracy, "std": std},
            "miou": {"mean": miou, "std": std},
        }

    return {
        "format": 1,
        "row": dataclasses.asdict(row),
        "head": head,
        "backbone": {"head": {"kind": head, "inference_dropout": dropout}} if head else {},
        "settings": {"fit": {"initialise": "head" if head else "pca"}},
        "weights": weights,
        "oracle": row.select == "oracle",
        "num_classes": 27,
        "num_clusters": clusters,
        "size": size,
        "published": published and {"accuracy": published[0], "miou": published[1], "source": "x"},
        "variants": {
            "teacher": variant(0.7, 0.15),
            "teacher+crf": variant(0.75, 0.17),
            "linear": variant(0.9, 0.4, supervised=True),
        },
        "selection": {"0": {}, "1": {}},
        **({"heads": {name: {} for name in heads}} if heads else {}),
    }


def test_a_row_with_published_score_beside_the_headline():
    lines = markdown_row(metrics()).splitlines()
    assert lines[0] == "PriMaPs-EM, DINO ViT-S/8, Cityscapes, accuracy / mIoU in %"
    assert "| teacher | 70.0 ± 1.2 / 15.0 ± 1.2 |  |  |" in lines
    assert "| teacher+crf | 75.0 ± 1.2 / 17.0 ± 1.2 | 81.2 / 19.4 | -6.2 / -2.4 |" in lines
    assert "| linear (supervised) | 90.0 ± 1.2 / 40.0 ± 1.2 |  |  |" in lines
    assert "oracle" not in "".join(lines)
    assert (
        latex_row(metrics()).splitlines()[1]
        == r"PriMaPs-EM & DINO ViT-S/8 & Cityscapes & paper, last & 75.0 $\pm$ 1.2 / 17.0 $\pm$ 1.2"
        r" & 81.2 / 19.4 ($-$6.2 / $-$2.4) \\"
    )


def test_differences_are_those_of_the_printed_scores():
    row = metrics(published=(0.7504, 0.1695))
    assert "| 75.0 / 17.0 | +0.0 / +0.0 |" in markdown_row(row)
    row["variants"]["teacher+crf"]["miou"]["mean"] = 0.1696
    assert "| 75.0 / 17.0 | +0.0 / +0.0 |" in markdown_row(row)
    row["variants"]["teacher+crf"]["miou"]["mean"] = 0.1689
    assert "| 75.0 / 17.0 | +0.0 / -0.1 |" in markdown_row(row)


def test_one_seed_has_no_deviation_and_unknown_names_are_escaped():
    row = metrics(dataset="my_set", published=None, std=None)
    assert "| teacher+crf | 75.0 / 17.0 |  |  |" in markdown_row(row)
    assert r"my\_set & paper, last & 75.0 / 17.0 & --" in latex_row(row)


@pytest.mark.parametrize(
    "write",
    [
        markdown_row,
        latex_row,
        lambda row: joined_tables([row])[0],
        lambda row: joined_tables([row])[1],
    ],
)
def test_oracle_trial_and_overclustering_show_everywhere(write):
    assert "oracle (labels)" in write(metrics(select="oracle"))
    assert "trial" in write(metrics(limit=5))
    assert "30 clusters" in write(metrics(clusters=30))
    assert not any(word in write(metrics()) for word in ("oracle", "trial", "clusters"))


DEVIATIONS = {
    "measured on test": {"split": "test"},
    "measured on all images": {"split": None},
    "fitted to train_large": {"train_split": "train_large"},
    "224 pixels": {"size": 224},
    "weights own.pth 0a1b2c3d": {"weights": "own.pth 0a1b2c3d"},
    "trial of 5 images": {"limit": 5},
}


@pytest.mark.parametrize(("words", "settings"), DEVIATIONS.items())
def test_deviations_from_the_protocol_show_everywhere_and_tell_rows_apart(words, settings):
    usual, other = metrics(), metrics(**settings)
    for write in (markdown_row, lambda row: joined_tables([row])[0]):
        assert words in write(other)
        assert words not in write(usual)
    for write in (latex_row, lambda row: joined_tables([row])[1]):
        assert words.replace("_", r"\_") in write(other)
    lines = [
        line
        for line in joined_tables([usual, other])[0].splitlines()
        if line.startswith("| PriMaPs-EM")
    ]
    assert len(lines) == len(set(lines)) == 2


def test_the_backbone_of_300_epochs_is_named_unless_it_carries_a_head():
    assert "DINO ViT-S/8 (300 epochs)," in markdown_row(metrics(backbone="dino_vits8_300ep"))
    assert "DINO ViT-S/8," in markdown_row(metrics(backbone="dino_vits8_300ep", head="stego"))


def test_a_head_shows_in_the_method():
    assert "PriMaPs-EM on STEGO & DINO ViT-S/8" in latex_row(metrics(head="stego"))
    assert len(joined_tables([metrics(), metrics(head="hp")])[0].splitlines()) == 6


@pytest.mark.parametrize("head", ["stego", "hp"])
@pytest.mark.parametrize("method", ["em", "head"])
def test_dropout_of_a_head_shows_wherever_a_row_is_printed(head, method):
    usual, dropping = (
        metrics(method=method, head=head, dropout=dropout) for dropout in (False, True)
    )
    for write in (
        markdown_row,
        latex_row,
        lambda row: joined_tables([row])[0],
        lambda row: joined_tables([row])[1],
    ):
        assert write(dropping).count("head dropout") == 1
        assert "dropout" not in write(usual)
    lines = [
        line for line in joined_tables([usual, dropping])[0].splitlines() if line.startswith("| ")
    ][1:]
    assert len(set(lines)) == 2


def test_deviations_over_heads_are_told_from_those_over_seeds():
    over_seeds, over_heads = metrics(head="hp"), metrics(head="hp", heads=("head-0a", "head-1b"))
    for write in (
        markdown_row,
        latex_row,
        lambda row: joined_tables([row])[0],
        lambda row: joined_tables([row])[1],
    ):
        assert write(over_heads).count("2 heads") == 1
        assert "heads" not in write(over_seeds)
    assert "seeds: 2)" in markdown_row(over_seeds)
    lines = [
        line
        for line in joined_tables([over_seeds, over_heads])[0].splitlines()
        if line.startswith("| PriMaPs-EM")
    ]
    assert [line.split(" | ")[2] for line in lines] == ["paper, last", "paper, last, 2 heads"]


def test_figures_are_captioned_by_seed_or_head():
    record = {"record": {"0": {"curves": "a.png"}, "1": {"curves": "b.png"}}}
    assert "![curves, seed 1](b.png)" in markdown_row(metrics() | record)
    of_heads = markdown_row(metrics(head="hp", heads=("head-0a", "head-1b")) | record)
    assert "![curves, head-0a](a.png)\n![curves, head-1b](b.png)" in of_heads
    assert "seed" not in of_heads


def test_a_head_alone_and_with_em_stand_in_lines_of_their_own():
    rows = [
        metrics(method="head", head="hp", published=None, backbone="dino_vits8_300ep"),
        metrics(head="hp", published=(0.766, 0.192), backbone="dino_vits8_300ep"),
        metrics("potsdam", head="stego", published=(0.784, 0.642), backbone="dino_vits8_300ep"),
    ]
    lines = [line for line in joined_tables(rows)[0].splitlines() if line.startswith("| ")][1:]
    measured = "75.0 ± 1.2 / 17.0 ± 1.2"
    assert lines == [
        f"| HP alone | DINO ViT-S/8 | paper | {measured} |  |  |  |",
        (
            f"| PriMaPs-EM on HP | DINO ViT-S/8 | paper, last | {measured} |"
            " 76.6 / 19.2 (-1.6 / -2.2) |  |  |"
        ),
        (
            f"| PriMaPs-EM on STEGO | DINO ViT-S/8 | paper, last |  |  | {measured} |"
            " 78.4 / 64.2 (-3.4 / -47.2) |"
        ),
    ]


def test_notes_explain_the_marks():
    assert "not unsupervised" in markdown_row(metrics(select="oracle"))
    assert "not comparable" in markdown_row(metrics(limit=5))
    for text in joined_tables([metrics(select="oracle"), metrics()]):
        assert "not unsupervised" in text


def test_join_has_a_line_per_method_and_two_columns_per_data_set():
    rows = [
        metrics("potsdam", published=(0.625, 0.389)),
        metrics(),
        metrics(method="baseline", published=(0.614, 0.158)),
    ]
    markdown, latex = joined_tables(rows)
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert (
        lines[0]
        == "| method | backbone | settings | Cityscapes | published | Potsdam-3 | published |"
    )
    measured = "75.0 ± 1.2 / 17.0 ± 1.2"
    assert lines[2:] == [
        (
            f"| PriMaPs-EM | DINO ViT-S/8 | paper, last | {measured} | 81.2 / 19.4 (-6.2 / -2.4) |"
            f" {measured} | 62.5 / 38.9 (+12.5 / -21.9) |"
        ),
        (
            f"| Baseline | DINO ViT-S/8 | paper, last | {measured} | 61.4 / 15.8 (+13.6 / +1.2) |"
            "  |  |"
        ),
    ]
    assert r"\begin{tabular}{lllcccc}" in latex
    assert latex.count(r"\\") == 3
    assert "oracle" not in markdown


def test_two_rows_for_one_cell():
    with pytest.raises(
        ConfigError, match="two are PriMaPs-EM, DINO ViT-S/8, paper, last on cityscapes"
    ):
        joined_tables([metrics(), metrics()])
    assert len(joined_tables([metrics(), metrics(select="oracle")])[0].splitlines()) > 5


def test_folders_that_hold_no_row(tmp_path):
    with pytest.raises(ConfigError, match="got none"):
        joined_tables([])
    with pytest.raises(CheckpointError, match=r"finished row \(metrics.json\)"):
        read_metrics([tmp_path])
    (tmp_path / "metrics.json").write_text(json.dumps({"format": 7}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="something else"):
        read_metrics([tmp_path])
    (tmp_path / "metrics.json").write_text(
        json.dumps({"format": 1, "variants": {}}), encoding="utf-8"
    )
    with pytest.raises(
        CheckpointError, match=r"metrics.json to be complete, but .*KeyError: 'row'"
    ):
        read_metrics([tmp_path])
    (tmp_path / "metrics.json").write_text(json.dumps(metrics()), encoding="utf-8")
    assert read_metrics([tmp_path]) == [metrics()]


@pytest.mark.parametrize(
    "key",
    [
        "row",
        "head",
        "backbone",
        "weights",
        "num_classes",
        "num_clusters",
        "size",
        "published",
        "variants",
        "selection",
    ],
)
def test_every_part_that_tables_read_is_checked(tmp_path, key):
    broken = metrics()
    broken[key] = 0 if key in ("row", "variants", "selection") else broken[key]
    if broken[key] != 0:
        del broken[key]
    (tmp_path / "metrics.json").write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"metrics\.json"):
        read_metrics([tmp_path])
