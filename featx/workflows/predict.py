"""Label new images with a model: decode, run the frozen base, apply the classifier. No cache is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from featx.bases.architectures.python_file import architecture_name
from featx.bases.base import Base
from featx.bases.loading import load_base
from featx.bases.pooling import POOLINGS
from featx.bases.registry import resolve
from featx.bases.weights import FILE_SUFFIXES, is_file_name
from featx.data.given_images import list_given_images
from featx.data.listing import FailedImage
from featx.engines.compute import compute_features
from featx.engines.device import choose_device
from featx.engines.engine import LazyEngine, group_poolings, make_plan
from featx.engines.threads import count_cores
from featx.errors import ModelError, WeightsError, unknown
from featx.images.range_report import RangeReport
from featx.keys import RECIPE
from featx.models.model import Model, load_model
from featx.requests import BaseChoice, PredictRequest
from featx.timing import Clock
from featx.types import LayerFeatures, Progress


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes
    ----------
    path : str
        The file; "image I" for the I-th of the images given, counted from 0, if it was given in memory.
    label : str
        The most probable class.
    probability : float
    probabilities : dict
        Class to probability: all classes, in the model's order.
    """

    path: str
    label: str
    probability: float
    probabilities: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


@dataclass
class Predictions:
    """What `predict` gives: labelled and failed images, each in the order given, and notes on how they were read."""

    labelled: list[Prediction]
    failed: list[FailedImage]
    notes: list[str] = field(default_factory=list)


def label_images(request: PredictRequest, progress: Progress | None = None) -> Predictions:
    """Label images with a model that `fit` or `finetune` made.

    Parameters
    ----------
    request : PredictRequest
        Its `model` is a path or a `Model`; its `images` are files, folders, PIL images or uint8 arrays of
        (height, width, 3).
    progress : callable, optional
        Called with the number of images done and to be done.

    Returns
    -------
    Predictions
        Images that failed are listed in it; no other image is lost for their sake.

    Raises
    ------
    ModelError
        If the model cannot be read, or does not fit this featx.
    WeightsError
        If the weights cannot be had, or their digest differs from the model's.
    UnknownName
        If this featx has no such base, layer, pooling or device.
    DataError
        If there are no images, or something is neither a path nor a picture.
    """
    model = open_model(request)
    listing = list_given_images(request.images)
    base = load_model_base(request, model)
    workers = request.workers or count_cores()
    plan = make_plan(base, group_poolings(model.keys), choose_device(request.device), request.batch_size, workers)
    engine = LazyEngine("auto", plan, len(listing), Clock())
    views = range(model.views)
    ranges = RangeReport()
    labelled: list[Prediction] = []
    failed: list[FailedImage] = []
    for batch in compute_features(engine, listing, range(len(listing)), lambda digest, row: True, lambda digest: views):
        computed_paths = []
        for loaded in batch.loaded:
            path = listing.paths[loaded.row]
            if loaded.views:
                computed_paths.append(path)
                ranges.add(loaded.range_use, loaded.has_more_pages)
            else:
                failed.append(FailedImage(path, loaded.reason or "unreadable"))
        labelled += classify(model, computed_paths, batch.features)
        if progress:
            progress(len(labelled) + len(failed), len(listing))
    ranges.warn(base.id.transform.value_range is not None)
    return Predictions(labelled, failed, ranges.list_notes())


