"""A custom network as the list of stages that a Python file gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

from featx.bases.architectures.torchvision_stages import Piece, Stages


class StageList(nn.Module):
    """A custom network: the list of stages that its file gives.

    Parameters
    ----------
    pieces : sequence of tuples
        Name, module and, where its shape does not tell it, layout of each stage.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self.pieces = [(name, *rest) for name, _, *rest in pieces]
        for name, module, *_ in pieces:
            self.add_module(name.replace(".", "/"), module)

    def stages(self) -> Stages:
        """List the stages as they were given."""
        for (name, *rest), module in zip(self.pieces, self.children(), strict=True):
            yield (name, module, *rest)  # type: ignore[misc]


def build_stage_list(stages: Callable[[], Iterable[Piece]]) -> nn.Module:
    """Build the network whose stages a function lists, on the CPU whatever torch's default device is."""
    with torch.device("cpu"):
        return StageList(list(stages()))
