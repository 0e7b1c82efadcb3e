"""Label new images with a model: decode, run the frozen base, apply the classifier. No cache is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from featx.bases.architectures.python_file import architecture_name
from featx.bases.base import Base
from featx.bases.loading import load_base
from featx.bases.pooling import POOLINGS
from featx.bases.registry import resolve
from featx.bases.weights import FILE_SUFFIXES, is_file_name
from featx.data.listing import FailedImage, Listing
from featx.data.loader import Loaded, Loader
from featx.data.sources import is_system_file, read_file, walk
from featx.engines.device import choose_device
from featx.engines.engine import LazyEngine, Plan
from featx.engines.threads import count_cores, one_torch_thread
from featx.errors import DataError, ModelError, WeightsError, shorten, unknown
from featx.keys import RECIPE
from featx.models.model import Model
from featx.models.model_file import load_model
from featx.requests import BaseChoice, PredictRequest
from featx.timing import Clock
from featx.types import Progress


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes
    ----------
    path : str
    label : str
        The most probable class.
    probability : float
    probabilities : dict
        Class to probability, all classes in the model's order.
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
    """What `predict` gives: labelled images, and those that could not be read, both in the order asked."""

    labelled: list[Prediction]
    failed: list[FailedImage]


def list_files(images: Sequence[str]) -> list[str]:
    """List files as they are named, and all that lie in folders, but for side files of operating systems.

    Raises
    ------
    DataError
        If there is nothing at all.
    """
    paths: list[str] = []
    for image in images:
        found = (
            [path for path in walk(image) if not is_system_file(Path(path).name)] if Path(image).is_dir() else [image]
        )
        paths += found
    paths = list(dict.fromkeys(paths))
    if not paths:
        raise DataError(f"there are no images in {shorten(repr(image) for image in images)}")
    return paths


def find_weights(request: PredictRequest, model: Model) -> str:
    """Say which weights to load: those asked for, else those that the model names.

    A file that is not where it was is looked for beside the model.
    """
    if request.weights is not None:
        return request.weights
    if model.tensors:
        return str(request.model)
    if is_file_name(model.weights) and not Path(model.weights).is_file():
        beside = Path(request.model).parent / Path(model.weights).name
        return str(beside) if beside.is_file() else model.weights
    return model.weights


def find_base(request: PredictRequest, architecture: str) -> str:
    """Say which base to load: the one that the model names, or the file that is named and is the same.

    Raises
    ------
    ModelError
        If the base is a file that is not named, or another base is.
    """
    file, is_file, _ = architecture.partition(".py@")
    if request.base is None and is_file:
        raise ModelError(
            f"model '{request.model}' was trained on the network of '{file}.py', and no file is run that is not named: "
            f"add --base {file}.py"
        )
    if request.base is not None and architecture_name(request.base) != architecture:
        raise ModelError(
            f"'{request.base}' ({architecture_name(request.base)}) is not the base that model '{request.model}' was "
            f"trained on: {architecture}. {'Name that version of the file' if is_file else 'Leave out --base'}"
        )
    return request.base or architecture


def open_base(request: PredictRequest, model: Model) -> Base:
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
    wanted = model.keys[0].base
    if wanted.recipe != RECIPE:
        raise ModelError(
            f"model '{request.model}' takes features of recipe {wanted.recipe}, but this featx computes recipe "
            f"{RECIPE}: extract and fit again, or use the featx that made it"
        )
    weights = find_weights(request, model)
    if is_file_name(weights) and not weights.endswith(FILE_SUFFIXES):
        raise ModelError(
            f"model '{request.model}' names weights '{weights}', which are no file of weights: use --weights"
        )
    try:
        architecture = resolve(BaseChoice(find_base(request, wanted.architecture), weights, precision=wanted.precision))
        base = load_base(replace(architecture, transform=wanted.transform))
    except WeightsError as error:
        raise WeightsError(
            f"{error}. The model was trained on {wanted.architecture} with weights '{model.source}': "
            "name their file with --weights"
        ) from error
    if base.id.weights != wanted.weights:
        raise WeightsError(
            f"weights '{weights}' (digest {base.id.weights[:12]}) are not those that model '{request.model}' was "
            f"trained on: '{model.source}' (digest {wanted.weights[:12]}). Name these with --weights"
        )
    for key in model.keys:
        base.layer(key.layer)
        if key.pooling not in POOLINGS:
            raise unknown("pooling", key.pooling, POOLINGS)
    return base


def label(model: Model, paths: Sequence[str], features: dict[tuple[str, str], Any]) -> list[Prediction]:
    """Apply the classifier to what the base computed of all views of some images, image by image."""
    if not paths:
        return []
    X = model.features(features)
    chosen, probabilities = model.classifier.predict(X if model.views == 1 else X.reshape(len(paths), model.views, -1))
    found = []
    for path, code, shares in zip(paths, chosen, probabilities.round(6).tolist(), strict=True):
        named = dict(zip(model.classes, shares, strict=True))
        found.append(Prediction(path, model.classes[code], shares[code], named))
    return found


def predict(request: PredictRequest, progress: Progress | None = None) -> Predictions:
    """Label images with a model that `fit` made.

    Parameters
    ----------
    request : PredictRequest
    progress : callable, optional
        Called with the number of images done and to be done.

    Returns
    -------
    Predictions
        Images that failed are named in it; they cost nothing but themselves.

    Raises
    ------
    ModelError
        If the model cannot be read, or does not fit this featx.
    WeightsError
        If the weights cannot be had, or their digest differs from the model's.
    DataError
        If there are no images.
    """
    model = load_model(request.model)
    paths = list_files(request.images)
    base = open_base(request, model)
    wanted: dict[str, list[str]] = {}
    for key in model.keys:
        wanted.setdefault(key.layer, []).append(key.pooling)
    nothing, views, clock = [""] * len(paths), range(model.views), Clock()
    plan = Plan(base, wanted, choose_device(request.device), request.batch_size, request.workers or count_cores())
    loader = Loader(
        Listing(str(request.model), paths, nothing, nothing, read_file),
        lambda name, row: True,
        lambda picture, name: plan.prepare(picture, name, views),
        plan.workers,
        clock,
        plan.device_batch,
    )
    engine = LazyEngine("auto", plan, len(paths), clock)
    broken: list[Loaded] = []
    labelled: list[Prediction] = []
    with one_torch_thread(plan.device):
        for batch in loader(range(len(paths)), engine.start, engine.build):
            broken += [one for one in batch.loaded if not one.views]
            labelled += label(model, [paths[one.row] for one in batch.loaded if one.views], batch.features)
            if progress:
                progress(len(labelled) + len(broken), len(paths))
    return Predictions(labelled, [FailedImage(paths[one.row], one.reason or "unreadable") for one in broken])
