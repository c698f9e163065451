"""The command that correlates criteria without labels with the mean IoU, on a miniature data
set.
"""

import dataclasses
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from primaps.config import FitConfig
from primaps.protocol.measure import RowPlace, measure_row
from primaps.protocol.row import Row

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module", autouse=True)
def tools():
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Half sky, half ground, at other heights: 6 images in train, 3 in val."""
    root = tmp_path_factory.mktemp("data") / "scenes"
    generator = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 3)):
        for part in ("images", "labels"):
            (root / part / split).mkdir(parents=True)
        for number in range(count):
            labels = np.zeros((48, 64), np.uint8)
            labels[int(generator.integers(14, 34)) :] = 1
            labels[4:16, number * 6 : number * 6 + 14] = 2
            photo = np.array([(120, 170, 230), (70, 120, 50), (200, 40, 40)])[
                labels
            ] + generator.normal(0, 8, (48, 64, 3))
            Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(
                root / "images" / split / f"{number}.png"
            )
            Image.fromarray(labels).save(root / "labels" / split / f"{number}.png")
    (root / "classes.txt").write_text("sky\nground\nbox", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def store(scenes, texture, tmp_path_factory):
    """A store that a row with two seeds has left."""
    out = tmp_path_factory.mktemp("row")
    fit = {"batch_size": 3, "min_steps": 1, "max_steps": 6, "pixels_per_image": 64}
    row = Row("folder", "texture", preset="paper", size=48, seeds=2, probe_steps=5, fit=fit)
    measure_row(row, RowPlace(scenes, out / "row", store=out / "store"), texture)
    return out / "store"


def arguments(scenes, store, out, *more):
    given = [
        "--dataset",
        "folder",
        "--root",
        scenes,
        "--backbone",
        "texture",
        "--size",
        48,
        "--store",
        store,
        "--out",
        out,
    ]
    return [str(one) for one in (*given, "--preset", "paper", "--device", "cpu", *more)]


def contents(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.slow
def test_fits_are_made_measured_and_correlated(scenes, store, tmp_path, capsys):
    import criterion
    from criterion_measures.criteria import CRITERIA

    before, out = contents(store), tmp_path / "out"
    assert (
        criterion.main(arguments(scenes, store, out, "--fits", 4, "--max-steps", 10, "--stored"))
        == 0
    )
    assert contents(store) == before
    printed = capsys.readouterr().out
    result = json.loads((out / "criterion.json").read_text("utf-8"))
    assert len(result["fits"]) == 6
    assert [one["settings"]["seed"] for one in result["fits"][:4]] == [0, 1, 0, 1]
    for one in result["fits"]:
        assert len(one["steps"]) == len(one["miou"]) <= 5
        assert all(0 < value <= 1 for value in one["miou"])
        assert one["criteria"].keys() == CRITERIA.keys()
        assert all(len(values) == len(one["steps"]) for values in one["criteria"].values())
        assert all(math.isfinite(value) for values in one["criteria"].values() for value in values)
    for name in CRITERIA:
        last = [(one["criteria"][name][-1], one["miou"][-1]) for one in result["fits"]]
        found = result["summary"][name]["across_fits"]
        assert found["n"] == 6
        if found["pearson"] is not None:
            assert found["pearson"] == pytest.approx(np.corrcoef(np.transpose(last))[0, 1])
        assert name in printed
    assert len(printed.splitlines()) == 2 + len(CRITERIA)


def test_it_goes_on_where_it_was_and_may_grow(scenes, store, tmp_path, monkeypatch):
    import criterion

    out = tmp_path / "out"
    real = criterion.measured_fit
    count = []

    def cut(*given):
        count.append(given)
        if len(count) == 2:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(criterion, "measured_fit", cut)
    with pytest.raises(KeyboardInterrupt):
        criterion.main(arguments(scenes, store, out, "--fits", 2, "--max-steps", 6))
    monkeypatch.undo()
    times = {
        file: file.stat().st_mtime_ns
        for kind in ("fits", "measured")
        for file in (out / kind).rglob("*.*")
    }
    assert any("measured" in str(file) for file in times)
    criterion.main(arguments(scenes, store, out, "--fits", 3, "--max-steps", 6))
    assert {file: file.stat().st_mtime_ns for file in times} == times
    grown = json.loads((out / "criterion.json").read_text("utf-8"))
    criterion.main(arguments(scenes, store, tmp_path / "anew", "--fits", 3, "--max-steps", 6))
    anew = json.loads((tmp_path / "anew" / "criterion.json").read_text("utf-8"))
    assert grown["fits"] == anew["fits"]
    assert grown["fits"][2]["criteria"]["resampling"] is None  # its pair is not made yet


def test_a_store_of_plain_views_leaves_out_agreement(scenes, texture, tmp_path, capsys):
    import criterion

    row = Row("folder", "texture", preset="fast", size=48, probe_steps=5, fit={"proposal_steps": 2})
    measure_row(row, RowPlace(scenes, tmp_path / "row", store=tmp_path / "store"), texture)
    more = ("--preset", "fast", "--fits", 2, "--max-steps", 4)
    assert criterion.main(arguments(scenes, tmp_path / "store", tmp_path / "out", *more)) == 0
    result = json.loads((tmp_path / "out" / "criterion.json").read_text("utf-8"))
    for one in result["fits"]:
        assert [name for name, values in one["criteria"].items() if values is None] == ["agreement"]
    assert "not measured: the plain view is stored only" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--preset", "fast"), "Expected features of the training and the measured images"),
        (("--split", "test"), "there is no split 'test'"),
    ],
)
def test_what_does_not_fit_is_an_error(scenes, store, tmp_path, more, message):
    import criterion

    with pytest.raises(SystemExit) as ended:
        criterion.main(arguments(scenes, store, tmp_path / "out", *more))
    assert message in str(ended.value.code)
    with pytest.raises(SystemExit, match="another folder than --store"):
        criterion.main(arguments(scenes, store, store))


def test_the_first_fits_stay_the_same_when_there_are_more():
    from criterion_measures.plans import SPREAD, plans

    few, many = plans(5, 200, 367, FitConfig()), plans(24, 200, 367, FitConfig())
    assert many[:5] == few
    assert len({dataclasses.astuple(plan.fit) for plan in many}) == 12
    for one, other in zip(many[::2], many[1::2], strict=True):
        assert (one.seed, other.seed, one.fit) == (0, 1, other.fit)
    assert many[0].fit.main_steps(367) == 200
    assert all((plan.fit.initialise, plan.fit.em_on) == ("pca", "pixels") for plan in many)
    assert many[0].fit.em_learning_rate == FitConfig().em_learning_rate
    assert all(plan.fit.main_steps(367) <= 200 and plan.fit.pca_images == 184 for plan in many)
    assert {plan.fit.main_steps(367) for plan in many} == {
        round(200 * share) for share in SPREAD["share_of_steps"]
    }


def test_coefficients_and_choices():
    from criterion_measures.correlation import correlation, summary

    found = correlation([1.0, 2.0, 3.0, 10.0], [0.1, 0.2, 0.3, 0.4])
    assert found["spearman"] == pytest.approx(1)
    assert found["pearson"] == pytest.approx(np.corrcoef([1, 2, 3, 10], [0.1, 0.2, 0.3, 0.4])[0, 1])
    assert correlation([1.0, 1.0, 1.0], [0.1, 0.2, 0.3])["pearson"] is None
    assert correlation([1.0, 2.0], [0.1, 0.2])["spearman"] is None
    # Within fits the criterion falls when mIoU rises; over fits it rises.
    fits = [
        {
            "criteria": {"x": [base + 0.3, base + 0.2, base + 0.1], "y": None},
            "miou": [base + 0.01, base + 0.02, base + 0.03],
        }
        for base in (0.1, 0.4, 0.7)
    ]
    one = summary(fits, "x")
    assert one["across_fits"]["pearson"] == pytest.approx(1)
    assert one["within_fits"]["pearson"] == pytest.approx(-1)
    assert one["within_fits"]["mean_spearman"] == pytest.approx(-1)
    assert one["within_fits"]["n"] == 9
    assert one["choice"]["snapshot_chosen"] == pytest.approx(0.41)
    assert one["choice"]["snapshot_best"] == one["choice"]["snapshot_last"] == pytest.approx(0.43)
    assert one["choice"]["fit_chosen"] == one["choice"]["fit_best"] == pytest.approx(0.73)
    assert summary(fits, "y") == {"fits": 0}


def test_matching_undoes_a_permutation():
    from criterion_measures.criteria import _matched

    generator = np.random.default_rng(0)
    table = torch.from_numpy(generator.integers(0, 5, (4, 4)) + 50 * np.eye(4, dtype=np.int64))
    permuted = table[:, torch.tensor([2, 0, 3, 1])]
    assert torch.equal(_matched(permuted), table)
