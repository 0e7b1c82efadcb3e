"""Networks of timm: `--base timm:NAME`, taken apart by two adapters and compared with the whole before they are used.

No list says which architectures work: each is built once with random numbers, and its stages must give what it gives,
bit for bit, in a layout that their shapes tell. What does not is refused.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from featx.bases.architectures.timm_stages import adapters, arranged, compared, scatter
from featx.bases.architectures.torchvision_stages import Adapter
from featx.bases.names import TIMM_PREFIX
from featx.errors import RequestError, UnknownName, WeightsError, shorten, unknown
from featx.images.transform import FILTERS
from featx.keys import InputTransform

if TYPE_CHECKING:
    from types import ModuleType

log = logging.getLogger(__name__)

UNNAMED = "pretrained"
"""What `--weights` means where timm publishes none."""


@dataclass(frozen=True)
class TimmNetwork:
    """What is known of one of timm's architectures.

    Attributes
    ----------
    build : callable
        Makes the network with random weights.
    stages : callable
        Lists its stages.
    transform : InputTransform
        What its weights were trained to see, as `timm.data.resolve_model_data_config` states it.
    tag : str
        Name of its weights.
    """

    build: Callable[..., nn.Module]
    stages: Adapter
    transform: InputTransform
    tag: str


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


def tags_of(name: str) -> list[str]:
    """List the names of the weights that timm publishes of a base, the default first, or only `UNNAMED`.

    Raises
    ------
    UnknownName
        If timm has no such architecture.
    """
    timm, own = import_timm(name), name.removeprefix(TIMM_PREFIX)
    known = timm.list_models()
    if own not in known:
        bare, _, tag = own.partition(".")
        if bare in known and tag:
            raise UnknownName(f"base '{name}' names weights, too: write --base {TIMM_PREFIX}{bare} --weights {tag}")
        near = unknown("base", own, known).args[0].partition(" There are:")[0].removeprefix(f"unknown base '{own}'.")
        raise UnknownName(f"timm has no architecture '{own}'.{near} timm.list_models() names its {len(known)}.")
    default = timm.get_pretrained_cfg(own).tag
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{own}.*")]
    return sorted(tags, key=lambda tag: tag != default) or [UNNAMED]


def full_name(name: str, tag: str) -> str:
    """Name an architecture and its weights as timm does."""
    return name.removeprefix(TIMM_PREFIX) + (f".{tag}" if tag != UNNAMED else "")


def describe_timm(name: str, weights: str | None) -> TimmNetwork:
    """Describe one of timm's networks, with the transform of the weights that are named, or else of its default ones.

    Raises
    ------
    UnknownName
        If timm has no such architecture.
    RequestError
        If timm is not installed, or the architecture does not fall into stages.
    """
    tags = tags_of(name)
    return inspect_network(name, weights if weights in tags else tags[0])


@cache
def inspect_network(name: str, tag: str) -> TimmNetwork:
    """Build a network once and find out how it falls into stages.

    Raises
    ------
    RequestError
        If it does not, or takes no square pictures of three colours.
    """
    timm = import_timm(name)
    build = partial(timm.create_model, full_name(name, tag))
    with torch.random.fork_rng(devices=[]):
        network = build().eval().requires_grad_(False)
        transform = as_transform(name, timm.data.resolve_model_data_config(network))
        scatter(network)
        for adapter in adapters(network):
            layouts = compared(network, adapter, transform.crop)
            if layouts:
                return TimmNetwork(build, partial(arranged, adapter, layouts), transform, tag)
    raise RequestError(
        f"base '{name}' cannot be cut: it is not its parts in order ({shorten(dict(network.named_children()))}), or "
        "has tokens that are neither patches nor one class token. Take one of another family (ResNet, EfficientNet, "
        "MobileNet, ConvNeXt, RegNet or ViT), or list its stages in a file of your own: --base my_net.py"
    )


def as_transform(name: str, config: dict[str, Any]) -> InputTransform:
    """Write what timm states of a network's images as an InputTransform.

    Raises
    ------
    RequestError
        If they are not square, not of three colours, or resized by another filter than ours.
    """
    colours, height, width = config["input_size"]
    if colours != 3 or height != width or config["interpolation"] not in FILTERS:
        raise RequestError(
            f"base '{name}' takes images of {colours} x {height} x {width}, {config['interpolation']}: only square "
            f"ones of three colours, resized by {shorten(FILTERS)}, are supported. Take another base"
        )
    if config["crop_mode"] != "center":
        log.warning(
            "timm resizes images for %s by '%s'; featx keeps their proportions and crops the centre",
            name,
            config["crop_mode"],
        )
    resize = math.floor(height / config["crop_pct"])
    return InputTransform(resize, height, config["interpolation"], tuple(config["mean"]), tuple(config["std"]))


def download_timm(name: str, weights: str) -> dict[str, Tensor]:
    """Fetch weights by their tag, from timm's local cache where they lie there already.

    Raises
    ------
    UnknownName
        If timm publishes no weights of this tag.
    WeightsError
        If they are not on this machine and cannot be downloaded.
    """
    timm, tags = import_timm(name), tags_of(name)
    if weights not in tags or weights == UNNAMED:
        names = [*(tag for tag in tags if tag != UNNAMED), "random"]
        raise unknown(f"weights of {name}", weights, names, "Or give the path of a .safetensors or .pth file.")
    full = full_name(name, weights)
    try:
        network: nn.Module = timm.create_model(full, pretrained=True)
    except Exception as error:  # the Hub's own errors, those of its HTTP library, OSError
        about = timm.get_pretrained_cfg(full)
        source = f"https://huggingface.co/{about.hf_hub_id}" if about.hf_hub_id else about.url
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"weights '{weights}' of {name} are not on this machine and cannot be downloaded ({reason}). "
            f"Bring the weights file (such as model.safetensors) from {source} and name it with --weights PATH"
        ) from error
    return network.state_dict()
