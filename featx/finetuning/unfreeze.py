"""A base divided for fine-tuning: a frozen prefix, a suffix that is trained, and the head put on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from featx.bases.base import HEAD_STAGES, Base, Stage
from featx.bases.pooling import POOLINGS
from featx.bases.weights import as_arrays, digest_tensors
from featx.errors import RequestError
from featx.finetuning.head import Head

KEEPS = ("proven", "best")
"""What is kept of an epoch that is hardly better than the frozen base (`--keep`)."""


class TrainablePart(nn.Module):
    """The stages from a cut on, pooling, and the head: everything that fine-tuning may change.

    Parameters
    ----------
    stages : iterable of Stage
    layout : str
        Of the last stage's output.
    head : Head
    thaws_statistics : bool
        Whether running statistics of BatchNorm go on changing.
    """

    def __init__(self, stages: Iterable[Stage], layout: Any, head: Head, thaws_statistics: bool) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stage.module for stage in stages)
        self.layout, self.head, self.thaws_statistics = layout, head, thaws_statistics
        self.stages.requires_grad_(True)

    def train(self, mode: bool = True) -> TrainablePart:
        """Switch to training, BatchNorm statistics left as they are unless they were asked for."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm) and not self.thaws_statistics:
                module.eval()
        return self

    def pooled(self, activation: Tensor) -> Tensor:
        """Map a batch of activations at the cut to (n, d) pooled ones."""
        for stage in self.stages:
            activation = stage(activation)
        return POOLINGS["avg"](activation, self.layout)

    def forward(self, activation: Tensor) -> Tensor:
        """Map a batch of activations at the cut to (n, classes) scores."""
        scores: Tensor = self.head(self.pooled(activation))
        return scores

    def groups(self, rate: float, decay: float) -> Iterator[dict[str, Any]]:
        """Yield what an optimizer takes: the head at `rate`, each stage below at `decay` times the rate above it.

        Adam moves every number by about the rate, however small it is. A head that was solved has small numbers, which
        a few steps would overwrite, so its rate is as much lower as they are smaller than drawn ones.
        """
        own = rate * self.head.smallness()
        yield {"params": list(self.head.parameters()), "lr": own, "rate": own}
        for stage in reversed(self.stages):
            if parameters := list(stage.parameters()):
                yield {"params": parameters, "lr": rate, "rate": rate}
                rate *= decay


@dataclass(frozen=True)
class UnfreezePlan:
    """Where a base is cut.

    Attributes
    ----------
    base : Base
    first : int
        Place of the first stage that is unfrozen.
    last : int
        Place of the last stage below the head.
    """

    base: Base
    first: int
    last: int

    @property
    def unfrozen(self) -> str:
        """Name of the first stage that is unfrozen."""
        return self.base.stages[self.first].name

    @property
    def deepest(self) -> str:
        """Name of the layer that the head is put on."""
        return self.base.stages[self.last].name

    @property
    def cut(self) -> str | None:
        """Name of the layer whose activations the suffix takes; None if nothing stays frozen."""
        return self.base.stages[self.first - 1].name if self.first else None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that are unfrozen."""
        return self.base.stages[self.first : self.last + 1]

    def prefix(self, images: Tensor) -> Tensor:
        """Run the frozen stages: (n, 3, height, width) to the activation at the cut."""
        with torch.no_grad():
            for stage in self.base.stages[: self.first]:
                images = stage.module(images)
        return images

    def to(self, device: torch.device) -> None:
        """Move every stage to a device, in channels_last memory."""
        for stage in self.base.stages:
            stage.module.to(device).to(memory_format=torch.channels_last)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Copy the tensors of the whole network, by the names that weights files use."""
        if self.base.network is None:
            raise ValueError("a base without its network has no names for its tensors")
        state = {k: v for k, v in self.base.network.state_dict().items() if not k.endswith("num_batches_tracked")}
        return {name: np.array(array, order="C") for name, array in as_arrays(state).items()}

    def tuned(self, tensors: dict[str, NDArray[Any]]) -> Base:
        """Give the base with the identity that its present tensors ask for."""
        return replace(self.base, id=replace(self.base.id, weights=digest_tensors(tensors)))


def divide(base: Base, asked: str) -> UnfreezePlan:
    """Find where to cut a base.

    Parameters
    ----------
    base : Base
    asked : str
        The first stage to be unfrozen, by name or alias, or a number: so many stages counted from the end.

    Raises
    ------
    UnknownName
        If there is no such stage.
    RequestError
        If the base has fewer stages below its head, or the stage is part of the head.
    """
    last = max(place for place, stage in enumerate(base.stages) if stage.name.split(".")[0] not in HEAD_STAGES)
    if asked.isdigit():
        first = last + 1 - int(asked)
        if not 0 <= first <= last:
            raise RequestError(
                f"--from {asked} asks for {asked} stages, but {base.id.architecture} has {last + 1} below its head: "
                f"give a number from 1 to {last + 1}, or the name of a stage"
            )
    else:
        first = base.layer(asked).index
    if first > last:
        raise RequestError(
            f"--from '{asked}' is part of the head of {base.id.architecture}, which is replaced: "
            f"'{base.stages[last].name}' is the last stage that can be unfrozen"
        )
    return UnfreezePlan(base, first, last)
