"""A base and its classifier as one network: from pixels to probabilities, for torch's exporter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from featx.bases.base import Base
from featx.engines.engine import group_poolings
from featx.images.normalise import to_input
from featx.keys import FeatureKey
from featx.models.array_classifier import ArrayClassifier
from featx.models.model import Model
from featx.models.neighbours import ADDED_VOTES, LOST_BY_A_PLACE

MIRRORED_VIEWS = 2
"""So many views are made in the graph: the picture and its mirror image need no more pixels than the crop."""


class PredictingNetwork(nn.Module):
    """Everything between the pixels of a crop and the probabilities of the classes.

    Parameters
    ----------
    base : Base
        Its modules become parts of this network.
    model : Model
    """

    def __init__(self, base: Base, model: Model) -> None:
        super().__init__()
        self.base = base
        self.keys = model.keys
        self.wanted = group_poolings(model.keys)
        self.views = model.views
        # Registered, so that their weights are found.
        self.stages = nn.ModuleList(stage.module for stage in base.stages)
        self.classifier = make_classifier(model.classifier, len(model.classes_))

    def forward(self, pixels: Tensor) -> Tensor:
        """Label pictures.

        Parameters
        ----------
        pixels : (n, crop, crop, 3) uint8, or (n, v, crop, crop, 3) of models that average more than two views

        Returns
        -------
        (n, k) float32
            Probabilities.
        """
        views = self.list_views(pixels)
        scores = self.classifier(self.compute_features(views.flatten(0, 1)))
        return self.classifier.to_probabilities(scores.unflatten(0, (-1, self.views)).mean(1))

    def list_views(self, pixels: Tensor) -> Tensor:
        """Give the views of each picture: (n, v, crop, crop, 3) uint8."""
        if pixels.ndim == 5:
            return pixels
        if self.views == MIRRORED_VIEWS:
            return torch.stack([pixels, pixels.flip(2)], 1)
        return pixels.unsqueeze(1)

    def compute_features(self, pixels: Tensor) -> Tensor:
        """Run the base up to its cut: (n, crop, crop, 3) uint8 to (n, d) float32, as `Model.features` joins them."""
        x = to_input(pixels, self.base.id.transform)
        outputs = self.base.forward(x, self.wanted)
        return torch.cat([scale_to_unit(read_output(outputs, key)) for key in self.keys], 1)


def read_output(outputs: Mapping[tuple[str, str], Tensor], key: FeatureKey) -> Tensor:
    """Take the features of one key, rounded as the store rounds them: (n, d) float32."""
    features = outputs[key.layer, key.pooling].flatten(1).float()
    return features.half().float() if key.dtype == "float16" else features


def scale_to_unit(X: Tensor) -> Tensor:
    """Scale each row of (n, d) to length one; rows of zeros stay."""
    lengths = X.square().sum(1, keepdim=True).sqrt()
    return X / torch.where(lengths > 0, lengths, 1.0)


def make_classifier(classifier: ArrayClassifier, classes: int) -> Classifier:
    """Make the network of a classifier."""
    if classifier.kind == "knn":
        return Neighbours(classifier, classes)
    return Layers(classifier)


class Classifier(nn.Module):
    """What all classifiers begin with: standardisation, in float32.

    Parameters
    ----------
    classifier : ArrayClassifier
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, classifier: ArrayClassifier) -> None:
        super().__init__()
        self.add_array("mean", classifier.arrays["mean"])
        self.add_array("scale", classifier.arrays["scale"])

    def add_array(self, name: str, array: NDArray[Any]) -> None:
        """Hold an array as a constant of the network, numbers as float32."""
        is_number = array.dtype.kind == "f"
        self.register_buffer(name, torch.from_numpy(array.astype(np.float32) if is_number else array.copy()))

    def standardise(self, X: Tensor) -> Tensor:
        """Subtract the mean, and divide by the scale: (n, d) float32."""
        return (X - self.mean) / self.scale

    def to_probabilities(self, scores: Tensor) -> Tensor:
        """Turn (n, k) scores, averaged over views, into probabilities."""
        raise NotImplementedError


class Layers(Classifier):
    """A linear classifier, or one hidden layer and a linear classifier; then the softmax.

    Parameters
    ----------
    classifier : ArrayClassifier
        Of any kind but nearest neighbours.
    """

    weights: Tensor
    intercept: Tensor
    hidden_weights: Tensor
    hidden_intercept: Tensor

    def __init__(self, classifier: ArrayClassifier) -> None:
        super().__init__(classifier)
        self.is_mlp = classifier.kind == "mlp"
        self.inverse_temperature = classifier.inverse_temperature
        names = ["weights", "intercept"]
        if self.is_mlp:
            names += ["hidden_weights", "hidden_intercept"]
        for name in names:
            self.add_array(name, classifier.arrays[name])

    def forward(self, X: Tensor) -> Tensor:
        """Score every class: (n, d) to (n, k) float32; of two classes the first one scores 0."""
        inputs = self.standardise(X)
        if self.is_mlp:
            inputs = nn.functional.linear(inputs, self.hidden_weights, self.hidden_intercept).relu()
        scores = nn.functional.linear(inputs, self.weights, self.intercept)
        if scores.shape[1] == 1:
            return torch.cat([torch.zeros_like(scores), scores], 1)
        return scores

    def to_probabilities(self, scores: Tensor) -> Tensor:
        """Take the softmax of (n, k) scores; margins of an SVM are multiplied by the inverse temperature first."""
        return (self.inverse_temperature * scores).softmax(1)


class Neighbours(Classifier):
    """Training pictures that vote, as `featx.models.neighbours` counts them.

    Parameters
    ----------
    classifier : ArrayClassifier
        Of nearest neighbours.
    classes : int
    """

    neighbours: Tensor
    votes: Tensor
    shares: Tensor

    def __init__(self, classifier: ArrayClassifier, classes: int) -> None:
        super().__init__(classifier)
        labels = classifier.arrays["labels"]
        self.pictures = len(labels)
        self.most = int(classifier.arrays["k"][0])
        self.add_array("neighbours", classifier.arrays["neighbours"])
        self.add_array("votes", np.eye(classes, dtype=np.float32)[labels])
        # Of equally many votes those of the nearer pictures win.
        self.add_array("shares", 1 - LOST_BY_A_PLACE * np.arange(self.most, dtype=np.float64)[:, None])

    def forward(self, X: Tensor) -> Tensor:
        """Count votes: (n, d) to shares (n, k) float32."""
        similarities = scale_to_unit(self.standardise(X)) @ self.neighbours.T
        # The most similar view stands for a picture.
        of_pictures = similarities.unflatten(1, (-1, self.pictures)).amax(1)
        nearest = of_pictures.topk(self.most, dim=1).indices
        votes = (self.votes[nearest] * self.shares).sum(1) + ADDED_VOTES
        return votes / votes.sum(1, keepdim=True)

    def to_probabilities(self, scores: Tensor) -> Tensor:
        """Give the shares: they are probabilities as they are."""
        return scores
