"""Take a fitted classifier apart into the plain arrays that a model file holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.knn import NeighboursModel
from featx.classifiers.mlp import MLP
from featx.errors import ModelError
from featx.linear.fit import LinearModel
from featx.models.array_classifier import ArrayClassifier, Arrays, Opaque

MLP_ARRAYS = ("hidden_weights", "hidden_intercept", "weights", "intercept")


def to_arrays(fitted: Any, inverse_temperature: float = 1.0) -> ArrayClassifier:
    """Take a fitted classifier apart.

    Parameters
    ----------
    fitted : LinearModel, NeighboursModel, or a pipeline of a StandardScaler and an MLP
    inverse_temperature : float
        What scores are multiplied by before the softmax; of linear classifiers only.

    Returns
    -------
    ArrayClassifier

    Raises
    ------
    ModelError
        If it is any other kind: its arrays may not be all there is to it.
    """
    if isinstance(fitted, LinearModel):
        arrays = {"mean": fitted.mean, "scale": fitted.scale, "weights": fitted.weights, "intercept": fitted.intercept}
        return ArrayClassifier(fitted.kind, copy_in_order(arrays), inverse_temperature)
    if isinstance(fitted, NeighboursModel):
        pictures: Arrays = {"neighbours": fitted.neighbours, "labels": fitted.labels, "k": np.array([fitted.k])}
        return ArrayClassifier("knn", copy_in_order({"mean": fitted.mean, "scale": fitted.scale, **pictures}))
    steps = [step for _, step in getattr(fitted, "steps", ())]
    if len(steps) == 2 and isinstance(steps[1], MLP):
        scaler, mlp = steps
        layers = dict(zip(MLP_ARRAYS, mlp.weights_, strict=True))
        return ArrayClassifier("mlp", copy_in_order({"mean": scaler.mean_, "scale": scaler.scale_, **layers}))
    raise ModelError(
        f"a model file cannot hold a classifier of type '{type(fitted).__name__}': "
        "choose logreg, svm, mlp, knn or dummy"
    )


def copy_in_order(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Copy arrays in the memory order that a file gives them: products of other orders differ in their last bits."""
    return {name: np.array(array, order="C") for name, array in arrays.items()}


def as_classifier(fitted: Any, inverse_temperature: float) -> ArrayClassifier | Opaque:
    """Take a fitted classifier apart, or wrap it where that is not possible."""
    try:
        return to_arrays(fitted, inverse_temperature)
    except ModelError:
        return Opaque(fitted)