def open_model(request: PredictRequest) -> Model:
    """Read the model, unless the request holds it already.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    return request.model if isinstance(request.model, Model) else load_model(request.model)


def name_model(request: PredictRequest) -> str:
    """Name the model in an error: by its path, if it has one."""
    return "the model" if isinstance(request.model, Model) else f"model '{request.model}'"


def classify(model: Model, paths: Sequence[str], features: LayerFeatures) -> list[Prediction]:
    """Apply the classifier to the features of some images.

    Parameters
    ----------
    model : Model
    paths : sequence of str
    features : dict of (layer, pooling) to (n views, ...) float32
        All views of the first image, then all of the next.
    """
    if not paths:
        return []
    X = model.features(features)
    if model.views > 1:
        X = X.reshape(len(paths), model.views, -1)
    codes, probabilities = model.classifier.predict(X)
    predictions = []
    # Six digits, as the files that scripts read have always had.
    for path, code, rounded in zip(paths, codes, probabilities.round(6).tolist(), strict=True):
        by_class = dict(zip(model.classes_, rounded, strict=True))
        predictions.append(Prediction(path, model.classes_[code], rounded[code], by_class))
    return predictions


def load_model_base(request: PredictRequest, model: Model) -> Base:
    """Load the base that a model was trained on.

    Raises
    ------
    ModelError
        If its features were computed by another version of our numerics, or its base is a file that is not named.
    WeightsError
        If the weights cannot be had, or are not the ones that the model was trained on.
    UnknownName
        If this featx has no such base, layer or pooling.
    """
    recipe = model.keys[0].base.recipe
    if recipe != RECIPE:
        raise ModelError(
            f"{name_model(request)} takes features of recipe {recipe}, but this featx computes recipe {RECIPE}: "
            "extract and fit again, or use the featx that made it"
        )
    if request.weights is None and model.base_tensors and isinstance(request.model, Model):
        # Weights come from files only: there they are checked against the network and digested.
        with TemporaryDirectory(prefix="featx-") as folder:
            file = Path(folder) / "model.featx"
            model.save(file)
            return load_checked_base(request, model, str(file))
    return load_checked_base(request, model, choose_weights(request, model))


def choose_weights(request: PredictRequest, model: Model) -> str:
    """Say which weights to load: those asked for, else those that the model holds or names.

    A file that is not where it was is looked for beside the model.

    Raises
    ------
    ModelError
        If the model names a file that cannot hold weights: it may come from anybody.
    """
    if request.weights is not None:
        return request.weights
    if model.base_tensors:
        return str(request.model)
    weights = model.weights
    if not is_file_name(weights):
        return weights
    if not weights.endswith(FILE_SUFFIXES):
        raise ModelError(
            f"{name_model(request)} names weights '{weights}', which is not a weights file: name one with --weights"
        )
    if Path(weights).is_file() or isinstance(request.model, Model):
        return weights
    beside_model = Path(request.model).parent / Path(weights).name
    return str(beside_model) if beside_model.is_file() else weights


def choose_base_name(request: PredictRequest, architecture: str) -> str:
    """Say which base to load: the one that the model names, or the same one as a Python file that the request names.

    Raises
    ------
    ModelError
        If the base is a Python file that is not named, or another base is.
    """
    file, is_python_file, _ = architecture.partition(".py@")
    if request.base is None:
        if is_python_file:
            raise ModelError(
                f"{name_model(request)} was trained on the network of '{file}.py', and a Python file runs only where "
                f"it is named: add --base {file}.py"
            )
        return architecture
    if architecture_name(request.base) != architecture:
        advice = "Name that version of the file" if is_python_file else "Leave out --base"
        raise ModelError(
            f"'{request.base}' ({architecture_name(request.base)}) is not the base that {name_model(request)} was "
            f"trained on: {architecture}. {advice}"
        )
    return request.base


def load_checked_base(request: PredictRequest, model: Model, weights: str) -> Base:
    """Load a model's base with these weights, and check that it is the one that the model was trained on.

    Raises
    ------
    ModelError
        If the base is a Python file that is not named, or another base is.
    WeightsError
        If the weights cannot be had, or are not the ones that the model was trained on.
    UnknownName
        If this featx has no such base, layer or pooling.
    """
    trained_on = model.keys[0].base
    name = choose_base_name(request, trained_on.architecture)
    try:
        architecture = resolve(BaseChoice(name, weights, precision=trained_on.precision))
        base = load_base(replace(architecture, transform=trained_on.transform))
    except WeightsError as error:
        raise WeightsError(
            f"{error}. The model was trained on {trained_on.architecture} with weights '{model.source}': "
            "name their file with --weights"
        ) from error
    if base.id.weights != trained_on.weights:
        raise WeightsError(
            f"weights '{weights}' (digest {base.id.weights[:12]}) are not those that {name_model(request)} was "
            f"trained on: '{model.source}' (digest {trained_on.weights[:12]}). Name these with --weights"
        )
    for key in model.keys:
        base.layer(key.layer)
        if key.pooling not in POOLINGS:
            raise unknown("pooling", key.pooling, POOLINGS)
    return base
