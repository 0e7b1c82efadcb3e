"""Networks of timm: `--base timm:NAME`, taken apart by generic adapters and compared with the whole before use.

No list says which architectures work: each is built once with random numbers, and its stages must give what the whole
gives, bit for bit, in layouts that their shapes tell. Whatever does not is refused.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from featx.bases.architecture import RANDOM_WEIGHTS, Architecture
from featx.bases.architectures.timm_stages import attach_layouts, choose_adapters, compare_stages, scatter
from featx.bases.architectures.torchvision_models import downloaded_file
from featx.bases.meta_device import count_tensor_bytes
from featx.bases.names import TIMM_PREFIX
from featx.errors import RequestError, UnknownName, WeightsError, did_you_mean, first_line, shorten, unknown
from featx.images.transform import FILTERS
from featx.keys import InputTransform

if TYPE_CHECKING:
    from types import ModuleType

log = logging.getLogger(__name__)

UNNAMED = "pretrained"
"""What `--weights` means where timm publishes none."""


def import_timm(name: str) -> ModuleType:
    """Import timm.

    Raises
    ------
    RequestError
        If it is not installed.
    """
    if importlib.util.find_spec("timm") is None:
        raise RequestError(f"base '{name}' needs timm, which is not installed. Run: pip install 'featx[timm]'")
    import timm

    return timm


def list_tags(name: str) -> list[str]:
    """List the names of the weights that timm publishes for a base, the default first, or only `UNNAMED`.

    Raises
    ------
    UnknownName
        If timm has no such architecture.
    """
    timm = import_timm(name)
    architecture = name.removeprefix(TIMM_PREFIX)
    architectures = timm.list_models()
    if architecture not in architectures:
        bare, _, tag = architecture.partition(".")
        if bare in architectures and tag:
            raise UnknownName(f"base '{name}' names weights, too: write --base {TIMM_PREFIX}{bare} --weights {tag}")
        guess = did_you_mean(architecture, architectures)
        raise UnknownName(f"timm has no architecture '{architecture}'.{guess} timm.list_models() lists all it has.")
    default = timm.get_pretrained_cfg(architecture).tag
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    return sorted(tags, key=lambda tag: tag != default) or [UNNAMED]


def full_name(name: str, tag: str) -> str:
    """Name an architecture and its weights as timm does."""
    architecture = name.removeprefix(TIMM_PREFIX)
    return architecture if tag == UNNAMED else f"{architecture}.{tag}"


def describe_timm(name: str, weights: str | None) -> Architecture:
    """Describe one of timm's networks, with the transform of the weights that are named, or else of its default ones.

    Raises
    ------
    UnknownName
        If timm has no such architecture.
    RequestError
        If timm is not installed, or the architecture does not fall into stages.
    """
    tags = list_tags(name)
    # Files and "random" go with the transform of the default weights.
    tag = weights if weights in tags else tags[0]
    return inspect_network(name, tag)


@cache
def inspect_network(name: str, tag: str) -> Architecture:
    """Build a network once and find out how it falls into stages.

    Raises
    ------
    RequestError
        If it does not, or does not take square pictures of three colours.
    """
    timm = import_timm(name)
    build = partial(timm.create_model, full_name(name, tag))
    # Neither building nor filling may move the caller's random numbers.
    with torch.random.fork_rng(devices=[]):
        network = build().eval().requires_grad_(False)
        transform = read_config(name, timm.data.resolve_model_data_config(network))
        scatter(network)
        for adapter in choose_adapters(network):
            layouts = compare_stages(network, adapter, transform.crop)
            if layouts:
                return Architecture(
                    name,
                    build,
                    partial(attach_layouts, adapter, layouts),
                    native_transform=transform,
                    default_weights=tag,
                    builds_on_meta=False,
                    download=partial(download_timm, name),
                )
    raise RequestError(
        f"base '{name}' cannot be divided into stages: it does not run its parts in order "
        f"({shorten(dict(network.named_children()))}), or has tokens that are neither patches nor one class token. "
        "Take a base of another family (ResNet, EfficientNet, MobileNet, ConvNeXt, RegNet or ViT), or list its stages "
        "in a Python file: --base my_net.py"
    )


def read_config(name: str, config: dict[str, Any]) -> InputTransform:
    """Write what timm states of a network's images as an InputTransform.

    Raises
    ------
    RequestError
        If they are not square, not of three colours, or resized by another filter than ours.
    """
    colours, height, width = config["input_size"]
    if colours != 3 or height != width or config["interpolation"] not in FILTERS:
        raise RequestError(
            f"base '{name}' takes images of {colours} x {height} x {width}, resized by {config['interpolation']}: only "
            f"square ones of three colours, resized by {shorten(FILTERS)}, are supported. Take another base"
        )
    # "squash" and "border" are timm's other ways to make an image square.
    if config["crop_mode"] != "center":
        log.warning(
            "timm resizes images for %s by '%s'; featx keeps their proportions and crops the centre",
            name,
            config["crop_mode"],
        )
    resize = math.floor(height / config["crop_pct"])
    return InputTransform(resize, height, config["interpolation"], tuple(config["mean"]), tuple(config["std"]))


def count_timm_bytes(name: str) -> int:
    """Count the bytes of a network's tensors without taking memory for them."""
    timm = import_timm(name)
    return count_tensor_bytes(partial(timm.create_model, full_name(name, list_tags(name)[0])))


def describe_timm_download(name: str, weights: str | None) -> str | None:
    """Say what `download_timm` would fetch; None where it lies here already, or there are no such weights."""
    tags = list_tags(name)
    tag = weights or tags[0]
    if tag not in tags or tag == UNNAMED:
        return None
    about = import_timm(name).get_pretrained_cfg(full_name(name, tag))
    if not about.hf_hub_id:
        return None if downloaded_file(about.url).is_file() else about.url
    from huggingface_hub import try_to_load_from_cache

    for file in ("model.safetensors", "pytorch_model.bin"):
        # It also gives a mark that stands for "known to be missing".
        if isinstance(try_to_load_from_cache(about.hf_hub_id, file), str):
            return None
    return f"it from https://huggingface.co/{about.hf_hub_id}"


def download_timm(name: str, weights: str) -> Mapping[str, Tensor]:
    """Fetch weights by their tag, from timm's local cache if they are in it.

    Raises
    ------
    UnknownName
        If timm publishes no weights of this tag.
    WeightsError
        If they are not on this machine and cannot be downloaded.
    """
    timm = import_timm(name)
    tags = list_tags(name)
    if weights not in tags or weights == UNNAMED:
        published = [tag for tag in tags if tag != UNNAMED]
        names = [*published, RANDOM_WEIGHTS]
        raise unknown(f"weights of {name}", weights, names, "Or give the path of a .safetensors or .pth file.")
    full = full_name(name, weights)
    try:
        network: nn.Module = timm.create_model(full, pretrained=True)
    # The Hub's own errors, those of its HTTP library, OSError: no root of their own covers them all.
    except Exception as error:
        about = timm.get_pretrained_cfg(full)
        source = f"https://huggingface.co/{about.hf_hub_id}" if about.hf_hub_id else about.url
        raise WeightsError(
            f"weights '{weights}' of {name} are not on this machine and cannot be downloaded ({first_line(error)}). "
            f"Bring the weights file (such as model.safetensors) from {source} and name it with --weights PATH"
        ) from error
    tensors: Mapping[str, Tensor] = network.state_dict()
    return tensors
