"""Take a fitted classifier apart into the plain arrays that a model file holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.mlp import MLP
from featx.errors import ModelError
from featx.linear.fit import LinearModel
from featx.models.array_classifier import ArrayClassifier, Arrays, Opaque


def to_arrays(fitted: Any, inverse_temperature: float = 1.0) -> ArrayClassifier:
    """Take a fitted classifier apart.

    Parameters
    ----------
    fitted : LinearModel, or a pipeline of a StandardScaler and an MLP

    Raises
    ------
    ModelError
        If it is any other kind, for which arrays are not known to be all there is.
    """
    if isinstance(fitted, LinearModel):
        arrays = {"mean": fitted.mean, "scale": fitted.scale, "weights": fitted.weights, "intercept": fitted.intercept}
        return ArrayClassifier(fitted.kind, laid_out(arrays), inverse_temperature)
    steps = [step for _, step in getattr(fitted, "steps", ())]
    if len(steps) == 2 and isinstance(steps[1], MLP):
        names = ("hidden_weights", "hidden_intercept", "weights", "intercept")
        layers = dict(zip(names, steps[1].weights_, strict=True))
        return ArrayClassifier("mlp", laid_out({"mean": steps[0].mean_, "scale": steps[0].scale_, **layers}))
    raise ModelError(f"{type(fitted).__name__} is no classifier that a model file can hold: choose logreg, svm or mlp")


def laid_out(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Lay arrays out as a file will hold them: products of other layouts differ in their last bits."""
    return {name: np.array(array, order="C") for name, array in arrays.items()}


def as_classifier(fitted: Any, inverse_temperature: float) -> ArrayClassifier | Opaque:
    """Take a fitted classifier apart, or wrap it where that is not possible."""
    try:
        return to_arrays(fitted, inverse_temperature)
    except ModelError:
        return Opaque(fitted)
