import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from primaps.naming.table import fresh_table, merge_classes
from primaps.pipeline.certainties import CertaintyBook, class_certainty, doubtful_images
from primaps.prototypes.certainty import certainty


def scores(seed=0):
    return torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(seed))


def test_means_of_an_image_and_its_clusters(tmp_path):
    book = CertaintyBook(tmp_path / "c.jsonl", "m")
    book.note("a", "photo", scores())
    found = CertaintyBook(tmp_path / "c.jsonl", "m").get("a", "photo")
    values, classes = certainty(scores()), scores().argmax(0)
    assert found.mean == pytest.approx(values.mean().item(), abs=1e-4)
    for cluster in range(3):
        inside = values[classes == cluster]
        assert found.tokens[cluster] == len(inside)
        assert found.sums[cluster] == pytest.approx(inside.sum().item(), abs=2e-3)
    table, _ = merge_classes(fresh_table(3, [(0, 0, 0)] * 255), [0, 2], "x")
    merged = class_certainty([found], table)
    assert merged[0] == pytest.approx(values[classes != 1].mean().item(), abs=1e-3)


def test_lines_of_another_model_or_photograph_do_not_count(tmp_path):
    CertaintyBook(tmp_path / "c.jsonl", "m").note("a", "photo", scores())
    assert CertaintyBook(tmp_path / "c.jsonl", "n").get("a") is None
    assert CertaintyBook(tmp_path / "c.jsonl", "m").get("a", "other") is None
    assert CertaintyBook(tmp_path / "c.jsonl", "m").get("a") is not None


def test_the_end_puts_the_file_in_order(tmp_path):
    path = tmp_path / "c.jsonl"
    book = CertaintyBook(path, "m")
    for name in ("b", "a", "gone", "b"):
        book.note(name, "photo", scores())
    with path.open("a") as file:
        file.write('{"image": "torn", "pho')
    assert CertaintyBook(path, "m").get("torn") is None
    assert CertaintyBook(path, "m").get("gone") is not None
    book.finish(["a", "b", "unknown"])
    assert [json.loads(line)["image"] for line in path.read_text().splitlines()] == ["a", "b"]
    before = path.stat().st_mtime_ns
    CertaintyBook(path, "m").finish(["a", "b"])
    assert path.stat().st_mtime_ns == before


def test_images_far_below_the_others_fit_no_class():
    means = {f"{number}": 0.6 + 0.01 * number for number in range(10)}
    assert doubtful_images(means) == []
    assert doubtful_images({**means, "x": 0.1, "y": 0.05}) == [("y", 0.05), ("x", 0.1)]
    assert doubtful_images({"a": 0.9, "b": 0.1}) == []


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=12))
def test_doubtful_images_are_the_least_certain_ones(means):
    found = doubtful_images(means)
    assert found == sorted(means.items(), key=lambda each: (each[1], each[0]))[: len(found)]
    assert len(found) <= len(means) / 4
