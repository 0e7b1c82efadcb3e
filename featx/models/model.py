"""A fitted classifier as plain arrays, and the model that joins it to the features it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.features.scaling import join
from featx.keys import FeatureKey
from featx.models.array_classifier import ArrayClassifier
from featx.types import Matrix


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
        """Write the model as one file (see `featx.models.model_file`)."""
        from featx.models.model_file import save_model

        save_model(self, Path(path))
