"""Networks of torchvision as architectures: how each is built, what its weights were trained to see, where they are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor

from featx.bases.architecture import RANDOM_WEIGHTS, Architecture
from featx.bases.architectures.torchvision_stages import ADAPTERS
from featx.bases.weights import read_weights
from featx.errors import WeightsError, unknown
from featx.keys import InputTransform

DEFAULT_WEIGHTS = ("IMAGENET1K_V1", "IMAGENET1K_SWAG_LINEAR_V1")
"""Published weights that stand for an architecture: the first of these that it has.

Where there is no `IMAGENET1K_V1`, that is the frozen trunk with a linear classifier.
"""

BUILD_OPTIONS: dict[str, dict[str, bool]] = {
    "vgg": {"init_weights": False},
    "googlenet": {"init_weights": False, "aux_logits": False, "transform_input": True},
    "inception_v3": {"init_weights": False, "aux_logits": False, "transform_input": True},
}
"""Prefix of a name: options that build the network as its published weights were trained, without drawing numbers."""


def describe_torchvision(name: str, family: str) -> Architecture:
    """Describe one of torchvision's architectures, with the transforms that its weights state."""
    published = torchvision.models.get_model_weights(name)
    presets = {weights.name: read_preset(weights.transforms()) for weights in published}
    default = next(weights for weights in DEFAULT_WEIGHTS if weights in presets)
    return Architecture(
        name,
        partial(torchvision.models.get_model, name, weights=None, **build_options(name)),
        ADAPTERS[family],
        native_transform=presets[default],
        default_weights=default,
        presets=presets,
        download=partial(download_torchvision, name),
        describe_download=partial(describe_torchvision_download, name),
    )


def build_options(name: str) -> dict[str, bool]:
    """Find the options that an architecture is built with."""
    for prefix, options in BUILD_OPTIONS.items():
        if name.startswith(prefix):
            return options
    return {}


def read_preset(preset: Any) -> InputTransform:
    """Write one of torchvision's `ImageClassification` presets as an InputTransform."""
    return InputTransform(
        preset.resize_size[0],
        preset.crop_size[0],
        preset.interpolation.value,
        tuple(preset.mean),
        tuple(preset.std),
    )


def download_torchvision(name: str, weights: str) -> Mapping[str, Tensor]:
    """Fetch published weights, from torch's local cache if they are in it.

    Raises
    ------
    UnknownName
        If the architecture has no such weights.
    WeightsError
        If they are not in the local cache and cannot be downloaded.
    """
    published = torchvision.models.get_model_weights(name)
    # With aliases such as DEFAULT, which a loop over the enumeration leaves out.
    names = [*published.__members__, RANDOM_WEIGHTS]
    if weights not in names:
        raise unknown(f"weights of {name}", weights, names, "Or give the path of a .safetensors or .pth file.")
    chosen = published[weights]
    place = downloaded_file(chosen.url)
    try:
        if not place.is_file():
            # Its hash is checked, and it stays in the folder.
            chosen.get_state_dict(progress=True, check_hash=True, weights_only=True)
        return read_weights(place)
    # URLError is an OSError; a wrong hash is a RuntimeError; what a damaged file raises is anything.
    except Exception as error:
        if place.exists():
            raise WeightsError(
                f"weights '{weights}' of {name} cannot be read from '{place}' ({type(error).__name__}). Remove that "
                "file, so that it is downloaded anew"
            ) from error
        raise WeightsError(
            f"weights '{weights}' of {name} are not on this machine and cannot be downloaded ({error}). "
            f"Bring the file {place.name} from {chosen.url} and put it into '{place.parent}', or name it with "
            "--weights PATH"
        ) from error


def downloaded_file(url: str) -> Path:
    """Give the path at which torch keeps what it downloads."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


def describe_torchvision_download(name: str, weights: str) -> str | None:
    """Say what `download_torchvision` would fetch; None where it lies here already, or there are no such weights."""
    chosen = torchvision.models.get_model_weights(name).__members__.get(weights)
    if chosen is None or downloaded_file(chosen.url).is_file():
        return None
    return f"{chosen.meta['_file_size']:.0f} MB from {chosen.url}"
