"""Every base that has a name of its own, and `resolve`: from what a user asked for to one Architecture."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from featx.base_choice import BaseChoice
from featx.bases.architecture import NO_WEIGHTS, Architecture
from featx.bases.architectures import handcrafted
from featx.bases.architectures.stage_list import describe_python_file
from featx.bases.architectures.timm_models import count_timm_bytes, describe_timm, describe_timm_download
from featx.bases.architectures.tiny import tiny
from featx.bases.architectures.torchvision_models import describe_torchvision
from featx.bases.architectures.torchvision_stages import sequential, vit
from featx.bases.meta_device import count_tensor_bytes
from featx.bases.names import TIMM_PREFIX, TORCHVISION_FAMILIES, check_base_name, is_python_file
from featx.errors import RequestError
from featx.keys import InputTransform

CIFAR = InputTransform(resize=32, crop=32, mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762))
"""CIFAR-100's own size, and its mean and deviation; `pipelines/pretrain_tiny.py` trains with the same."""


def handcrafted_square(side: int) -> InputTransform:
    """Build the transform of hand-crafted features: the middle square of an image, as numbers from 0 to 1."""
    return InputTransform(side, side, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


BASES: dict[str, Architecture] = {
    "tiny": Architecture("tiny", tiny, sequential, CIFAR, "CIFAR100"),
    **{
        name: Architecture(name, build, sequential, handcrafted_square(side), NO_WEIGHTS, builds_on_meta=False)
        for name, (build, side) in handcrafted.DESCRIPTORS.items()
    },
    **{
        name: describe_torchvision(name, family) for family, members in TORCHVISION_FAMILIES.items() for name in members
    },
}
"""Name of a base: its architecture."""


def find_architecture(name: str, weights: str | None) -> Architecture:
    """Look up a base by name, with the transform that the named weights ask for.

    Raises
    ------
    UnknownName
        Listing the bases, with the nearest match.
    RequestError
        If a Python file cannot be run, or a network of timm does not fall into stages.
    """
    check_base_name(name)
    if is_python_file(name):
        return describe_python_file(name)
    if name.startswith(TIMM_PREFIX):
        return describe_timm(name, weights)
    architecture = BASES[name]
    transform = architecture.presets.get(weights or architecture.default_weights, architecture.native_transform)
    build = architecture.build
    if architecture.adapter is vit and transform.crop != architecture.native_transform.crop:
        # The position embeddings of a vision transformer are made for one size of image.
        build = partial(build, image_size=transform.crop)
    return replace(architecture, build=build, native_transform=transform)


def describe_download(name: str, weights: str | None) -> str | None:
    """Say what loading published weights would download, without building the network.

    Parameters
    ----------
    name : str
        As `--base` takes it.
    weights : str or None
        As `--weights` takes them; None, or the empty text, is the base's default.

    Returns
    -------
    str or None
        Such as "45 MB from https://..."; None where the weights are on this machine, or were never published.

    Raises
    ------
    UnknownName
        If there is no such base.
    RequestError
        If it needs timm, which is not installed.
    """
    check_base_name(name)
    if name.startswith(TIMM_PREFIX):
        return describe_timm_download(name, weights)
    architecture = BASES.get(name)
    if architecture is None or architecture.describe_download is None:
        return None
    return architecture.describe_download(weights or architecture.default_weights)


def count_bytes(name: str) -> int:
    """Count the bytes of a network's tensors, in float32, without taking memory for them.

    Raises
    ------
    UnknownName
        If there is no such base.
    RequestError
        If it needs timm, which is not installed, or a Python file cannot be run.
    """
    check_base_name(name)
    if name.startswith(TIMM_PREFIX):
        return count_timm_bytes(name)
    architecture = BASES[name] if name in BASES else find_architecture(name, None)
    return count_tensor_bytes(architecture.build)


def resolve(choice: BaseChoice) -> Architecture:
    """Find the architecture that a choice names: a request does this once, and everything hangs on the result.

    Parameters
    ----------
    choice : BaseChoice

    Returns
    -------
    Architecture
        With the weights, the transform and the precision of the choice.

    Raises
    ------
    UnknownName
        If there is no such base.
    RequestError
        If the crop is larger than the resized image, a Python file cannot be run, or a network of timm does not fall
        into stages.
    """
    architecture = find_architecture(choice.name, choice.weights)
    native = architecture.native_transform
    crop = choice.crop or native.crop
    resize = choice.resize or max(native.resize, crop)
    if not 0 < crop <= resize:
        raise RequestError(f"--crop {crop} does not fit into --resize {resize}: give a crop from 1 to {resize}")
    decode = choice.decode or native.decode
    transform = replace(native, resize=resize, crop=crop, value_range=choice.black_and_white(), decode=decode)
    return replace(architecture, weights=choice.weights, transform=transform, precision=choice.precision)
