"""Routes that read: the run, its state, pictures and maps, and what the pipeline knows of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from anyio import to_thread
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from primaps.pipeline.candidates import CandidateFolder
from primaps.pipeline.classes import read_classes
from primaps.pipeline.suggesting import MOST
from primaps.pipeline.suggestion_rounds import PLAN
from primaps.pipeline.viewed_state import candidate_records, class_entries
from primaps.runs.run import RunFolder
from primaps.studio.answering import as_json, picture, unchanged
from primaps.studio.asking import number_parameter, optional_number, parameter
from primaps.studio.backbones import described_backbones
from primaps.studio.cards import card_of
from primaps.studio.formats import described_formats
from primaps.studio.job_kinds import LAST_CANDIDATE, candidate_number
from primaps.studio.keeping import Kept, Made
from primaps.studio.served import Served

SIDE: Final = 640
LARGEST_SIDE: Final = 100_000
LAST_ROUND: Final = 10_000
LAST_PROPOSAL: Final = 65_535
"""Proposals are kept as 16-bit PNG."""

JPEG: Final = "image/jpeg"
DEFLATED: Final = "application/octet-stream"


class Reading:
    """Routes that read.

    Args:
        served: The folder.
        pictures: Pictures that were just made.
    """

    def __init__(self, served: Served, pictures: Kept) -> None:
        self._served, self._pictures = served, pictures

    async def run(self, request: Request) -> Response:
        """GET /api/run."""

        def make() -> Made:
            return bytes(as_json(self._served.viewed.record()).body), {}

        content, _ = await self._pictures.get(f"run {self._served.generation}", make)
        tag = hashlib.sha256(content).hexdigest()[:16]
        return unchanged(request, tag) or picture(content, tag, "application/json")

    async def state(self, request: Request) -> Response:  # noqa: ARG002 - nothing to ask with
        """GET /api/state."""
        return as_json(await to_thread.run_sync(self._served.state))

    async def photo(self, request: Request) -> Response:
        """GET /api/photo."""
        name = self._served.name(parameter(request, "image"))
        side = number_parameter(request, "side", 1, LARGEST_SIDE, SIDE)
        viewed = self._served.viewed
        tag = self._served.stamp([self._served.photo(name)], "photo", name, side)
        return await self._picture(request, tag, JPEG, lambda: (viewed.photo(name, side), {}))

    async def maps(self, request: Request) -> Response:
        """GET /api/maps."""
        name = self._served.name(parameter(request, "image"))
        side = optional_number(request, "side", 1, LARGEST_SIDE)
        number = optional_number(request, "candidate", 1, LAST_CANDIDATE)
        folder, viewed = RunFolder(self._served.root), self._served.viewed
        if number is not None:
            viewed = await to_thread.run_sync(self._served.candidate, number)
            folder = RunFolder(CandidateFolder(self._served.root).of(number))
        paths = [folder.labels(name), folder.proposals(name)]
        tag = self._served.stamp(paths, "maps", name, side, number)
        return await self._picture(
            request, tag, DEFLATED, lambda: with_size(*viewed.maps(name, side))
        )

    async def certainty(self, request: Request) -> Response:
        """GET /api/certainty."""
        name, viewed = self._served.name(parameter(request, "image")), self._served.viewed
        path = RunFolder(self._served.root).certainty(name)
        if not path.exists():
            return Response(None, 204)
        tag = self._served.stamp([path], "certainty", name)

        def make() -> Made:
            found = viewed.certainty(name)
            return (b"", {}) if found is None else with_size(*found)

        answer = await self._picture(request, tag, DEFLATED, make)
        return answer if answer.status_code == 304 or answer.body else Response(None, 204)

    async def card(self, request: Request) -> Response:
        """GET /api/card."""
        name = self._served.name(parameter(request, "image"))
        number = number_parameter(request, "proposal", 1, LAST_PROPOSAL, None)
        viewed, folder = self._served.viewed, RunFolder(self._served.root)
        paths = [self._served.photo(name), folder.proposals(name)]
        tag = self._served.stamp(paths, "card", name, number)
        return await self._picture(request, tag, JPEG, lambda: (card_of(viewed, name, number), {}))

    async def suggestions(self, request: Request) -> Response:
        """GET /api/suggestions."""
        number = number_parameter(request, "round", 0, LAST_ROUND, 0)
        groups = number_parameter(request, "groups", 1, MOST, PLAN.groups)

        found = await to_thread.run_sync(lambda: self._served.knowing().cards(number, groups))
        return as_json({"cards": found, "round": number})

    async def alike(self, request: Request) -> Response:
        """GET /api/alike."""
        name = self._served.name(parameter(request, "image"))
        number = number_parameter(request, "proposal", 1, LAST_PROPOSAL, None)
        found = await to_thread.run_sync(lambda: self._served.knowing().alike(name, number))
        return as_json({"proposals": [[image, proposal] for image, proposal in found]})

    async def candidate(self, request: Request) -> Response:
        """GET /api/candidate."""
        number = candidate_number(number_parameter(request, "number", 1, LAST_CANDIDATE, None))
        return as_json(await to_thread.run_sync(self._compared, number))

    def _compared(self, number: int) -> dict[str, Any]:
        """A candidate, and what it makes of each image of the run."""
        images = self._served.candidate(number).record()["images"]
        root = self._served.root
        table = read_classes(CandidateFolder(root).of(number))
        owner = table.cluster_to_class()
        pixels = {
            name: _by_class(counts, owner)
            for name, counts in zip(images["name"], images["clusters"], strict=True)
        }
        records = {each["number"]: each for each in candidate_records(root)}
        return {
            "candidate": records[number],
            "classes": class_entries(table),
            "images": [
                pixels.get(name, []) for name in self._served.viewed.record()["images"]["name"]
            ],
        }

    async def formats(self, request: Request) -> Response:  # noqa: ARG002 - nothing to ask with
        """GET /api/formats."""
        return as_json({"formats": await to_thread.run_sync(described_formats)})

    async def backbones(self, request: Request) -> Response:  # noqa: ARG002 - nothing to ask with
        """GET /api/backbones."""
        found = await to_thread.run_sync(described_backbones, self._served.root)
        return as_json({"backbones": found})

    async def _picture(
        self, request: Request, tag: str, kind: str, make: Callable[[], Made]
    ) -> Response:
        known = unchanged(request, tag)
        if known is not None:
            return known
        content, headers = await self._pictures.get(tag, make)
        return picture(content, tag, kind, headers)


def _by_class(counts: Sequence[Sequence[int]], owner: NDArray[np.int64]) -> list[list[int]]:
    """Counts by cluster, [cluster, pixels], as counts by class; 255 = unlabelled."""
    found: Counter[int] = Counter()
    for cluster, pixels in counts:
        found[int(owner[cluster])] += pixels
    return [[each, found[each]] for each in sorted(found)]


def with_size(width: int, height: int, content: bytes) -> Made:
    """Maps and the headers that tell their size.

    Args:
        width: In pixels.
        height: Likewise.
        content: Deflated, row by row.
    """
    return content, {"x-width": str(width), "x-height": str(height)}
