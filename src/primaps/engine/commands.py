"""What ``primaps proposals`` and ``primaps predict`` do: in this process, by workers, or by workers
with shards for outputs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from primaps import pipeline
from primaps.config import Config
from primaps.data.looking import HERE, Look
from primaps.data.scanning import Scan
from primaps.engine.fetching import fetched, lie_elsewhere
from primaps.engine.folders import claim_to_predict, predict_by_workers, proposals_by_workers
from primaps.engine.looking_apart import LookApart
from primaps.engine.options import SHARD_SIZE, SHARDED_FROM, EngineOptions
from primaps.engine.outcome import Outcome
from primaps.engine.sharded import Sharded, listing_for, record_folder, shards_at
from primaps.errors import ConfigError
from primaps.pipeline.beginning import Choice
from primaps.pipeline.labelling import Extras
from primaps.pipeline.opening import PROPOSAL_STAGES, claim, find_images, found_run
from primaps.pipeline.settings import settings_for
from primaps.progress import Progress
from primaps.runs.model import Model
from primaps.runs.run import Run, RunFolder
from primaps.shards.parquet_files import require_parquet
from primaps.shards.places import Place, place_of
from primaps.shards.references import Listing
from primaps.types import FeatureExtractor


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
        inputs: Files, folders, glob patterns; URLs and tar files.
        out: Folder or URL for outputs.
        options: Engine, workers, shards, limits.
        device: Where backbones run.
        overwrite: Redo what other settings made.
        progress: Who is told.
    """

    inputs: Sequence[str]
    out: str
    options: EngineOptions
    device: str
    overwrite: bool
    progress: Progress

    @property
    def place(self) -> Place:
        """Where outputs go."""
        return place_of(self.out)

    @property
    def is_ordinary(self) -> bool:
        """Whether it is done in this process, of images on disk, in the usual folders."""
        if self.options.wanted or lie_elsewhere(self.inputs) or not self.place.is_local:
            return False
        return self.listing() is None

    def found(self, backbone: FeatureExtractor, config: Config, look: Look) -> Run:
        """The run on the images, in the usual folders; what lies elsewhere is fetched.

        Args:
            backbone: The frozen feature extractor.
            config: All settings.
            look: Who looks into files with several pages.

        Raises:
            PrimapsError: As `primaps.pipeline.opening.find_images`.
        """
        out, progress = self.place.folder, self.progress
        if lie_elsewhere(self.inputs):
            scan: Scan = fetched(self.inputs, out, progress)
            return found_run(
                scan,
                RunFolder(out),
                backbone,
                config,
                progress=progress,
                max_failures=self.options.max_failures,
                look=look,
            )
        return find_images(
            self.inputs,
            Path(self.out),
            backbone,
            config,
            progress=progress,
            max_failures=self.options.max_failures,
            look=look,
        )

    @contextlib.contextmanager
    def looking(self) -> Iterator[Look]:
        """Who looks into images before work begins, while the block runs: a process apart where
        workers do the rest, since an image that ends them does not end the command either.
        """
        if not self.options.wanted:
            yield HERE
            return
        apart = LookApart(self.options.limits)
        try:
            yield apart
        finally:
            apart.close()

    def listing(self) -> tuple[Listing, Request] | None:
        """The images, if outputs are to be shards, and the request with their size and format;
        None if they are the usual folders.

        Raises:
            ConfigError: If something else lies there.
            DatasetError: If there is no image.
            MissingExtraError: If there is nothing to write the format with.
        """
        place, size = self.place, self.options.shards
        old = shards_at(place)  # of an earlier command
        if size is None and old is not None:
            size = old[0]
        if size is None and (self.options.shard_format or not place.is_local):
            size = SHARD_SIZE
        if size == 0 and not place.is_local:
            raise ConfigError(
                f"Expected --shards on for outputs in an object store, but got --out {self.out} and"
                " off. Choose a folder, or leave --shards out."
            )
        if size == 0 and old is not None:
            raise ConfigError(
                f"Expected --shards {old[0]}, as {self.out} has them, but got off. Leave --shards"
                " out, or choose another --out."
            )
        if size is None and place.exists("run.json"):
            return None
        if size == 0:
            return None
        form = self.options.shard_format or ("tar" if old is None else old[1])
        if form == "parquet":
            require_parquet()
        listing = listing_for(place, self.inputs)
        if size is None:
            if len(listing.references) < SHARDED_FROM:
                return None
            size = SHARD_SIZE
            self.progress.note(
                f"{len(listing.references)} images: outputs are {form} files of {size} images each,"
                " with a manifest, because file systems hold millions of files badly. --shards off"
                " makes the usual folders."
            )
        options = replace(self.options, shards=size, shard_format=cast("None", form))
        return listing, replace(self, options=options)

    def sharded(
        self, listing: Listing, folder: Path, backbone: FeatureExtractor, config: Config
    ) -> Sharded:
        """The command with shards."""
        return Sharded(
            self.place,
            folder,
            listing,
            self.inputs,
            backbone,
            config,
            self.device,
            self.options,
            self.overwrite,
            self.progress,
        )


