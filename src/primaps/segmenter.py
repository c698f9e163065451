"""`Segmenter`: fit, predict, save and load in a notebook. A thin class over the pipeline."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from primaps.compute.group import Alone, Group
from primaps.compute.processes import Place, check_processes, in_processes
from primaps.config import Config, Method
from primaps.data.dataset import LabelledDataset
from primaps.errors import CheckpointError, ConfigError
from primaps.evaluation.by_name import clusters_by_name
from primaps.evaluation.evaluate import evaluate_label_maps
from primaps.features.device import resolve_device
from primaps.heads.loading import reload_backbone
from primaps.naming.applying import apply_classes
from primaps.naming.table import fresh_table
from primaps.outputs.model_card import Measured
from primaps.pipeline import (
    ALL_STAGES,
    extract,
    finishing,
    fit_and_name,
    open_run,
    reopen,
    segment,
)
from primaps.pipeline.classes import default_colours, read_classes, save_classes
from primaps.pipeline.hub import Hub, fetch_model, push_model
from primaps.pipeline.opening import claim
from primaps.pipeline.prediction import image_features, label_map
from primaps.pipeline.settings import preset_for
from primaps.progress import Progress, Silent
from primaps.runs.model import Model
from primaps.runs.run import read_failures
from primaps.types import ClassTable, EvaluationResult, FeatureExtractor, Image


class Segmenter:
    """Unsupervised semantic segmentation: fitted to images without labels, gives a label map for
    any image.

    Args:
        backbone: A frozen feature extractor, from `primaps.load_backbone`.
        num_clusters: Number of classes to find, 2..254; "auto" = proposed from the images.
        seed: Of the fit.
        method: "em" (PriMaPs-EM), "clusters" (k-means of the proposals) or "baseline" (cosine
            k-means of the tokens).
        config: All other settings; None = the preset ``default``.

    Raises:
        ConfigError: If a setting is out of range.

    Example:
        >>> import primaps as pm
        >>> segmenter = pm.Segmenter(pm.load_backbone("texture", device="cpu"), num_clusters=5)
        >>> segmenter.is_fitted
        False
    """

    def __init__(
        self,
        backbone: FeatureExtractor,
        num_clusters: int | Literal["auto"] = 27,
        seed: int = 0,
        *,
        method: str = "em",
        config: Config | None = None,
    ) -> None:
        auto = num_clusters == "auto"
        base = preset_for("default", backbone.name, auto=auto) if config is None else config
        if method not in get_args(Method):
            raise ConfigError(
                f"Expected method to be one of {', '.join(get_args(Method))}, but got {method!r}."
            )
        chosen = base.fit.with_method(cast("Method", method))
        self.backbone = backbone
        number = None if num_clusters == "auto" else num_clusters
        self.config = dataclasses.replace(base, num_clusters=number, seed=seed, fit=chosen)
        self._model: Model | None = None
        self._classes: ClassTable | None = None
        self._folder: Path | None = None

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
            ConfigError: If they are for another number of clusters.
        """
        if table.num_clusters != self.model.num_clusters:
            raise ConfigError(
                f"Expected classes of {self.model.num_clusters} clusters, but got some of"
                f" {table.num_clusters}."
            )
        self._classes = table

    def fit(
        self,
        images: str | Path | Sequence[str | Path] | LabelledDataset,
        run_dir: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Segmenter:
        """Fit prototypes to images; labels of a data set are not looked at.

        Args:
            images: Files, folders or patterns, or a data set, whose image files are taken.
            run_dir: Where features and proposals are kept, so that a killed fit resumes; None = a
                temporary folder.
            progress: Who is told.

        Returns:
            The segmenter itself.

        Raises:
            DatasetError: If no image could be used.
            ConfigError: If ``run_dir`` was made with other settings.
        """
        inputs = _paths(images)
        if run_dir is None:
            with tempfile.TemporaryDirectory(prefix="primaps-") as temporary:
                self.fit(inputs, Path(temporary) / "run", progress)
                self._folder = None  # gone in a moment, and nobody has named anything in it
                return self
        run = open_run(
            inputs,
            run_dir,
            self.backbone,
            self.config,
            stages=("backbone", "features", "proposals", "fit"),
            progress=progress,
        )
        with finishing(run, "Segmenter.fit", [str(path) for path in inputs]):
            extract(run)
            self._model = fit_and_name(run)
        self._classes, self._folder = None, run.folder.root
        return self

    def write_labels(self, progress: Progress | None = None) -> Path:
        """Write label maps of the images that it was fitted to, their names and a report into its
        run folder: all that `primaps segment` writes. What is there already is not made again.

        Args:
            progress: Who is told.

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
        device = str(self.backbone.device)
        run = reopen(self.run_dir, {}, head=self.model.head, device=device, progress=progress)
        run.config = dataclasses.replace(run.config, predict=self.config.predict)
        run.failures += read_failures(run.folder)
        claim(run, ALL_STAGES)
        segment(run, command="Segmenter.write_labels", inputs=run.folder.record["inputs"])
        self._classes = None
        return self.run_dir

    def predict(
        self,
        image: Image,
        *,
        crf: bool | None = None,
        flip: bool = False,
        names: bool = False,
        unknown_below: float | None = None,
    ) -> NDArray[np.uint8]:
        """Cluster id of every pixel, or class id.

        Args:
            image: (H, W, 3) uint8 RGB.
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
            ImageError: If the image is not (H, W, 3) uint8.
        """
        usual = self.config.predict
        config = dataclasses.replace(
            usual,
            crf=usual.crf if crf is None else crf,
            unknown_below=usual.unknown_below if unknown_below is None else unknown_below,
        )
        features = image_features(self.backbone, image, self.model.size, flip=flip)
        labels = label_map(features, self.model, (image.shape[0], image.shape[1]), config, image)
        return apply_classes(labels, self.classes) if names else labels

    def save(self, folder: str | Path) -> None:
        """Write the prototypes, their names, and what is needed to apply them as this segmenter
        does.

        Raises:
            CheckpointError: If the segmenter is not fitted.
            OutputError: If the folder cannot be written.
        """
        classes = self.classes
        dataclasses.replace(self.model, predict=self.config.predict).save(Path(folder))
        save_classes(classes, self.model.fingerprint, self._folder, folder)

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
        model = Model.load(Path(folder))
        backbone = reload_backbone(
            model.backbone, weights=weights or model.weights, device=device, head=head or model.head
        )
        model.check_backbone(backbone.describe())
        base = preset_for(str(model.settings.get("preset", "default")), backbone.name)
        features = dataclasses.replace(base.features, size=model.size)
        config = dataclasses.replace(
            base,
            features=features,
            predict=model.predict or base.predict,
            inputs=model.inputs or base.inputs,
        )
        method, seed = str(model.settings.get("method", "em")), int(model.settings.get("seed", 0))
        segmenter = cls(backbone, model.num_clusters, seed, method=method, config=config)
        segmenter._model, segmenter._folder = model, Path(folder)
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


def _paths(images: str | Path | Sequence[str | Path] | LabelledDataset) -> list[str | Path]:
    if isinstance(images, str | Path):
        return [images]
    if isinstance(images, LabelledDataset):
        return list(images.image_paths)
    return list(images)


def evaluate(
    segmenter: Segmenter,
    dataset: LabelledDataset,
    *,
    crf: bool = False,
    flip: bool = False,
    by_name: bool = False,
    progress: Progress | None = None,
    group: Group | None = None,
) -> EvaluationResult:
    """Scores of a segmenter on a labelled data set, under one Hungarian matching over all its
    images, or by the names of its classes.

    Args:
        segmenter: Fitted; its teacher prototypes are measured.
        dataset: Images with labels.
        crf: Refine the label maps with the dense CRF.
        flip: Average features with those of the mirrored images.
        by_name: Match names instead (`primaps.evaluation.by_name`): pixels of clusters without a
            name of the data set are wrong.
        progress: Who is told.
        group: Processes that all call this with the same arguments, and divide the images between
            them; None = this one alone.

    Returns:
        Accuracy, mean IoU and IoU per class as fractions.

    Raises:
        DatasetError: If an image or a label cannot be read.
        CheckpointError: If the segmenter is not fitted.
        ConfigError: If classes are matched by name, and none has a name of the data set.
    """
    told, members = progress or Silent(), group or Alone()
    known = clusters_by_name(segmenter.classes, dataset.class_names) if by_name else None

    def pairs() -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        for index in range(members.rank, len(dataset), members.size):
            sample = dataset[index]
            labels = segmenter.predict(sample.image, crf=crf, flip=flip, unknown_below=0.0)
            yield labels, sample.labels
            told.advance(min(members.size, len(dataset) - index))  # the others are as far

    told.start("evaluate", len(dataset))
    try:
        return evaluate_label_maps(
            pairs(),
            segmenter.model.num_clusters,
            dataset.class_names,
            members,
            cluster_to_class=known,
        )
    finally:
        told.finish()


def evaluate_saved(
    folder: str | Path,
    dataset: LabelledDataset,
    *,
    crf: bool = False,
    flip: bool = False,
    by_name: bool = False,
    weights: str | Path | None = None,
    head: str | Path | None = None,
    device: str = "auto",
    processes: int = 1,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Scores of a saved segmenter on a labelled data set, by one or several processes.

    Args:
        folder: As for `Segmenter.load`.
        dataset: Images with labels; it is pickled if there are several processes.
        crf: Refine the label maps with the dense CRF.
        flip: Average features with those of the mirrored images.
        by_name: As for `evaluate`.
        weights: As for `Segmenter.load`.
        head: Likewise.
        device: Likewise; "cuda" is one GPU per process.
        processes: How many divide the images between them.
        progress: Who is told.

    Returns:
        As from `evaluate`: the number of processes makes no difference to the table of counts.

    Raises:
        DatasetError: If an image or a label cannot be read.
        CheckpointError: If there is no model, or the backbone or head is another one.
        BackboneError: If the backbone's weights cannot be had.
        ConfigError: If so many processes cannot be had, or as `evaluate`.
        MissingExtraError: If there shall be several, and Lightning Fabric is not installed.
        ProcessError: If one of them was ended from outside.
    """
    told, target = progress or Silent(), resolve_device(device)
    check_processes(processes, target)
    used = max(1, min(processes, len(dataset)))
    if used < processes:
        told.note(f"{used} of {processes} processes are used: no more than there are images.")
    return in_processes(
        used,
        target,
        told,
        _evaluate_here,
        folder,
        dataset,
        crf=crf,
        flip=flip,
        by_name=by_name,
        weights=weights,
        head=head,
    )


def _evaluate_here(
    place: Place,
    folder: str | Path,
    dataset: LabelledDataset,
    *,
    crf: bool,
    flip: bool,
    by_name: bool,
    weights: str | Path | None,
    head: str | Path | None,
) -> EvaluationResult:
    """What every process does."""
    segmenter = Segmenter.load(folder, weights=weights, head=head, device=str(place.device))
    return evaluate(
        segmenter,
        dataset,
        crf=crf,
        flip=flip,
        by_name=by_name,
        progress=place.progress,
        group=place.group,
    )
