"""A look at a data set through a base: features of a few images, and how unlike they are to what the base has seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from featx.bases.base import ALIASES, CLASSIFIERS, Base, is_pointwise_follower
from featx.images.transform import to_input


@dataclass(frozen=True)
class Probe:
    """What a base computed of a few images.

    Attributes
    ----------
    features : dict of layer to (n, d) float32
        Averages over all places.
    distances : dict of stage to float
        How far the activations lie from the statistics in the stage's batch norms; stages without any are not in it.
    confidence : float or None
        Mean of the largest probability that the base's own classifier gives; None without one.
    """

    features: dict[str, NDArray[np.float32]]
    distances: dict[str, float]
    confidence: float | None

    @property
    def similarity(self) -> float | None:
        """Likeness to what the base was trained on, from 0 to 1; None if nothing tells it.

        The geometric mean of two shares: 1 / (1 + distance), the median over stages, and the confidence.
        """
        shares = [] if self.confidence is None else [self.confidence]
        if self.distances:
            shares.append(1 / (1 + float(np.median(list(self.distances.values())))))
        return float(np.prod(shares) ** (1 / len(shares))) if shares else None


class Moments:
    """Mean and variance of each channel of a batch norm's input, summed up over batches."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self.norm, self.count = norm, 0
        self.sums = torch.zeros(2, norm.num_features, dtype=torch.float64)

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Take one batch, (n, channels, height, width), before it is normalised."""
        x = inputs[0].detach().double()
        self.sums += torch.stack([x.sum((0, 2, 3)), x.square().sum((0, 2, 3))]).cpu()
        self.count += x.numel() // x.shape[1]

    def distance(self) -> float:
        """Squared Wasserstein distance between Gaussians, in variances of the norm: the median of all channels."""
        mean, square = self.sums / max(1, self.count)
        deviation = (square - mean**2).clamp(min=0).sqrt()
        wanted = self.norm.running_mean, self.norm.running_var
        centre, spread = (tensor.double().cpu() for tensor in wanted if tensor is not None)
        spread = (spread + self.norm.eps).sqrt()
        return float((((mean - centre).square() + (deviation - spread).square()) / spread.square()).median())


def candidates(base: Base) -> list[str]:
    """Name the layers worth trying: those with aliases, or a quarter apart, and the last before the classifier."""
    stages = base.stages
    learned = [place for place, stage in enumerate(stages) if any(True for _ in stage.module.parameters())]
    if len(learned) > 1 and stages[learned[-1]].name.split(".")[0] in CLASSIFIERS:
        learned.pop()
    end = len(stages) - 1
    last = learned[-1] if learned else end
    while last < end and is_pointwise_follower(stages[last + 1].module):
        last += 1
    found = [layer.index for layer in base.layers if layer.alias or layer.name in ALIASES]
    if not found and learned:
        found = [learned[round((len(learned) - 1) * share)] for share in (0.25, 0.5, 0.75)]
    return [base.layers[place].name for place in sorted({*found, last}) if place <= last]


def has_classifier(base: Base) -> bool:
    """Whether the last stage gives one number a class."""
    layer = base.layers[-1]
    named = any(stage.name.split(".")[0] in CLASSIFIERS for stage in base.stages)
    return named and len(layer.shape) == 1 and base.source != "random"


def probe(base: Base, batches: Iterable[NDArray[np.uint8]], layers: Sequence[str]) -> Probe:
    """Run a base over a few images.

    Parameters
    ----------
    base : Base
    batches : iterable of (n, height, width, 3) uint8
    layers : sequence of str
        Exact names of the layers whose features are wanted.
    """
    moments: dict[str, list[Moments]] = defaultdict(list)
    features: dict[str, list[Any]] = {layer: [] for layer in layers}
    confidences: list[Any] = []
    last = base.layers[-1].name
    with ExitStack() as stack, torch.inference_mode():
        for stage in base.stages if base.source != "random" else ():
            for module in stage.module.modules():
                if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
                    moments[stage.name].append(Moments(module))
                    stack.callback(module.register_forward_pre_hook(moments[stage.name][-1]).remove)
        wanted = {layer: ["avg"] for layer in [*layers, *([last] if has_classifier(base) else [])]}
        for pixels in batches:
            outputs = base.forward(to_input(torch.from_numpy(pixels), base.id.transform), wanted)
            for layer in layers:
                features[layer].append(outputs[layer, "avg"].float().numpy())
            if has_classifier(base):
                confidences.append(outputs[last, "avg"].float().softmax(1).amax(1).numpy())
    return Probe(
        {layer: np.concatenate(parts) for layer, parts in features.items()},
        {name: float(np.mean([one.distance() for one in found])) for name, found in moments.items()},
        float(np.concatenate(confidences).mean()) if confidences else None,
    )
