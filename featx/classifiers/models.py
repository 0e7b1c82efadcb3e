"""A fitted classifier as plain arrays, and the model that joins it to the features it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from featx.classifiers.linear import LinearModel
from featx.classifiers.mlp import MLP
from featx.classifiers.search import unit_length
from featx.errors import ModelError
from featx.keys import FeatureKey

Matrix = NDArray[np.floating[Any]]
Arrays = Mapping[str, NDArray[Any]]

CALIBRATIONS = {
    "logreg": "softmax of the scores",
    "mlp": "softmax of the scores",
    "svm": "softmax of sharpness times the margins; sharpness fitted on cross-validated margins of the training part",
}
"""Kind of classifier: how its scores become probabilities, in words."""


@dataclass(frozen=True)
class ArrayClassifier:
    """A classifier that is nothing but arrays, so that a file can hold it without code.

    Attributes
    ----------
    kind : str
        "logreg", "svm" or "mlp".
    arrays : mapping of str to array
        All kinds: `mean`, `scale` (d,) float64. Linear kinds: `weights` (k, d) and `intercept` (k,) float64, one row
        where there are two classes. MLP: `hidden_weights` (h, d), `hidden_intercept` (h,), `weights` (k, h) and
        `intercept` (k,) float32.
    sharpness : float
        What scores are multiplied by before the softmax: 1 but for the SVM, whose margins are no log-odds.
    """

    kind: str
    arrays: Arrays
    sharpness: float = 1.0

    def scores(self, X: Matrix) -> NDArray[np.float64]:
        """Score every class: (n, d) features to (n, k) float64; of two classes the first one scores 0."""
        if X.ndim != 2 or X.shape[1] != len(self.arrays["mean"]):
            raise ModelError(f"the model takes features of {len(self.arrays['mean'])} numbers, not of {X.shape[1:]}")
        scaled = (X.astype(np.float64) - self.arrays["mean"]) / self.arrays["scale"]
        if self.kind == "mlp":
            hidden = scaled.astype(np.float32) @ self.arrays["hidden_weights"].T + self.arrays["hidden_intercept"]
            scaled = np.maximum(hidden, 0)
        scores = (scaled @ self.arrays["weights"].T + self.arrays["intercept"]).astype(np.float64)
        return np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores

    def predict(self, X: Matrix) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Choose classes and say how sure that is.

        Probabilities are the softmax of the scores. Margins of an SVM are multiplied by `sharpness` first: temperature
        scaling (Guo et al., 2017, On Calibration of Modern Neural Networks), which never changes the class chosen.

        Parameters
        ----------
        X : (n, d) float, or (n, v, d): v views of each image, whose scores are averaged

        Returns
        -------
        chosen : (n,) int
        probabilities : (n, k) float64

        Raises
        ------
        ModelError
            If the features are of another length.
        """
        scores = self.scores(X.reshape(-1, X.shape[-1]))
        scores = scores.reshape(*X.shape[:-1], -1).mean(axis=1) if X.ndim == 3 else scores
        return scores.argmax(axis=1), softmax(self.sharpness * scores, axis=1)


@dataclass(frozen=True)
class Opaque:
    """Any scikit-learn classifier, behind the method that `ArrayClassifier` has; no file can hold it."""

    estimator: Any

    def predict(self, X: Matrix) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Choose classes of (n, d) features: (n,) int, and (n, k) float64 probabilities, 0 or 1 if it states none.

        Of (n, v, d), v views of each image, the probabilities are averaged.
        """
        if X.ndim == 3:
            shares = self.predict(X.reshape(-1, X.shape[-1]))[1].reshape(*X.shape[:-1], -1).mean(axis=1)
            return shares.argmax(axis=1), shares
        chosen = np.asarray(self.estimator.predict(X), np.intp)
        if hasattr(self.estimator, "predict_proba"):
            return chosen, np.asarray(self.estimator.predict_proba(X), np.float64)
        return chosen, np.eye(len(self.estimator.classes_))[chosen]


def to_arrays(fitted: Any, sharpness: float = 1.0) -> ArrayClassifier:
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
        return ArrayClassifier(fitted.kind, laid_out(arrays), sharpness)
    steps = [step for _, step in getattr(fitted, "steps", ())]
    if len(steps) == 2 and isinstance(steps[1], MLP):
        names = ("hidden_weights", "hidden_intercept", "weights", "intercept")
        layers = dict(zip(names, steps[1].weights_, strict=True))
        return ArrayClassifier("mlp", laid_out({"mean": steps[0].mean_, "scale": steps[0].scale_, **layers}))
    raise ModelError(f"{type(fitted).__name__} is no classifier that a model file can hold: choose logreg, svm or mlp")


def laid_out(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Lay arrays out as a file will hold them: products of other layouts differ in their last bits."""
    return {name: np.array(array, order="C") for name, array in arrays.items()}


def as_classifier(fitted: Any, sharpness: float) -> ArrayClassifier | Opaque:
    """Take a fitted classifier apart, or wrap it where that is not possible."""
    try:
        return to_arrays(fitted, sharpness)
    except ModelError:
        return Opaque(fitted)


def join(parts: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Make one matrix of the features of one or several layers.

    Parameters
    ----------
    parts : sequence of (n, ...) float
        One a layer, each to be flattened. Rows are scaled to length one, layer by layer, so that contrast counts less,
        and a large layer does not outweigh a small one.

    Returns
    -------
    (n, d) float32
    """
    scaled = [unit_length(part.reshape(len(part), -1)) for part in parts]
    return scaled[0] if len(scaled) == 1 else np.hstack(scaled)


@dataclass(frozen=True)
class Model:
    """Everything that labels new images: which features to compute, and the classifier that takes them.

    Attributes
    ----------
    keys : tuple of FeatureKey
        One a layer of the mix, all of one base.
    source : str
        Where the base's weights came from, in plain words.
    weights : str
        What `--weights` would be to load them again: a name, "random" or a path.
    classes : tuple of str
        Labels in the order of the classifier's scores.
    classifier : ArrayClassifier
    params : dict
        Hyper-parameters that cross-validation chose.
    protocol : dict
        How the training part, the folds and the seed were made.
    scores : dict
        The evaluation on the held-out part.
    views : int
        Views of an image whose scores are averaged.
    tensors : mapping of str to array
        Of a fine-tuned base, which the model then holds itself.
    """

    keys: tuple[FeatureKey, ...]
    source: str
    weights: str
    classes: tuple[str, ...]
    classifier: ArrayClassifier
    params: Mapping[str, float] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    views: int = 1
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def features(self, outputs: Mapping[tuple[str, str], NDArray[Any]]) -> NDArray[np.float32]:
        """Make the classifier's input from what a base computed.

        Parameters
        ----------
        outputs : mapping of (layer, pooling) to (n, ...) float32

        Returns
        -------
        (n, d) float32
            Rounded as the store would have rounded them.
        """
        return join([outputs[key.layer, key.pooling].astype(key.dtype) for key in self.keys])

    def predict(self, X: Matrix) -> list[str]:
        """Label (n, d) features, made as `features` makes them: n names of classes."""
        return [self.classes[code] for code in self.classifier.predict(X)[0]]

    def predict_proba(self, X: Matrix) -> NDArray[np.float64]:
        """Give probabilities: (n, d) features to (n, classes) float64; calibrated for the SVM, see `CALIBRATIONS`."""
        return self.classifier.predict(X)[1]

    def save(self, path: str | Path) -> None:
        """Write the model as one file (see `featx.classifiers.models_file`)."""
        from featx.classifiers.models_file import save_model

        save_model(self, Path(path))
