"""An architecture: everything about a base but its weights. A request resolves its base to one, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from featx.bases.architectures.torchvision_stages import Adapter
from featx.bases.base import Layer, Stage, describe_layers, find_layer
from featx.bases.meta_device import build_on_meta
from featx.keys import InputTransform, Precision

RANDOM_WEIGHTS = "random"
"""What `--weights` says for random numbers, always the same ones."""

NO_WEIGHTS = "none"
"""Name of the weights of hand-crafted features, which have none."""

CUSTOM_WEIGHTS = "own"
"""Name of the weights that a custom network is built with, as caches and model files spell it."""


@dataclass(frozen=True)
class Architecture:
    """How a base is built, how it falls into stages, and which weights and images it takes.

    Attributes
    ----------
    name : str
        Name as feature keys state it: for a Python file, its file name and a digest of its contents.
    build : callable
        Makes the network with random weights.
    adapter : callable
        Lists the network's stages by name, in order.
    native_transform : InputTransform
        What the weights were trained to see.
    default_weights : str
        What `--weights` means when it is not given; `NO_WEIGHTS` where nothing was learned.
    weights : str or None
        What `--weights` named: a published name, a file or "random"; None is the default.
    presets : mapping of weights name to InputTransform
        What each of the published weights was trained to see.
    transform : InputTransform or None
        How this request transforms images; None is `native_transform`.
    precision : str
        "float32" or "bfloat16".
    builds_on_meta : bool
        Whether torch's meta device can stand in for the network while weights are loaded. Hand-crafted features have no
        weights to wait for, and a Python file or timm may compute with its weights while it builds.
    download : callable or None
        Fetches published weights by their name; None where nobody publishes any.
    describe_download : callable or None
        Says in words what `download` would fetch; None where the weights are on this machine, or there are none of this
        name.
    """

    name: str
    build: Callable[..., nn.Module]
    adapter: Adapter
    native_transform: InputTransform
    default_weights: str = "IMAGENET1K_V1"
    weights: str | None = None
    presets: Mapping[str, InputTransform] = field(default_factory=dict)
    transform: InputTransform | None = None
    precision: Precision = "float32"
    builds_on_meta: bool = True
    download: Callable[[str], Mapping[str, Tensor]] | None = None
    describe_download: Callable[[str], str | None] | None = None

    @property
    def input(self) -> InputTransform:
        """How images become the input: the transform asked for, else the weights' own."""
        return self.transform or self.native_transform

    @property
    def is_handcrafted(self) -> bool:
        """Whether its features were designed rather than learned, which leaves no depth to choose."""
        return self.default_weights == NO_WEIGHTS

    def stages(self, network: nn.Module) -> tuple[Stage, ...]:
        """Take a network of this architecture apart."""
        return tuple(Stage(*named_stage) for named_stage in self.adapter(network))

    def meta_stages(self) -> tuple[Stage, ...]:
        """Build the stages on torch's meta device, where tensors have shapes but no values."""
        # What was computed while building is real, and has to follow the parameters.
        return self.stages(build_on_meta(self.build).to("meta"))

    def layers(self, side: int | None = None) -> tuple[Layer, ...]:
        """Describe every layer, without weights and without computing anything.

        Parameters
        ----------
        side : int, optional
            Height and width of the input in pixels, instead of the base's own.

        Raises
        ------
        RequestError
            If the network takes no images of this size.
        """
        return describe_layers(self.meta_stages(), side or self.input.crop)

    def layer(self, name: str) -> Layer:
        """Find a layer by exact name, else by alias.

        Raises
        ------
        UnknownName
            Listing the layers, with the nearest match.
        """
        return find_layer(self.name, self.layers(), name)

    def default_layer(self) -> str:
        """Name the layer to begin with: `layer4` where it exists, else the last one before the classifier.

        `names.suggested_layer` answers without torch, for the bases where the name alone tells.
        """
        stages = self.meta_stages()
        layers = describe_layers(stages, self.input.crop)
        for layer in layers:
            if "layer4" in (layer.name, *layer.alias.split(",")):
                return "layer4"
        before_classifier = [stage for stage in stages if not stage.is_classifier]
        return before_classifier[-1].name
