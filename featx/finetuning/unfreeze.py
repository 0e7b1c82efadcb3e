"""A base divided for fine-tuning: a frozen prefix, and the trainable part with the head put on it."""

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


class TrainablePart(nn.Module):
    """The stages from the cut on, pooling, and the head: everything that fine-tuning may change.

    Parameters
    ----------
    stages : iterable of Stage
    layout : str
        Of the last stage's output.
    head : Head
    thaw_batchnorm : bool
        Whether running statistics of BatchNorm go on changing.
    """

    def __init__(self, stages: Iterable[Stage], layout: Any, head: Head, thaw_batchnorm: bool) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stage.module for stage in stages)
        self.layout = layout
        self.head = head
        self.thaw_batchnorm = thaw_batchnorm
        self.stages.requires_grad_(True)

    def train(self, mode: bool = True) -> TrainablePart:
        """Switch to training; BatchNorm keeps its statistics unless they are to be thawed."""
        super().train(mode)
        if self.thaw_batchnorm:
            return self
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                # Small batches of another data set estimate them worse than pretraining did.
                module.eval()
        return self

    def compute_pooled(self, activation: Tensor) -> Tensor:
        """Map a batch of activations at the cut to (n, d) pooled ones."""
        for stage in self.stages:
            activation = stage(activation)
        return POOLINGS["avg"](activation, self.layout)

    def forward(self, activation: Tensor) -> Tensor:
        """Map a batch of activations at the cut to (n, classes) scores."""
        scores: Tensor = self.head(self.compute_pooled(activation))
        return scores

    def param_groups(self, lr: float, decay: float) -> Iterator[dict[str, Any]]:
        """Yield the optimizer's param_groups: the head at `lr`, each stage at `decay` times the rate of the one above.

        Adam moves every weight by about the learning rate, however small the weight is. The weights of a head that was
        solved exactly are small, and a few steps would overwrite them: its rate is lowered by their weight-scale ratio.
        Lower rates for lower stages: Howard and Ruder, 2018, Universal Language Model Fine-tuning.
        """
        yield {"params": list(self.head.parameters()), "lr": lr * self.head.weight_scale_ratio()}
        for stage in reversed(self.stages):
            parameters = list(stage.parameters())
            if parameters:
                yield {"params": parameters, "lr": lr}
                lr *= decay


@dataclass(frozen=True)
class UnfreezePlan:
    """Where a base is cut: stages before `first` stay frozen, those from `first` to `last` are trained.

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
        """Name of the layer whose activations the trainable part takes; None if nothing stays frozen."""
        return self.base.stages[self.first - 1].name if self.first else None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that are unfrozen."""
        return self.base.stages[self.first : self.last + 1]

    def run_prefix(self, images: Tensor) -> Tensor:
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
        """Copy the tensors of the whole network, by the names that weights files use.

        Raises
        ------
        ValueError
            If the base came without its network.
        """
        if self.base.network is None:
            raise ValueError("a base without its network has no names for its tensors")
        state = self.base.network.state_dict()
        # BatchNorm's counter of batches has no bearing on what the network computes, and no place in its digest.
        state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
        return {name: np.array(array, order="C") for name, array in as_arrays(state).items()}

    def finetuned_base(self, tensors: dict[str, NDArray[Any]]) -> Base:
        """Give the base the identity of its present tensors."""
        return replace(self.base, id=replace(self.base.id, weights=digest_tensors(tensors)))


def divide(base: Base, start: str) -> UnfreezePlan:
    """Find where to cut a base.

    Parameters
    ----------
    base : Base
    start : str
        The first stage to be unfrozen, by name or alias, or a number: so many stages counted from the end.

    Raises
    ------
    UnknownName
        If there is no such stage.
    RequestError
        If the base has fewer stages below its head, or the stage is part of the head.
    """
    architecture = base.id.architecture
    below_head = [place for place, stage in enumerate(base.stages) if stage.name.split(".")[0] not in HEAD_STAGES]
    last = max(below_head)
    if start.isdigit():
        first = last + 1 - int(start)
        if not 0 <= first <= last:
            raise RequestError(
                f"--from {start} asks for {start} stages, but {architecture} has {last + 1} below its head: "
                f"give a number from 1 to {last + 1}, or the name of a stage"
            )
    else:
        first = base.layer(start).index
    if first > last:
        raise RequestError(
            f"--from '{start}' is part of the head of {architecture}, which is replaced: "
            f"'{base.stages[last].name}' is the last stage that can be unfrozen"
        )
    return UnfreezePlan(base, first, last)
