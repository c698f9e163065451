"""The command that compares ways to find classes, on a miniature data set."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F

from primaps.config import FitConfig, preset_config
from primaps.types import View

TOOLS = Path(__file__).parents[2] / "tools"
QUICK = "clusters,clusters-sqrt,default"


@pytest.fixture(scope="module", autouse=True)
def tools():
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Sky, ground and a box in 6 photographs, some pixels unlabelled."""
    root = tmp_path_factory.mktemp("data") / "scenes"
    (root / "train").mkdir(parents=True)
    (root / "trainannot").mkdir()
    generator = np.random.default_rng(0)
    for number in range(6):
        labels = np.zeros((64, 96), np.uint8)
        labels[int(generator.integers(24, 44)) :] = 1
        labels[4:20, number * 8 : number * 8 + 20] = 2
        photo = np.array([(120, 170, 230), (70, 120, 50), (200, 40, 40)])[
            labels
        ] + generator.normal(0, 8, (64, 96, 3))
        labels[:, :3] = 255
        Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(root / "train" / f"{number}.png")
        Image.fromarray(labels).save(root / "trainannot" / f"{number}.png")
    (root / "classes.txt").write_text("sky\nground\nbox", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Where features and proposals are made once for all tests."""
    return tmp_path_factory.mktemp("work")


def arguments(scenes, work, *more):
    return [
        str(one)
        for one in ("--backbone", "texture", "--set", f"scenes={scenes}", "--work", work, *more)
    ]


def opened(scenes, work, texture, every=1):
    from class_measures.photographs import photographs

    from primaps.progress import Silent

    return photographs("scenes", scenes, every, texture, work, Silent())


class Tokens:
    """One image whose tokens lie in a row, each pixel a token."""

    views = (View(),)

    def __init__(self, degrees, proposals):
        angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
        self.row = torch.stack([angles.cos(), angles.sin()])[:, None]
        self.ids = torch.tensor(proposals)[None]

    def __len__(self):
        return 1

    def features(self, index, view):
        return self.row

    def proposals(self, index):
        return self.ids


def test_rows_are_measured_and_printed(scenes, work, tmp_path, capsys):
    import measure_classes

    out = tmp_path / "numbers.json"
    assert (
        measure_classes.main(arguments(scenes, work, "--rows", QUICK, "--seeds", 2, "--json", out))
        == 0
    )
    head, rule, *lines = capsys.readouterr().out.splitlines()
    assert head == "| accuracy / mIoU | scenes (6 photographs, 3 classes) | CPU s |"
    assert rule == "|---|---|---|"
    rows = json.loads(out.read_text("utf-8"))["sets"]["scenes"]["rows"]
    assert list(rows) == [f"`{name}`" for name in QUICK.split(",")]
    for (label, row), line in zip(rows.items(), lines, strict=True):
        accuracy, miou = row["accuracy"], row["miou"]
        assert len(accuracy["values"]) == 2
        assert accuracy["mean"] == pytest.approx(np.mean(accuracy["values"]))
        assert accuracy["std"] == pytest.approx(np.std(accuracy["values"], ddof=1))
        assert 1 >= accuracy["mean"] > 0.8  # colours tell these classes apart
        shown = " / ".join(
            f"{100 * score['mean']:.1f} ± {100 * score['std']:.1f}" for score in (accuracy, miou)
        )
        assert line.startswith(f"| {label} | {shown} | ")


def test_scores_are_those_of_label_maps_at_the_size_of_the_labels(scenes, work, texture):
    from class_measures.rows import way
    from class_measures.scores import measured

    images = opened(scenes, work, texture)
    scores = measured(images, way("clusters"), 3, seed=5)
    prototypes = way("clusters").find(images.store.source(images.names), 3, seed=5).prototypes
    table = np.zeros((3, 3), np.int64)
    for number in range(6):
        truth = np.array(Image.open(scenes / "trainannot" / f"{number}.png"))
        values = torch.einsum(
            "kc,chw->khw", prototypes, images.store.features(f"{number}.png", View()).float()
        )
        labels = F.interpolate(values[None], truth.shape, mode="bilinear")[0].argmax(0).numpy()
        known = truth != 255
        np.add.at(table, (truth[known], labels[known]), 1)
    classes, clusters = linear_sum_assignment(table, maximize=True)
    hits = table[classes, clusters]
    assert scores.accuracy == pytest.approx(hits.sum() / table.sum())
    unions = table.sum(1)[classes] + table.sum(0)[clusters] - hits
    assert scores.miou == pytest.approx(np.mean(hits / unions))


def test_what_was_measured_is_read_until_a_label_changes(scenes, work, texture, monkeypatch):
    from class_measures.rows import ProposalKMeans, way
    from class_measures.scores import measured

    images = opened(scenes, work, texture)
    first = measured(images, way("clusters-area"), 3, seed=0)

    def refuse(*given):
        raise AssertionError

    monkeypatch.setattr(ProposalKMeans, "find", refuse)
    assert measured(images, way("clusters-area"), 3, seed=0) == first
    changed = dataclasses.replace(images, truths=(images.truths[0] * 0, *images.truths[1:]))
    for other in ((changed, 3, 0), (images, 2, 0), (images, 3, 1)):
        with pytest.raises(AssertionError):
            measured(other[0], way("clusters-area"), *other[1:])


def test_each_nth_photograph_is_taken_from_the_same_store(scenes, work, texture):
    everything = opened(scenes, work, texture)
    before = {path: path.stat().st_mtime_ns for path in everything.store.root.glob("*.safetensors")}
    third = opened(scenes, work, texture, every=3)
    assert third.names == ("0.png", "3.png")
    assert np.array_equal(third.truths[1], everything.truths[3])
    assert {
        path: path.stat().st_mtime_ns for path in third.store.root.glob("*.safetensors")
    } == before


def test_small_subsets_are_random_and_nested(scenes, work, texture, capsys):
    import measure_classes

    images = opened(scenes, work, texture)
    two, four = (measure_classes.subset(images, size, seed=1) for size in (2, 4))
    assert set(two.names) < set(four.names)
    assert len(two.names) == len(two.truths) == 2
    assert np.array_equal(four.truths[0], images.truths[images.names.index(four.names[0])])
    assert len({measure_classes.subset(images, 2, seed).names for seed in range(8)}) > 1
    assert (
        measure_classes.main(arguments(scenes, work, "--rows", "clusters", "--small", "2,4")) == 0
    )
    shown = capsys.readouterr()
    assert [line.split(" | ")[0] for line in shown.out.splitlines()[2:]] == [
        "| `clusters`, 2 photographs",
        "| `clusters`, 4 photographs",
    ]
    assert shown.err.count("Scores(") == 10


def test_areas_of_proposals_weigh_as_asked():
    from class_measures.rows import ProposalKMeans

    # Two large proposals 20 degrees apart, and three of one token across.
    source = Tokens([0] * 100 + [20] * 100 + [90] * 3, [1] * 100 + [2] * 100 + [3, 4, 5])
    found = {
        exponent: ProposalKMeans(exponent).find(source, 2, seed=0).prototypes
        for exponent in (0.0, 1.0)
    }
    angles = {
        exponent: sorted(torch.rad2deg(torch.atan2(each[:, 1], each[:, 0])).tolist())
        for exponent, each in found.items()
    }
    assert angles[0.0] == pytest.approx([10, 90], abs=0.1)
    assert angles[1.0] == pytest.approx([0, 22], abs=1)


def test_kmeans_of_tokens_does_not_look_at_proposals():
    from class_measures.rows import TokenKMeans

    degrees = [0] * 30 + [90] * 30
    one, other = (
        TokenKMeans().find(Tokens(degrees, ids), 2, seed=0) for ids in ([1] * 60, [1, 2] * 30)
    )
    assert torch.equal(one.prototypes, other.prototypes)
    assert sorted(one.prototypes[:, 0].tolist()) == pytest.approx([0, 1], abs=1e-6)


def test_rows_are_what_their_names_say():
    from class_measures.rows import ROWS, Fit

    fits = {name: row.config for name, row in ROWS.items() if isinstance(row, Fit)}
    assert fits["default"] == preset_config("default").fit
    assert {name for name, fit in fits.items() if fit.on_proposals} == {
        "clusters",
        "default",
        *(f"em-proposals-{kind}" for kind in ("area", "sqrt", "one", "hard", "hard-sqrt", "means")),
    }
    weights = {"area": 1.0, "sqrt": 0.5, "one": 0.0}
    for on, plain in (("pixels", "em-pixels"), ("proposals", "em-proposals-area")):
        names = {"area": plain, "sqrt": f"em-{on}-sqrt", "one": f"em-{on}-one"}
        assert {kind: fits[name].proposal_weight for kind, name in names.items()} == weights
    assert {name for name, fit in fits.items() if fit.on_proposals and not fit.soft_votes} == {
        "em-proposals-hard",
        "em-proposals-hard-sqrt",
    }
    assert fits["em-proposals-means"].tokens_per_proposal == 0
    former = fits["em-pca"]
    assert (former.initialise, former.em_on, former.proposal_weight, former.min_agreement) == (
        "pca",
        "pixels",
        1.0,
        0.9,
    )
    assert all(
        isinstance(fit, FitConfig) and fit.cluster_restarts == FitConfig().cluster_restarts
        for fit in fits.values()
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--rows", "cluster"), "Unknown row 'cluster'. Did you mean 'clusters'"),
        (
            ("--rows", "clusters", "--small", "7"),
            "Expected --small to be at most 6, the number of photographs, but got 7.",
        ),
        (("--rows", "clusters", "--set", "camvid=nowhere"), "nowhere"),
    ],
)
def test_what_does_not_fit_is_an_error(scenes, work, more, message):
    import measure_classes

    with pytest.raises(SystemExit) as ended:
        measure_classes.main(arguments(scenes, work, *more))
    assert message in str(ended.value.code)


@pytest.mark.parametrize(
    ("more", "message"),
    [(("--set", "camvid"), "expected NAME=ROOT"), (("--small", "3,x"), "1 or more")],
)
def test_settings_that_make_no_sense_are_usage_errors(scenes, work, more, message, capsys):
    import measure_classes

    with pytest.raises(SystemExit) as ended:
        measure_classes.main(arguments(scenes, work, *more))
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_photograph_that_cannot_be_read_is_an_error(scenes, tmp_path):
    import measure_classes

    copy = tmp_path / "scenes"
    shutil.copytree(scenes, copy)
    (copy / "train" / "2.png").write_bytes(b"no image")
    with pytest.raises(SystemExit, match=r"Expected all photographs to be usable, but .*2\.png"):
        measure_classes.main(arguments(copy, tmp_path / "work", "--rows", "clusters"))
