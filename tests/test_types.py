import pydoc

import numpy as np
import torch
from pycocotools import mask as coco_mask

from primaps.types import (
    ClassTable,
    ClusterAssignment,
    EvaluationResult,
    FeatureExtractor,
    FitResult,
    MaskProposals,
    NamedClass,
)


def test_records_describe_every_proposal():
    label_image = np.zeros((6, 8), dtype=np.int32)
    label_image[1:3, 2:7] = 1
    label_image[4, 0] = 2
    proposals = MaskProposals(label_image, np.array([0.9, 0.5], dtype=np.float32))
    first, second = proposals.to_records()
    assert (first["id"], first["area"], first["bbox"]) == (1, 10, [2.0, 1.0, 5.0, 2.0])
    assert (second["id"], second["area"], second["bbox"]) == (2, 1, [0.0, 4.0, 1.0, 1.0])
    assert np.isclose(first["score"], 0.9)
    np.testing.assert_array_equal(coco_mask.decode(first["segmentation"]), label_image == 1)
    assert proposals.num_masks == 2
    assert proposals.coverage == 11 / 48


def test_proposals_say_how_many_they_are():
    label_image = np.zeros((6, 8), dtype=np.int32)
    label_image[:3] = 1
    proposals = MaskProposals(label_image, np.array([0.9], dtype=np.float32), ("crf_erased_all",))
    assert repr(proposals) == (
        "MaskProposals(1 proposals in 8 x 6 pixels, 50% covered, guards=('crf_erased_all',))"
    )


def test_no_proposals_no_records():
    proposals = MaskProposals(np.zeros((3, 3), dtype=np.int32), np.zeros(0, dtype=np.float32))
    assert proposals.to_records() == []
    assert proposals.coverage == 0.0


def test_dead_clusters_are_those_without_tokens():
    fit = FitResult(
        torch.zeros(4, 2), torch.zeros(4, 2), cosine=False, usage=torch.tensor([3, 0, 1, 0])
    )
    assert fit.dead_clusters == (1, 3)


def test_a_class_table_maps_clusters_to_classes():
    table = ClassTable(
        5,
        (
            NamedClass(0, "road", (1, 2, 3), (1, 4)),
            NamedClass(2, None, (4, 5, 6), (0,)),
            NamedClass(3, "sky", (7, 8, 9), (2,), ignore=True),
            NamedClass(7, "pole", (7, 8, 0), ()),
        ),
    )
    assert [each.title for each in table.classes] == ["road", "class 2", "sky", "pole"]
    assert table.cluster_to_class()[:6].tolist() == [2, 0, 255, 255, 0, 255]
    assert table.cluster_to_class()[255] == 255


def test_help_on_backbones_shows_signatures_and_attributes():
    text = pydoc.render_doc(FeatureExtractor, renderer=pydoc.plaintext)
    assert "extract(self, image: 'ImageLike', size: 'int' = 320) -> 'torch.Tensor'" in text
    assert "threshold: Cosine similarity from which a token" in text


def test_proposals_are_compared_by_what_they_hold():
    labels, scores = np.eye(3, dtype=np.int32), np.ones(1, dtype=np.float32)
    proposals = MaskProposals(labels, scores)
    assert proposals == MaskProposals(labels.copy(), scores.copy())
    assert proposals != MaskProposals(labels * 0, scores)
    assert proposals != MaskProposals(labels, scores, ("median_erased_all",))
    assert proposals != labels.tolist()


def test_scores_are_compared_by_what_they_count():
    assignment = ClusterAssignment(np.array([0, 1]), ("a", "b"))

    def result(confusion):
        return EvaluationResult(0.5, float("nan"), {}, assignment, np.array(confusion), 1)

    assert result([[1, 0], [0, 1]]) == result([[1, 0], [0, 1]])
    assert result([[1, 0], [0, 1]]) != result([[1, 0], [0, 2]])
    assert result([[1, 0], [0, 1]]) != "scores"
