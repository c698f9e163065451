"""How many classes a run finds where nobody says: what its folder has, or a proposed number."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from primaps.compute.cores import workers
from primaps.config import MIN_CLASSES
from primaps.naming.class_number import propose_number
from primaps.prototypes.clusters import spherical_kmeans
from primaps.prototypes.loop.proposal_steps import read_proposals
from primaps.prototypes.loop.state import Phase
from primaps.prototypes.loop.task import Draw, Task
from primaps.runs.run import Run
from primaps.types import ImageFile, NumberChoice

FEW_EACH: Final = 3
"""Proposals per class below which a number of classes is called large."""
MOST_LISTED: Final = 10
"""Ids of empty classes that are listed at most."""
OVERCLUSTERS: Final = 50
"""Clusters at most that the proposals are divided into before these are merged."""
PROPOSALS_EACH: Final = 2
"""Proposals per such cluster at least, on average."""
CLUSTERINGS: Final = 8
"""Such divisions, over which scores are averaged."""
RESTARTS: Final = 2
"""Starts of the k-means that finds each."""
MOST_PROPOSALS: Final = 4000
"""Proposals that are looked at, at most, of random images."""


def recall_number(run: Run, *, anew: bool = False) -> None:
    """Where no number is given, a folder keeps the one it was begun with, also when images are
    added.

    Args:
        run: Its folder is not claimed yet.
        anew: Leave aside what the folder has.
    """
    known = run.config.num_clusters is None and not anew
    run.chosen_number = run.folder.number if known else None
    if run.chosen_number is None:
        run.folder.record.pop("number_of_classes", None)


def note_of_many(run: Run, images: Sequence[ImageFile]) -> None:
    """Tell where there are few proposals for the classes that were asked for.

    Args:
        run: Its proposals stage is done, its number of classes known.
        images: Those with stored features and proposals.
    """
    store, number = run.store, run.num_clusters
    infos = (store.info(image.name) for image in images)
    proposals = sum(info.num_masks for info in infos if info is not None)
    if images and proposals < FEW_EACH * number:
        run.progress.note(
            f"{number} classes are many for {len(images)} photographs with {proposals} proposals:"
            " some will own one thing alone, or nothing. A smaller --classes K, or --classes auto,"
            " may describe them better."
        )


def note_of_empty(run: Run, empty: Sequence[int]) -> None:
    """Tell how many classes nothing belongs to, and put them on record.

    Args:
        run: The run.
        empty: Clusters without a pixel in any label map, or, where there is none yet, that own no
            part of any training image.
    """
    run.counts["dead_clusters"] = list(empty)
    if empty:
        ids = f" (ids {', '.join(map(str, empty))})" if len(empty) <= MOST_LISTED else ""
        run.progress.note(
            f"{len(empty)} of {run.num_clusters} classes own no part of any image{ids}. Fewer"
            " --classes may describe these photographs better."
        )


def settle_number(run: Run, images: Sequence[ImageFile], *, recorded: bool) -> None:
    """Propose a number of classes where none is given or known.

    Args:
        run: Its proposals stage is done.
        images: Those with stored features and proposals.
        recorded: Put it on record in the run folder, which is claimed.

    Raises:
        DatasetError: If features are not finite, or there is no proposal.
        OutputError: If the folder cannot be written.
    """
    if run.config.num_clusters is not None or run.chosen_number is not None:
        return
    run.chosen_number = _proposed(run, images)
    run.progress.note(
        f"{run.chosen_number.value} classes are proposed for these photographs. --classes K sets"
        " another number."
    )
    if recorded:
        run.folder.keep_number(run.chosen_number)


def lower_number(run: Run, dead: Sequence[int], *, recorded: bool) -> bool:
    """Propose as many classes less as own nothing, after a fit; not where the number is given.

    Args:
        run: Whose number it is.
        dead: Classes that own no part of any image.
        recorded: As for `settle_number`.

    Returns:
        Whether the number is another one now.

    Raises:
        OutputError: If the folder cannot be written.
    """
    choice = run.chosen_number
    if choice is None or run.config.num_clusters is not None or not dead:
        return False
    value = max(MIN_CLASSES, choice.value - len(dead))
    if value == choice.value:
        return False
    run.progress.note(f"{len(dead)} of them own no part of any image: {value} are fitted instead.")
    run.chosen_number = dataclasses.replace(choice, value=value)
    if recorded:
        run.folder.keep_number(run.chosen_number)
    return True


def _proposed(run: Run, images: Sequence[ImageFile]) -> NumberChoice:
    most = min(MOST_PROPOSALS, run.config.fit.max_proposals)
    settings = dataclasses.replace(run.config.fit, tokens_per_proposal=0, max_proposals=most)
    source = run.store.source([image.name for image in images])
    with run.stage("number of classes", len(images)), workers() as threads:
        task = Task(
            source,
            MIN_CLASSES,
            settings,
            run.config.seed,
            progress=lambda _, done, __: run.progress.advance() if done else None,
            workers=threads,
        )
        means = read_proposals(task).features
        count = max(MIN_CLASSES, min(OVERCLUSTERS, len(means) // PROPOSALS_EACH))
        numbers = [
            range(first, first + RESTARTS) for first in range(0, CLUSTERINGS * RESTARTS, RESTARTS)
        ]
        found = [
            spherical_kmeans(
                means,
                count,
                [task.generator(Phase.PCA, Draw.STEP, number) for number in starts],
                each=threads.each,
            )
            for starts in numbers
        ]
        return propose_number(means.numpy(), [each.nearest.numpy() for each in found])
