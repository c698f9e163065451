import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import primaps as pm
from primaps import pipeline
from primaps.errors import ConfigError
from primaps.outputs.label_files import read_label_image
from primaps.pipeline.accepting import accept
from primaps.pipeline.candidates import CandidateFolder
from primaps.pipeline.evidence import gather
from primaps.pipeline.named_labels import NamedLabels, correct
from primaps.pipeline.splitting import split_class, split_prototypes, split_table
from primaps.runs.model import Model
from primaps.types import ClassTable, NamedClass

GREY = (1, 2, 3)


def opened(folder):
    return pipeline.reopen(folder, {})


def largest(folder):
    maps = [read_label_image(path) for path in (folder / "labels").rglob("*.png")]
    return int(np.bincount(np.concatenate([each.ravel() for each in maps])).argmax())


def test_a_candidate_parts_one_class_and_leaves_the_others(named_run):
    parted = largest(named_run)
    pm.classes(named_run, name={parted: "road"})
    candidate = split_class(opened(named_run), parted)
    assert (candidate.kind, candidate.number) == ("split", 1)
    assert candidate.moves == {0: 0, 1: 1, 2: 2, 3: 3}
    assert candidate.back == {4: parted}
    out = named_run / "candidates" / "1"
    assert json.loads((out / "candidate.json").read_text("utf-8"))["kind"] == "split"
    assert CandidateFolder(named_run).read(1) == candidate
    table = pm.classes(out)
    assert (table.classes[parted].name, table.classes[4].name) == ("road 1", "road 2")
    assert table.classes[4].clusters == (4,)
    assert (out / "report.html").exists()
    changed = total = 0
    parts = set()
    for path in (named_run / "labels").rglob("*.png"):
        before = read_label_image(path)
        after = read_label_image(out / "labels" / path.relative_to(named_run / "labels"))
        whole = np.where(after == 4, parted, after)
        changed += int((whole != before).sum())
        total += before.size
        parts |= set(np.unique(after[before == parted]).tolist())
    assert changed < 0.1 * total
    assert {parted, 4} <= parts


def test_it_can_be_accepted_and_taken_back_and_corrections_follow(named_run):
    parted = largest(named_run)
    correct(named_run, [("0.png", 1, parted)])
    before = (named_run / "classes.yaml").read_bytes()
    split_class(opened(named_run), parted)
    accept(opened(named_run), 1)
    assert pm.classes(named_run).num_clusters == 5
    assert json.loads((named_run / "run.json").read_text("utf-8"))["named"] is None
    assert said(named_run)["0.png", 1] in {parted, 4}
    correct(named_run, [("2.png", 1, 4)])
    accept(opened(named_run), None)
    assert (named_run / "classes.yaml").read_bytes() == before
    assert said(named_run) == {("0.png", 1): parted, ("2.png", 1): parted}


def said(folder):
    labels = NamedLabels(folder)
    return {
        (image, proposal): class_id
        for image in labels.corrected_images
        for proposal, class_id in labels.binding(image).classes.items()
    }


def test_what_was_said_of_the_class_goes_to_the_part_that_is_nearest(named_run):
    parted, run = largest(named_run), opened(named_run)
    evidence = gather(run)
    rows = (evidence.clusters == parted).nonzero().flatten().tolist()
    every = [evidence.stored.name(row) for row in rows]
    correct(named_run, [(*each, parted) for each in every])
    candidate = split_class(run, parted)
    assert set(candidate.said) < set(every)
    assert set(candidate.said.values()) == {4}
    changed = next(iter(candidate.said))
    correct(named_run, [(*changed, 255)])  # in the meantime somebody says otherwise
    accept(opened(named_run), 1)
    expected = {each: candidate.said.get(each, parted) for each in every} | {changed: 255}
    assert said(named_run) == expected
    accept(opened(named_run), None)
    assert said(named_run) == dict.fromkeys(every, parted) | {changed: 255}


@pytest.mark.parametrize(
    ("class_id", "parts", "message"),
    [
        (0, 1, "2..20 parts"),
        (99, 2, "there is no class 99"),
        (4, 2, "was said of proposals"),
        (0, 20, "20 or more proposals"),
    ],
)
def test_what_cannot_be_parted_is_refused(named_run, class_id, parts, message):
    pm.classes(named_run, dataset="camvid")
    with pytest.raises(ConfigError, match=message):
        split_class(opened(named_run), class_id, parts)
    assert CandidateFolder(named_run).numbers() == []


def test_the_same_split_gives_the_same_model(named_run):
    parted = largest(named_run)
    first, second = (split_class(opened(named_run), parted) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    models = [Model.load(named_run / "candidates" / str(number)) for number in (1, 2)]
    assert torch.equal(models[0].prototypes, models[1].prototypes)


@pytest.mark.parametrize("cosine", [False, True])
def test_parts_compete_among_themselves_by_their_centres(cosine):
    generator = torch.Generator().manual_seed(0)
    axes = torch.eye(8)
    kinds = torch.stack([axes[0] + axes[1], axes[0] - axes[1], axes[2], axes[3]])
    draw = torch.randint(0, 4, (400,), generator=generator)
    unit = F.normalize(kinds[draw] + 0.1 * torch.randn(400, 8, generator=generator), dim=1)
    prototypes = 5.0 * torch.stack([axes[2], axes[0], axes[3]])
    members = draw < 2
    centres = F.normalize(kinds[:2], dim=1)
    found = split_prototypes(prototypes, [1], centres, unit[members], cosine=cosine)
    assert found.shape == (4, 8)
    weights = F.normalize(found, dim=1) if cosine else found
    best = (unit @ weights.T).argmax(1)
    expected = torch.tensor([1, 3, 0, 2])[draw]
    assert (best == expected).float().mean() > 0.97


def test_a_class_of_several_clusters_has_one_part_of_each():
    table = ClassTable(
        3,
        (
            NamedClass(0, "road", GREY, (0, 2), ignore=True, note="mine"),
            NamedClass(1, "road 1", GREY, (1,)),
            NamedClass(5, "waits", GREY, ()),
        ),
    )
    found = split_table(table, 0, 3)
    assert [(each.id, each.name, each.clusters, each.ignore) for each in found.classes] == [
        (0, "road 2", (0, 2), True),
        (1, "road 1", (1,), False),
        (3, "road 3", (3, 4), True),
        (4, "road 4", (5, 6), True),
        (5, "waits", (), False),
    ]
    assert found.num_clusters == 7
    assert found.classes[0].note == "mine"