def proposals(request: Request, choice: Choice) -> Outcome:
    """Features and mask proposals.

    Args:
        request: Images, outputs, engine.
        choice: Settings and backbone.

    Raises:
        PrimapsError: As `primaps.pipeline.proposals`.
    """
    found = request.listing()
    if found is not None:
        listing, request = found
        with record_folder(request.place) as folder:
            config = choice.config(folder, request.progress)
            backbone = choice.extractor(folder, request.progress)
            run = request.sharded(listing, folder, backbone, config).proposals()
            return Outcome(request.out, True, tuple(run.failures))
    out = Path(request.out)
    config = choice.config(out, request.progress)
    backbone = choice.extractor(out, request.progress)
    with request.looking() as look:
        run = request.found(backbone, config, look)
        claim(run, PROPOSAL_STAGES, overwrite=request.overwrite, look=look)
    if request.options.wanted:
        proposals_by_workers(run, request.options, request.device, inputs=request.inputs)
    else:
        pipeline.proposals(run, inputs=request.inputs)
    return Outcome(request.out, False, tuple(run.failures))


def predict(
    request: Request,
    backbone: FeatureExtractor,
    model: Model,
    names: Path,
    config: Config,
    given: Mapping[str, Any],
    extras: Extras,
) -> Outcome:
    """Label maps with a fitted model.

    Args:
        request: Images, outputs, engine.
        backbone: The one that the model was fitted to.
        model: The prototypes.
        names: Folder of the model, or of its run.
        config: Settings of the model.
        given: Settings that the user gave.
        extras: What is made beside label maps.

    Raises:
        PrimapsError: As `primaps.pipeline.predict_images`.
    """
    found = request.listing()
    if found is not None:
        listing, request = found
        with record_folder(request.place) as folder:
            settings = settings_for(folder, config, given, request.progress)
            sharded = request.sharded(listing, folder, backbone, settings)
            run = sharded.predict(model, names, extras)
            return Outcome(request.out, True, tuple(run.failures))
    settings = settings_for(Path(request.out), config, given, request.progress)
    if request.options.wanted or lie_elsewhere(request.inputs):
        with request.looking() as look:
            run = request.found(backbone, settings, look)
            claim_to_predict(run, model, overwrite=request.overwrite, look=look)
        predict_by_workers(
            run,
            model,
            names,
            request.options,
            request.device,
            inputs=request.inputs,
            extras=extras,
        )
    else:
        run = pipeline.open_prediction(
            request.inputs,
            Path(request.out),
            backbone,
            model,
            settings,
            overwrite=request.overwrite,
            progress=request.progress,
            max_failures=request.options.max_failures,
        )
        pipeline.predict_opened(run, model, request.inputs, names=names, extras=extras)
    return Outcome(request.out, False, tuple(run.failures))
