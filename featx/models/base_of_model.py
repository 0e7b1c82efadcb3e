"""The frozen base of a model: which weights, from where, and whether they are the ones that it was trained on.

A model file may come from anybody. So nothing that it names is run, opened or downloaded unless the user names it,
too: a Python file with `--base`, a file of weights with `--weights`, a download with `--yes`. By itself it may name
networks of torchvision and timm, which are installed, and weights that an earlier command left on this machine.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from featx.base_choice import BaseChoice
from featx.bases.architecture import RANDOM_WEIGHTS
from featx.bases.architectures.python_file import architecture_name
from featx.bases.base import Base
from featx.bases.loading import load_base
from featx.bases.names import check_base_name, is_python_file
from featx.bases.pooling import POOLINGS
from featx.bases.registry import count_bytes, describe_download, resolve
from featx.errors import ModelError, WeightsError, unknown
from featx.keys import RECIPE
from featx.models.model import Model, load_model
from featx.models.onnx.model import is_onnx_file
from featx.models.pass_size import count_numbers
from featx.requests import ModelExportRequest, PredictRequest, ScoreRequest

LabelRequest = PredictRequest | ScoreRequest
"""Who wants images to be labelled."""

ModelRequest = LabelRequest | ModelExportRequest
"""Who wants a model to be run; the fields that say with what are the same."""

MOST_RANDOM_BYTES = 600_000_000
"""Random weights cost nothing to name: networks larger than VGG-19 are built only where the user names them."""

SURPLUS = 2
SURPLUS_BYTES = 10**7
"""How much larger the tensors in a model may be than those of its network: a classifier of other classes, say."""


def open_model(request: ModelRequest) -> Model:
    """Read the model, unless the request holds it already.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    if isinstance(request.model, Model):
        return request.model
    if is_onnx_file(request.model):
        raise ModelError(
            f"'{request.model}' is an ONNX file, which featx predict runs: take the .featx file that it was made of"
        )
    # The base is loaded from the file, if it is there: once is enough.
    return load_model(request.model, with_base=False)


def name_model(request: ModelRequest) -> str:
    """Name the model in an error: by its path, if it has one."""
    return "the model" if isinstance(request.model, Model) else f"model '{request.model}'"


def load_model_base(request: ModelRequest, model: Model) -> Base:
    """Load the base that a model was trained on.

    Raises
    ------
    ModelError
        If its features were computed by another version of our numerics, it contradicts itself, or it names a Python
        file, a file of weights or a download that the user did not name.
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
    if request.weights is None and model.base_bytes and isinstance(request.model, Model):
        # Weights come from files only: there they are checked against the network and digested.
        with TemporaryDirectory(prefix="featx-") as folder:
            file = Path(folder) / "model.featx"
            model.save(file)
            return load_checked_base(request, model, str(file))
    return load_checked_base(request, model, choose_weights(request, model))


def choose_weights(request: ModelRequest, model: Model) -> str:
    """Say which weights to load: those asked for, else those that the model holds or names.

    Raises
    ------
    ModelError
        If a model file names a file of weights: the user has to name it, too.
    """
    if request.weights is not None:
        return request.weights
    if model.base_bytes:
        # Whole, so that a file cannot be taken for the name of published weights.
        return str(Path(request.model).expanduser().absolute())
    if model.is_read and model.weights_file is not None:
        raise ModelError(
            f"{name_model(request)} was trained on a file of weights, and a file that a model names is opened only "
            f"where you name it: add --weights {shlex.quote(model.weights_file)}, or make the model --with-base, which "
            "puts them into it"
        )
    return model.weights


def choose_base_name(request: ModelRequest, architecture: str) -> str:
    """Say which base to load: the one that the model names, or the same one as a Python file that the request names.

    Raises
    ------
    ModelError
        If the base is a Python file that is not named, or another base is.
    UnknownName
        If there is no such base.
    """
    file, digest_follows, _ = architecture.partition(".py@")
    is_python = bool(digest_follows) or is_python_file(architecture)
    if request.base is None:
        if is_python:
            named = f"{file}.py" if digest_follows else architecture
            raise ModelError(
                f"{name_model(request)} was trained on the network of '{named}', and a Python file runs only where "
                f"it is named: add --base {named}"
            )
        check_base_name(architecture)
        return architecture
    if architecture_name(request.base) != architecture:
        advice = "Name that version of the file" if is_python else "Leave out --base"
        raise ModelError(
            f"'{request.base}' ({architecture_name(request.base)}) is not the base that {name_model(request)} was "
            f"trained on: {architecture}. {advice}"
        )
    return request.base


def check_costs(request: ModelRequest, model: Model, name: str, weights: str) -> None:
    """Check that weights which only the model names are on this machine, and take no more memory than they should.

    Before anything is built: networks of timm are built to be looked at.

    Raises
    ------
    ModelError
        Saying what would be downloaded or built, and what to add if that is wanted.
    UnknownName
        If there is no such base.
    """
    if model.base_bytes:
        size = count_bytes(name)
        if model.base_bytes > SURPLUS * size + SURPLUS_BYTES:
            raise ModelError(
                f"{name_model(request)} holds {model.base_bytes / 1e6:.0f} MB of weights, but {name} has "
                f"{size / 1e6:.0f} MB: it is not a model that featx wrote"
            )
        return
    if weights == RANDOM_WEIGHTS:
        if request.base is not None:
            return
        size = count_bytes(name)
        if size > MOST_RANDOM_BYTES:
            raise ModelError(
                f"{name_model(request)} names random weights of {name}, {size / 1e9:.1f} GB of them: "
                f"add --base {shlex.quote(name)} if that is meant"
            )
        return
    download = describe_download(name, weights)
    if download is not None and not request.yes:
        raise ModelError(
            f"{name_model(request)} names weights '{weights}' of {name}, which are not on this machine: "
            f"add --yes to download {download}, or name their file with --weights"
        )


def load_checked_base(request: ModelRequest, model: Model, weights: str) -> Base:
    """Load a model's base with these weights, and check that it is the one that the model was trained on.

    Raises
    ------
    ModelError
        If the base is a Python file that is not named, or another base is, or what is named costs too much.
    WeightsError
        If the weights cannot be had, or are not the ones that the model was trained on.
    UnknownName
        If this featx has no such base, layer or pooling.
    """
    trained_on = model.keys[0].base
    name = choose_base_name(request, trained_on.architecture)
    try:
        if request.weights is None:
            check_costs(request, model, name, weights)
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
    check_features(request, model, base)
    return base


def check_features(request: ModelRequest, model: Model, base: Base) -> None:
    """Check that a base has the layers of a model, and that their features are as long as its classifier takes them.

    Raises
    ------
    UnknownName
        If there is no such layer or pooling.
    UnsupportedLayout
        If a pooling does not fit its layer.
    ModelError
        If the features are of another length.
    """
    for key in model.keys:
        layer = base.layer(key.layer)
        if layer.name != key.layer:
            # Features are stored under the exact name alone.
            raise unknown(f"layer of {base.id.architecture}", key.layer, [layer.name for layer in base.layers])
        if key.pooling not in POOLINGS:
            raise unknown("pooling", key.pooling, POOLINGS)
    length = count_numbers(base, model.keys)
    expected = len(model.classifier.arrays["mean"])
    if length != expected:
        raise ModelError(
            f"{name_model(request)} contradicts itself: its classifier takes {expected} numbers, and its layers give "
            f"{length}. Fit it anew"
        )
