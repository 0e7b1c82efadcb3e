"""Names of bases and poolings, as plain data: no error about a name imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from featx.errors import unknown

TORCHVISION_FAMILIES: dict[str, tuple[str, ...]] = {
    "resnet": (
        *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
        *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"),
    ),
    "features_pooled": (
        *("alexnet", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
        *(f"efficientnet_b{size}" for size in range(8)),
        *("efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l"),
        *("mobilenet_v3_small", "mobilenet_v3_large"),
    ),
    "mobilenet_v2": ("mobilenet_v2",),
    "squeezenet": ("squeezenet1_0", "squeezenet1_1"),
    "densenet": ("densenet121", "densenet161", "densenet169", "densenet201"),
    "inception_v3": ("inception_v3",),
    "googlenet": ("googlenet",),
    "shufflenet": ("shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0"),
    "mnasnet": ("mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"),
    "regnet": (
        *(f"regnet_{kind}_{size}" for kind in "xy" for size in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf")),
        *("regnet_x_32gf", "regnet_y_32gf", "regnet_y_128gf"),
    ),
    "convnext": ("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
    "swin": ("swin_t", "swin_s", "swin_b", "swin_v2_t", "swin_v2_s", "swin_v2_b"),
    "maxvit": ("maxvit_t",),
    "vit": ("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"),
}
"""Family of architectures of torchvision, whose networks one adapter takes apart: their names."""

HANDCRAFTED_BASES = ("hog", "lbp", "daisy", "color-histogram")
"""Bases without weights: features that were designed, not learned."""

BASE_NAMES = (
    "tiny",
    *HANDCRAFTED_BASES,
    *(name for names in TORCHVISION_FAMILIES.values() for name in names),
)
"""Every base that has a name of its own; the registry has an entry for each."""

POOLING_NAMES = ("avg", "max", "avg+max", "pyramid", "cls", "flat")
"""Every pooling, in the order in which tables show them."""

TIMM_PREFIX = "timm:"
"""Beginning of the name of a base that timm builds."""


def is_python_file(name: str) -> bool:
    """Whether `--base` names a Python file."""
    return name.endswith(".py")


def check_base_name(name: str) -> None:
    """Raise UnknownName for a base that is none of ours; files and networks of timm are checked when they are built."""
    if name in BASE_NAMES or is_python_file(name) or name.startswith(TIMM_PREFIX):
        return
    hint = "Or give a Python file with a function stages(), or timm:NAME for a network of timm."
    raise unknown("base", name, BASE_NAMES, hint)


def check_pooling_names(names: Sequence[str]) -> None:
    """Raise UnknownName for the first pooling that does not exist."""
    for name in names:
        if name not in POOLING_NAMES:
            raise unknown("pooling", name, POOLING_NAMES)
