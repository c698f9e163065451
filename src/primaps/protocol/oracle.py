"""The official choice of a checkpoint: the best mean IoU on the labels that are measured
afterwards. Not unsupervised.

It exists to compare with published numbers, which were chosen like this, and is marked in every
output.
"""

from __future__ import annotations

from collections.abc import Sequence

from primaps.errors import DatasetError
from primaps.evaluation.evaluate import score_table
from primaps.evaluation.metrics import confusion
from primaps.features.device import compute_device
from primaps.pipeline.failures import all_failed
from primaps.pipeline.parallel import for_each_image
from primaps.protocol.counting import TableSums
from primaps.protocol.features import PLAIN
from primaps.protocol.images import Part, framed_labels
from primaps.protocol.selection import Selected, best
from primaps.prototypes.classifier import label_map_from_logits, logits
from primaps.prototypes.loop.state import Snapshot
from primaps.runs.run import Run
from primaps.runs.store import FeatureStore
from primaps.types import ImageFile


def best_on_labels(
    run: Run, candidates: Sequence[Snapshot], part: Part, store: FeatureStore
) -> Selected:
    """The candidate whose teacher has the best mean IoU on the measured images, without mirroring
    and CRF.

    Args:
        run: Whose progress advances; images whose labels cannot be used are added to its failures
            and left out.
        candidates: Prototypes of one fit.
        part: The measured images.
        store: Their features.

    Raises:
        DatasetError: If no labels can be used.
    """
    num_clusters, names = len(candidates[0].teacher), part.dataset.class_names
    device = compute_device(run.backbone.device)
    sums = TableSums([(len(names), num_clusters + 1)] * len(candidates))

    def count(image: ImageFile) -> None:
        truth = framed_labels(part, image.name, run.config, measured=True)
        features = store.features(image.name, PLAIN).float().to(device)
        found = []
        for candidate in candidates:
            # The norm of a pixel's feature does not change which class is best, so that cosines
            # need no division.
            scores = logits(features, candidate.teacher.to(device))
            labels = label_map_from_logits(scores, (truth.shape[0], truth.shape[1])).cpu().numpy()
            found.append(confusion(truth, labels, len(names), num_clusters, unassigned_column=True))
        sums.add(found)

    with run.stage("select: oracle", len(part.files)):
        for_each_image(run, part.files, "oracle", count)
    if not sums.images:
        raise DatasetError(all_failed(run.failures))
    criterion = [score_table(table, names, sums.images).miou for table in sums.tables]
    return best(candidates, criterion, "oracle")
