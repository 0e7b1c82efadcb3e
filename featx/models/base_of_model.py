"""The frozen base of a model: which weights, from where, and whether they are the ones that it was trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from featx.base_choice import BaseChoice
from featx.bases.architectures.python_file import architecture_name
from featx.bases.base import Base
from featx.bases.loading import load_base
from featx.bases.pooling import POOLINGS
from featx.bases.registry import resolve
from featx.bases.weights import is_file_name, is_weights_file
from featx.errors import ModelError, WeightsError, unknown
from featx.keys import RECIPE
from featx.models.model import Model, load_model
from featx.requests import PredictRequest, ScoreRequest

ModelRequest = PredictRequest | ScoreRequest
"""Who wants a model to be run; the fields that say with what are the same."""


def open_model(request: ModelRequest) -> Model:
    """Read the model, unless the request holds it already.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    return request.model if isinstance(request.model, Model) else load_model(request.model)


def name_model(request: ModelRequest) -> str:
    """Name the model in an error: by its path, if it has one."""
    return "the model" if isinstance(request.model, Model) else f"model '{request.model}'"


def load_model_base(request: ModelRequest, model: Model) -> Base:
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


def choose_weights(request: ModelRequest, model: Model) -> str:
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
    in_hand = isinstance(request.model, Model)
    beside_model = Path(weights) if in_hand else Path(request.model).parent / Path(weights).name
    if not is_weights_file(weights) and not is_weights_file(str(beside_model)):
        raise ModelError(
            f"{name_model(request)} names weights '{weights}', which is not a weights file: name one with --weights"
        )
    if Path(weights).is_file():
        return weights
    return str(beside_model) if beside_model.is_file() else weights


def choose_base_name(request: ModelRequest, architecture: str) -> str:
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


def load_checked_base(request: ModelRequest, model: Model, weights: str) -> Base:
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
