"""How familiar a data set looks to a base: features of a few images, and their distance from what the base has seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from featx.bases.architecture import RANDOM_WEIGHTS
from featx.bases.base import ALIASES, Base, Stage, is_pointwise_follower
from featx.images.normalise import to_input

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Probe:
    """What a base computed of a few images.

    Attributes
    ----------
    features : dict of layer to (n, d) float32
        Averages over all places.
    distances : dict of stage to float
        Distance of the activations from the statistics in the stage's batch norms, see `Moments.distance`; stages
        without batch norms are left out.
    confidence : float or None
        Mean of the largest probability that the base's own classifier gives; None without a classifier.
    """

    features: dict[str, NDArray[np.float32]]
    distances: dict[str, float]
    confidence: float | None

    @property
    def similarity(self) -> float | None:
        """Likeness to what the base was trained on, from 0 to 1; None if it cannot be estimated.

        The geometric mean of two shares: 1 / (1 + distance), the median over stages, and the confidence.
        """
        shares = []
        if self.confidence is not None:
            shares.append(self.confidence)
        if self.distances:
            shares.append(1 / (1 + float(np.median(list(self.distances.values())))))
        if not shares:
            return None
        return float(np.prod(shares) ** (1 / len(shares)))


class Moments:
    """Sums up mean and variance of each channel of a batch norm's input, over batches.

    A forward pre-hook of the module.

    Parameters
    ----------
    norm : torch.nn.BatchNorm2d
        With running statistics.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self.norm = norm
        self.count = 0
        # float64, since a variance is the small difference of two large sums.
        self.sums = torch.zeros(2, norm.num_features, dtype=torch.float64)

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Take one batch, (n, channels, height, width), before it is normalised."""
        x = inputs[0].detach().double()
        self.sums += torch.stack([x.sum((0, 2, 3)), x.square().sum((0, 2, 3))]).cpu()
        self.count += x.numel() // x.shape[1]

    def distance(self) -> float:
        """Squared Wasserstein distance between Gaussians, in variances of the norm: the median over channels.

        For one dimension it is (difference of means)^2 + (difference of deviations)^2 (Dowson and Landau, 1982).
        """
        mean, square = self.sums / max(1, self.count)
        deviation = (square - mean**2).clamp(min=0).sqrt()
        running = (self.norm.running_mean, self.norm.running_var)
        running_mean, running_variance = (tensor.double().cpu() for tensor in running if tensor is not None)
        running_deviation = (running_variance + self.norm.eps).sqrt()
        squared = (mean - running_mean).square() + (deviation - running_deviation).square()
        return float((squared / running_deviation.square()).median())


def candidates(base: Base) -> list[str]:
    """Name the layers worth trying: those with aliases, or a quarter apart, and the last before the classifier."""
    stages = base.stages
    learned = [i for i, stage in enumerate(stages) if stage.has_parameters]
    if len(learned) > 1 and stages[learned[-1]].is_classifier:
        learned.pop()
    end = len(stages) - 1
    last = learned[-1] if learned else end
    # A normalisation or rectifier after the last convolution belongs to the same depth.
    while last < end and is_pointwise_follower(stages[last + 1].module):
        last += 1
    chosen = {layer.index for layer in base.layers if layer.alias or layer.name in ALIASES}
    # In networks of tokens no alias marks a depth; quarters of the learned stages stand in.
    if not chosen and learned:
        chosen = {learned[round((len(learned) - 1) * share)] for share in (0.25, 0.5, 0.75)}
    chosen.add(last)
    return [base.layers[i].name for i in sorted(chosen) if i <= last]


def has_classifier(base: Base) -> bool:
    """Whether the last stage of a trained base gives one number a class."""
    is_trained = base.source != RANDOM_WEIGHTS
    gives_vector = len(base.layers[-1].shape) == 1
    return is_trained and gives_vector and any(stage.is_classifier for stage in base.stages)


@contextmanager
def watch_norms(stages: Sequence[Stage]) -> Iterator[dict[str, list[Moments]]]:
    """Observe what the batch norms of each stage are given, as long as the context lasts."""
    moments: dict[str, list[Moments]] = defaultdict(list)
    with ExitStack() as hooks:
        for stage in stages:
            for module in stage.module.modules():
                if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
                    observer = Moments(module)
                    moments[stage.name].append(observer)
                    hooks.callback(module.register_forward_pre_hook(observer).remove)
        yield moments


def probe(base: Base, batches: Iterable[NDArray[np.uint8]], layers: Sequence[str], device: torch.device = CPU) -> Probe:
    """Run a base over a few images.

    Parameters
    ----------
    base : Base
    batches : iterable of (n, height, width, 3) uint8
    layers : sequence of str
        Exact names of the layers whose features are wanted.
    device : torch.device
        The base is moved there, in place; to the CPU instead of "mps", which has no float64.

    Returns
    -------
    Probe
        Distances and confidence of trained bases only.
    """
    features: dict[str, list[NDArray[np.float32]]] = {layer: [] for layer in layers}
    confidences: list[NDArray[np.float32]] = []
    wanted = {layer: ["avg"] for layer in layers}
    classifier = base.layers[-1].name if has_classifier(base) else None
    if classifier:
        wanted[classifier] = ["avg"]
    if not wanted:
        # For the batch norms on the way there.
        wanted[base.layers[-1].name] = ["avg"]
    # Random weights have seen nothing that images could be far from.
    trained_stages = () if base.source == RANDOM_WEIGHTS else base.stages
    device = CPU if device.type == "mps" else device
    for stage in base.stages:
        stage.module.to(device)
    with watch_norms(trained_stages) as moments, torch.inference_mode():
        for pixels in batches:
            outputs = base.forward(to_input(torch.from_numpy(pixels).to(device), base.id.transform), wanted)
            for layer in layers:
                features[layer].append(outputs[layer, "avg"].float().cpu().numpy())
            if classifier:
                probabilities = outputs[classifier, "avg"].float().softmax(1)
                confidences.append(probabilities.amax(1).cpu().numpy())
    joined = {layer: np.concatenate(parts) for layer, parts in features.items()}
    confidence = None
    if confidences:
        confidence = float(np.concatenate(confidences).mean())
    return Probe(joined, mean_distances(moments), confidence)


def mean_distances(moments: dict[str, list[Moments]]) -> dict[str, float]:
    """Average the distances of each stage's batch norms."""
    distances = {}
    for stage, observers in moments.items():
        distances[stage] = float(np.mean([observer.distance() for observer in observers]))
    return distances
