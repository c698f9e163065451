"""`Segmenter`: fit, predict, save and load in a notebook. A thin class over the pipeline."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, Self, cast, get_args

import numpy as np
from numpy.typing import NDArray

from primaps.arguments import backbone_of, image_paths
from primaps.bars import told_to
from primaps.config import Config, KeptStore, Method, one_of
from primaps.data.dataset import LabelledDataset
from primaps.data.reading import image_path, read_photo
from primaps.errors import CheckpointError, ConfigError, UnusedInputWarning
from primaps.given import given_path, truth, whole_number
from primaps.heads.loading import load_backbone, reload_backbone
from primaps.naming.applying import apply_classes
from primaps.naming.table import fresh_table
from primaps.outputs.model_card import Measured
from primaps.pictures import as_image
from primaps.pipeline import (
    ALL_STAGES,
    PROPOSAL_STAGES,
    finishing,
    fit_and_name,
    open_run,
    predict_images,
    reopen,
    segment,
)
from primaps.pipeline.classes import default_colours, read_classes, save_classes
from primaps.pipeline.commands import refuse_other_model
from primaps.pipeline.extraction_for_fit import extract_for_fit
from primaps.pipeline.hub import Hub, fetch_model, push_model
from primaps.pipeline.kept_store import shrink
from primaps.pipeline.labelling import Extras
from primaps.pipeline.number_of_classes import note_of_empty, settle_number
from primaps.pipeline.opening import claim
from primaps.pipeline.places import refuse_model_place
from primaps.pipeline.prediction import image_features, label_map
from primaps.pipeline.settings import preset_for
from primaps.progress import Progress
from primaps.runs.model import Model
from primaps.runs.run import Run, read_failures
from primaps.runs.store import hold, release
from primaps.types import (
    IGNORE_INDEX,
    ClassTable,
    EvaluationResult,
    Failure,
    FeatureExtractor,
    Image,
    ImageLike,
)

_REMEDY: Final = (
    "Choose another run_dir, or give overwrite=True to redo there what depends on them. To fit"
    " beside it on the same features, give model_dir=DIR."
)


class Segmenter:
    """Unsupervised semantic segmentation: fitted to images without labels, gives a label map for
    any image.

    Args:
        backbone: A frozen feature extractor from `primaps.load_backbone`, or the name of one, such
            as "efficientnet_lite0".
        num_clusters: Number of classes to find, 2..254; "auto" = proposed from the images.
        seed: Of the fit.
        method: "em" (PriMaPs-EM), "clusters" (k-means of the proposals) or "baseline" (cosine
            k-means of the tokens).
        config: All other settings, or the name of a preset: "default", "paper" or "fast"; None =
            "default".
        store: What stays of the features in a run folder, "full", "light" or "none", see
            `primaps.Config`; None = as ``config`` says.

    Raises:
        ConfigError: If a setting is out of range.
        BackboneError: If there is no backbone of this name, or its weights cannot be had.

    Examples:
        >>> import primaps as pm
        >>> segmenter = pm.Segmenter(pm.load_backbone("texture", device="cpu"), num_clusters=5)
        >>> segmenter.is_fitted
        False
    """

    def __init__(
        self,
        backbone: FeatureExtractor | str,
        num_clusters: int | Literal["auto"] = 27,
        seed: int = 0,
        *,
        method: str = "em",
        config: Config | str | None = None,
        store: str | None = None,
    ) -> None:
        one_of("method", method, get_args(Method))
        number = (
            None
            if isinstance(num_clusters, str) and num_clusters == "auto"
            else whole_number("num_clusters", num_clusters, also=" or 'auto'")
        )
        if isinstance(config, Config):
            base = config
        elif config is None or isinstance(config, str):
            base = preset_for(config or "default", backbone_of(backbone), auto=number is None)
        else:
            raise ConfigError(
                "Expected config to be a primaps.Config or the name of a preset, but got"
                f" {config!r}."
            )
        self._config = dataclasses.replace(
            base,
            num_clusters=number,
            seed=whole_number("seed", seed),
            fit=base.fit.with_method(cast("Method", method)),
            store=base.store if store is None else cast("KeptStore", store),
        )
        self.backbone = load_backbone(backbone) if isinstance(backbone, str) else backbone
        self._model: Model | None = None
        self._classes: ClassTable | None = None
        self._folder: Path | None = None
        self._failures: tuple[Failure, ...] = ()

    def __repr__(self) -> str:
        number = "auto" if self.config.num_clusters is None else self.config.num_clusters
        if not self.is_fitted:
            state = "not fitted yet"
        elif self._folder is None:
            state = f"fitted, {self.model.num_clusters} classes"
        else:
            state = f"fitted, {self.model.num_clusters} classes, in {self._folder}"
        return (
            f"Segmenter({self.backbone.name!r}, num_clusters={number!r}, seed={self.config.seed},"
            f" method={self.config.fit.method!r}, preset {self.config.preset!r}; {state})"
        )

    @property
    def config(self) -> Config:
        """All settings."""
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        """Take other settings.

        Raises:
            ConfigError: If they are none.
        """
        if not isinstance(config, Config):
            raise ConfigError(
                "Expected config to be a primaps.Config, such as primaps.preset_config('fast')"
                f" gives, but got {config!r}."
            )
        self._config = config

    @property
    def is_fitted(self) -> bool:
        """Whether there are prototypes."""
        return self._model is not None

    @property
    def model(self) -> Model:
        """The fitted prototypes.

        Raises:
            CheckpointError: If `fit` was not called yet.
        """
        if self._model is None:
            raise CheckpointError(
                "Expected a fitted segmenter, but it has no prototypes yet. Call fit(...) or"
                " Segmenter.load(...)."
            )
        return self._model

    @property
    def run_dir(self) -> Path | None:
        """The folder that the prototypes were fitted in, or loaded from."""
        return self._folder

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The images that the last `fit`, `write_labels` or `predict_folder` could not use, with
        reasons.
        """
        return self._failures

    @property
    def classes(self) -> ClassTable:
        """What the clusters are called: as in ``classes.yaml`` where the prototypes came from, read
        once; one class per cluster if there is none. Change it with `primaps.naming.table`.

        Raises:
            CheckpointError: If the segmenter is not fitted.
            ConfigError: If ``classes.yaml`` has a mistake; the message names the line.
        """
        if self._classes is None:
            self._classes = (
                fresh_table(self.model.num_clusters, default_colours())
                if self._folder is None
                else read_classes(self._folder)
            )
        return self._classes

    @classes.setter
    def classes(self, table: ClassTable) -> None:
        """Take other classes, for this segmenter and for what it saves.

        Raises:
            ConfigError: If they are for another number of clusters, or no classes.
        """
        if not isinstance(table, ClassTable):
            raise ConfigError(
                "Expected classes as a primaps.ClassTable, such as primaps.classes(...) gives, but"
                f" got {table!r}."
            )
        if table.num_clusters != self.model.num_clusters:
            raise ConfigError(
                f"Expected classes of {self.model.num_clusters} clusters, but got some of"
                f" {table.num_clusters}."
            )
        self._classes = table

    def fit(
        self,
        images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | LabelledDataset,
        run_dir: str | os.PathLike[str] | None = None,
        progress: Progress | bool | None = None,
        *,
        model_dir: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Self:
        """Fit prototypes to images; labels of a data set are not looked at.

        Args:
            images: Files, folders or patterns, or a data set, whose image files are taken.
            run_dir: Where features and proposals are kept, so that a killed fit resumes; None = a
                temporary folder.
            progress: True = a line on stderr, False = nothing, None = a line in a terminal or a
                notebook; or an object that is told.
            model_dir: Folder for the prototypes; None = in ``run_dir``. With it, fits of several
                numbers of classes, seeds or methods lie beside each other on one ``run_dir``, whose
                features are computed once.
            overwrite: Redo what other settings made in ``run_dir`` or ``model_dir``.

        Returns:
            The segmenter itself.

        Raises:
            DatasetError: If no image could be used.
            ConfigError: If ``run_dir`` or ``model_dir`` was made with other settings.

        Warns:
            UnusedInputWarning: If some images could not be used; `failures` lists them.
        """
        inputs, told = image_paths(images), told_to(progress)
        truth("overwrite", overwrite)
        if run_dir is not None:
            run = self._fit_in(
                given_path("run_dir", run_dir), inputs, told, model_dir, overwrite=overwrite
            )
        elif model_dir is not None:
            raise ConfigError(
                "Expected run_dir beside model_dir, where features are kept, but got none."
            )
        else:
            with tempfile.TemporaryDirectory(prefix="primaps-") as temporary:
                run = self._fit_in(Path(temporary) / "run", inputs, told)
            self._folder = None  # gone, and nobody has named anything in it
        self._note_failures(run)
        return self

    def _fit_in(
        self,
        run_dir: Path,
        inputs: Sequence[str | Path],
        progress: Progress,
        model_dir: str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
    ) -> Run:
        run = open_run(
            inputs,
            run_dir,
            self.backbone,
            self.config,
            stages=(*PROPOSAL_STAGES, "fit") if model_dir is None else PROPOSAL_STAGES,
            overwrite=overwrite,
            progress=progress,
            remedy=_REMEDY,
        )
        with finishing(run, "Segmenter.fit", [str(path) for path in inputs]):
            if model_dir is not None:
                refuse_model_place(given_path("model_dir", model_dir), run.folder.root, run.images)
            extract_for_fit(run, None if model_dir is None else given_path("model_dir", model_dir))
            self._model = _fit_beside(run, model_dir, overwrite=overwrite)
            shrink(run)
            note_of_empty(run, self._model.fit.dead_clusters)
        self._classes = None
        self._folder = run.folder.root if model_dir is None else given_path("model_dir", model_dir)
        return run

    def _note_failures(self, run: Run) -> None:
        self._failures = tuple(run.failures)
        if not run.failures:
            return
        shown = "".join(f"\n  {each.path}: {each.reason}" for each in run.failures[:3])
        more = f"\n  ... and {len(run.failures) - 3} more" if len(run.failures) > 3 else ""
        warnings.warn(
            f"{len(run.failures)} images could not be used (segmenter.failures lists them):"
            f"{shown}{more}",
            UnusedInputWarning,
            stacklevel=3,
        )

    def write_labels(self, progress: Progress | bool | None = None) -> Path:
        """Write label maps of the images that it was fitted to, their names and a report into its
        run folder: all that `primaps segment` writes. What is there already is not made again.

        Args:
            progress: As for `fit`.

        Returns:
            The run folder, for `primaps.view` and the command line.

        Raises:
            CheckpointError: If the segmenter was not fitted with ``run_dir``.
            ConfigError: If names in the folder have a mistake, or its label maps were made with
                other settings.
            OutputError: If something cannot be written.
        """
        if self.run_dir is None:
            raise CheckpointError(
                "Expected a segmenter with a run folder, but it has none. Fit it with run_dir=..."
            )
        run = reopen(self.run_dir, {}, backbone=self.backbone, progress=told_to(progress))
        run.config = dataclasses.replace(run.config, predict=self.config.predict)
        run.failures += read_failures(run.folder)
        claim(run, ALL_STAGES)
        segment(run, command="Segmenter.write_labels", inputs=run.folder.record["inputs"])
        self._classes = None
        self._note_failures(run)
        return self.run_dir

    def predict_folder(
        self,
        images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        out: str | os.PathLike[str],
        *,
        crf: bool | None = None,
        unknown_below: float | None = None,
        certainty: bool = False,
        overlays: bool = False,
        overwrite: bool = False,
        progress: Progress | bool | None = None,
    ) -> Path:
        """Write label maps of new photographs and a report, as `primaps predict` does. What is
        there already is not made again.

        Args:
            images: Files, folders or patterns.
            out: Where everything goes: ``labels/``, ``classes.yaml``, ``report.html``.
            crf: As for `predict`.
            unknown_below: Likewise.
            certainty: Also write how certain each pixel is.
            overlays: Also paint the classes over the photographs.
            overwrite: Redo what other settings made there.
            progress: As for `fit`.

        Returns:
            The folder ``out``.

        Raises:
            CheckpointError: If the segmenter is not fitted.
            ConfigError: If ``out`` was made with other settings or holds a run.
            DatasetError: If no image could be used.
            OutputError: If something cannot be written.

        Warns:
            UnusedInputWarning: If some images could not be used; `failures` lists them.
        """
        inputs, config = image_paths(images), self._predict_config(crf, unknown_below)
        for name, value in (
            ("certainty", certainty),
            ("overlays", overlays),
            ("overwrite", overwrite),
        ):
            truth(name, value)
        with tempfile.TemporaryDirectory(prefix="primaps-") as names:
            self.save(names)
            run = predict_images(
                inputs,
                given_path("out", out),
                self.backbone,
                self.model,
                config,
                overwrite=overwrite,
                progress=told_to(progress),
                names=Path(names),
                extras=Extras(certainty, overlays),
                command="Segmenter.predict_folder",
            )
        self._note_failures(run)
        return run.folder.root

    def predict(
        self,
        image: ImageLike,
        *,
        crf: bool | None = None,
        flip: bool = False,
        names: bool = False,
        unknown_below: float | None = None,
    ) -> NDArray[np.uint8]:
        """Cluster id of every pixel, or class id.

        Args:
            image: A path, a PIL image, an array (H, W, 3) or (H, W), or a torch tensor (3, H, W);
                the rules stand in `primaps.pictures`. A file is read as those were that the
                segmenter was fitted to: value range, bands, 255 where it holds no data.
            crf: Refine with the dense CRF; None = as ``config.predict`` says, which a loaded
                segmenter has from the run that fitted it.
            flip: Average the features with those of the mirrored image.
            names: Give the ids of `classes` instead of cluster ids; 255 where a class is ignored.
            unknown_below: Pixels whose certainty is lower, in [0, 1], become 255; None = as
                ``config.predict`` says.

        Returns:
            (H, W) uint8 label map.

        Raises:
            CheckpointError: If the segmenter is not fitted.
            ImageError: If the image is none.
            ConfigError: If ``unknown_below`` is out of range.
        """
        model, config = self.model, self._predict_config(crf, unknown_below).predict
        truth("flip", flip), truth("names", names)
        picture, ignored = self._picture(image)
        features = image_features(self.backbone, picture, model.side(picture.shape[:2]), flip=flip)
        labels = label_map(features, model, (picture.shape[0], picture.shape[1]), config, picture)
        labels = apply_classes(labels, self.classes) if names else labels
        if ignored is not None:
            labels[ignored] = IGNORE_INDEX
        return labels

    def _picture(self, image: ImageLike) -> tuple[Image, NDArray[np.bool_] | None]:
        """An image and its (H, W) bool pixels without data; None = all hold data."""
        if not isinstance(image, str | os.PathLike):
            return as_image(image), None
        inputs = self.model.inputs or self.config.inputs
        photo = read_photo(image_path(image), sys.maxsize, inputs=inputs)
        return photo.image, photo.ignored

    def _predict_config(self, crf: bool | None, unknown_below: float | None) -> Config:
        usual = self.config.predict
        changed = dataclasses.replace(
            usual,
            crf=usual.crf if crf is None else crf,
            unknown_below=usual.unknown_below if unknown_below is None else unknown_below,
        )
        return dataclasses.replace(self.config, predict=changed)

    def save(self, folder: str | Path) -> None:
        """Write the prototypes, their names, and what is needed to apply them as this segmenter
        does.

        Raises:
            CheckpointError: If the segmenter is not fitted.
            OutputError: If the folder cannot be written.
        """
        classes = self.classes
        dataclasses.replace(self.model, predict=self.config.predict).save(
            given_path("folder", folder)
        )
        save_classes(classes, self.model.fingerprint, self._folder, given_path("folder", folder))

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        weights: str | Path | None = None,
        head: str | Path | None = None,
        device: str = "auto",
    ) -> Segmenter:
        """Read a segmenter back, with the backbone it was fitted to.

        Args:
            folder: Written by `save`, or a run folder of the command line.
            weights: Weights file of the backbone, if it has moved.
            head: Folder of the head, if there is one and it has moved.
            device: Where the backbone runs.

        Raises:
            CheckpointError: If there is no model, or the backbone or head is another one.
            BackboneError: If the backbone's weights cannot be had.
        """
        model = Model.load(given_path("folder", folder))
        backbone = reload_backbone(
            model.backbone, weights=weights or model.weights, device=device, head=head or model.head
        )
        model.check_backbone(backbone.describe())
        base = preset_for(str(model.settings.get("preset", "default")), backbone.name)
        features = dataclasses.replace(
            base.features, size=model.size, max_enlargement=model.max_enlargement
        )
        config = dataclasses.replace(
            base,
            features=features,
            predict=model.predict or base.predict,
            inputs=model.inputs or base.inputs,
        )
        method, seed = str(model.settings.get("method", "em")), int(model.settings.get("seed", 0))
        segmenter = cls(backbone, model.num_clusters, seed, method=method, config=config)
        segmenter._model, segmenter._folder = model, given_path("folder", folder)
        return segmenter

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        token: str | None = None,
        scores: EvaluationResult | None = None,
        scores_on: str | None = None,
    ) -> str:
        """Send the model to the Hugging Face hub, with its names, its head if there is one, and a
        card. Weights of the backbone are not sent, unless they lie beside the head.

        Args:
            repo_id: ``owner/name``; made if it does not exist.
            private: Nobody else sees it.
            token: Of the user; None = the one that `hf auth login` stored.
            scores: From `evaluate`, for the card.
            scores_on: What they were measured on, such as "CamVid val", or "CamVid val by name".

        Returns:
            The address of the commit.

        Raises:
            CheckpointError: If the segmenter is not fitted, or its head's folder has gone.
            ConfigError: If there are scores without a word on what they were measured on, or the
                model shall be private, but exists and is public.
            OutputError: If the model cannot be sent.
        """
        if (scores is None) != (scores_on is None):
            raise ConfigError(
                "Expected scores and scores_on together, but got one of them. Say what the scores"
                " were measured on."
            )
        measured = None if scores is None else Measured(str(scores_on), scores)
        model = dataclasses.replace(self.model, predict=self.config.predict)
        return push_model(
            Hub(repo_id, token),
            model,
            self.classes,
            self._folder,
            private=private,
            measured=measured,
        )

    @classmethod
    def from_pretrained(
        cls,
        repo_id: str,
        *,
        revision: str | None = None,
        token: str | None = None,
        weights: str | Path | None = None,
        device: str = "auto",
    ) -> Segmenter:
        """Read a segmenter from the Hugging Face hub, or from the hub's cache.

        Args:
            repo_id: ``owner/name``.
            revision: Branch, tag or commit; None = the newest.
            token: Of the user; None = the one that `hf auth login` stored.
            weights: Weights file of the backbone, where the model's card asks for one.
            device: Where the backbone runs.

        Raises:
            CheckpointError: If the model cannot be had, or the backbone is another one.
            BackboneError: If the backbone's weights cannot be had.
        """
        return cls.load(fetch_model(Hub(repo_id, token), revision), weights=weights, device=device)


def _fit_beside(run: Run, model_dir: str | os.PathLike[str] | None, *, overwrite: bool) -> Model:
    """Fit into the run's own folder, or into another one that no other model is in."""
    if model_dir is None:
        return fit_and_name(run)
    folder = given_path("model_dir", model_dir)
    hold(folder)
    try:
        settle_number(run, run.usable_images(), recorded=False)
        if not overwrite:
            refuse_other_model(run, folder)
        return fit_and_name(run, folder)
    finally:
        release(folder)
