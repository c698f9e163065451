import dataclasses
import json

import numpy as np
import pytest

from primaps.errors import ConfigError
from primaps.heads.files import load_head, save_head
from primaps.heads.loading import load_backbone
from primaps.protocol.images import open_parts
from primaps.protocol.measure import RowPlace, measure_row
from primaps.protocol.row import Row
from primaps.protocol.several_heads import measure_heads

ROW = Row(
    "potsdam",
    "texture",
    head="stego",
    preset="fast",
    size=40,
    probe_steps=5,
    fit={"proposal_steps": 2},
)


@pytest.fixture
def heads(texture_head, tmp_path):
    """Two heads of one kind with other cluster centres."""
    head = load_head(texture_head)
    save_head(tmp_path / "other", dataclasses.replace(head, centres=head.centres.flip(1)))
    return [texture_head, tmp_path / "other"]


def load(folder):
    return load_backbone("texture", device="cpu", head=folder)


def measured(row, root, out, heads):
    return measure_heads(row, RowPlace(root, out), heads, load, parts=open_parts(row, root))


@pytest.mark.slow
def test_mean_and_deviation_are_over_the_heads(trees, heads, tmp_path):
    root, out = trees.write_potsdam(tmp_path / "potsdam"), tmp_path / "row"
    metrics, run = measured(ROW, root, out, heads)
    assert not run.failures
    assert json.loads((out / "metrics.json").read_text("utf-8")) == json.loads(json.dumps(metrics))
    single = [
        json.loads((out / name / "metrics.json").read_text("utf-8")) for name in metrics["heads"]
    ]
    assert [one["backbone"]["head"] for one in single] == list(metrics["heads"].values())
    assert len({one["backbone"]["head"]["sha256"] for one in single}) == 2
    for variant, entry in metrics["variants"].items():
        seeds = [next(iter(one["variants"][variant]["seeds"].values())) for one in single]
        assert list(entry["seeds"].values()) == seeds
        values = [one["miou"] for one in seeds]
        assert entry["miou"] == {
            "mean": pytest.approx(np.mean(values)),
            "std": pytest.approx(np.std(values, ddof=1)),
        }
        assert entry["uses_labels_to_fit"] is variant.startswith("linear")
    assert len(metrics["models"]) == 2
    assert all(
        (out / path).is_file()
        for figures in metrics["record"].values()
        for path in figures.values()
    )
    page = (out / "row.md").read_text("utf-8")
    assert ", 2 heads, " in page
    assert all(f"![confusion, {name}]({name}/record/" in page for name in metrics["heads"])
    assert "seed 0" not in page
    alone, _ = measure_row(ROW, RowPlace(root, tmp_path / "alone"), load(heads[1]))
    assert (
        alone["variants"]["teacher+crf"]["seeds"]["0"]
        == metrics["variants"]["teacher+crf"]["seeds"]["1"]
    )


def test_a_row_of_several_heads_goes_on_where_it_was(trees, heads, tmp_path):
    root, out = trees.write_potsdam(tmp_path / "potsdam"), tmp_path / "row"
    row = dataclasses.replace(ROW, method="head")

    def cut(folder):
        if folder == heads[1]:
            raise KeyboardInterrupt
        return load(folder)

    with pytest.raises(KeyboardInterrupt):
        measure_heads(row, RowPlace(root, out), heads, cut, parts=open_parts(row, root))
    assert not (out / "metrics.json").exists()
    done = next(out.glob("head-*/labels/seed-0/teacher/*.png"))
    before = done.stat().st_mtime_ns
    metrics, _ = measured(row, root, out, heads)
    assert done.stat().st_mtime_ns == before
    assert len(metrics["heads"]) == 2
    with pytest.raises(ConfigError, match=r"benchmark.method: 'head' -> 'em'"):
        measured(ROW, root, out, heads)
    with pytest.raises(ConfigError, match="'several'"):
        measure_row(row, RowPlace(root, out), load(heads[0]))


def test_heads_that_are_the_same_and_seeds_are_refused(trees, heads, tmp_path):
    root = trees.write_potsdam(tmp_path / "potsdam")
    with pytest.raises(ConfigError, match="Expected different heads"):
        measured(ROW, root, tmp_path / "row", [heads[0], heads[0]])
    with pytest.raises(ConfigError, match=r"one seed with several heads.*--seeds 3"):
        measured(dataclasses.replace(ROW, seeds=3), root, tmp_path / "row", heads)
    assert not (tmp_path / "row").exists()
