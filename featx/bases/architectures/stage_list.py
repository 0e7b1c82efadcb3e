"""A custom network as the list of stages that a Python file gives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from featx.bases.architecture import CUSTOM_WEIGHTS, Architecture
from featx.bases.architectures.python_file import Definitions, architecture_name, run_file
from featx.bases.architectures.torchvision_stages import NamedStage, Stages
from featx.errors import RequestError
from featx.keys import InputTransform

DEFAULT_TRANSFORM = {"resize": 256, "crop": 224}
"""What a file's `transform` is completed with: the usual sizes for ImageNet."""


class StageList(nn.Module):
    """A custom network: the list of stages that its file gives.

    Parameters
    ----------
    stages : sequence of tuples
        Name, module and, where its shape does not tell it, layout of each stage.
    """

    def __init__(self, stages: Sequence[NamedStage]) -> None:
        super().__init__()
        self.names_and_layouts = [(name, *layout) for name, _, *layout in stages]
        for name, module, *_ in stages:
            # torch refuses dots in the name of a submodule.
            self.add_module(name.replace(".", "/"), module)

    def stages(self) -> Stages:
        """List the stages as they were given."""
        for (name, *layout), module in zip(self.names_and_layouts, self.children(), strict=True):
            yield (name, module, *layout)  # type: ignore[misc]


def build_stage_list(definitions: Definitions) -> nn.Module:
    """Build the network whose stages a file's function lists, on the CPU whatever torch's default device is."""
    with torch.device("cpu"), definitions.imports.active():
        return StageList(list(definitions.stages()))


def describe_python_file(path: str) -> Architecture:
    """Describe the network that a Python file lists by its function `stages`, with weights as the file leaves them.

    Raises
    ------
    RequestError
        If the file cannot be run, or does not define what it should.
    """
    name = architecture_name(path)
    definitions = run_file(path, name)
    fields = {**DEFAULT_TRANSFORM, **definitions.transform}
    try:
        transform = InputTransform.from_dict(fields)
    except TypeError as error:
        raise RequestError(
            f"base '{path}' states an invalid transform ({error}): it may set resize, crop, interpolation, mean and std"
        ) from error
    build = partial(build_stage_list, definitions)
    return Architecture(
        name,
        build,
        StageList.stages,  # type: ignore[arg-type]
        native_transform=transform,
        default_weights=CUSTOM_WEIGHTS,
        builds_on_meta=False,
    )
