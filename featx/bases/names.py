"""Names of bases and poolings, as plain data: nothing here imports torch, so an error about a name is quick.

To add a base: a torchvision network of a family that is listed here takes one entry, in `TORCHVISION_FAMILIES`; a new
family also needs its adapter in `ADAPTERS` of `architectures/torchvision_stages.py`. A hand-crafted base needs its name
in `HANDCRAFTED_BASES` and its builder in `DESCRIPTORS` of `architectures/handcrafted.py`. Networks of timm and Python
files need nothing. To add a pooling: its name in `POOLING_NAMES`, its function in `POOLINGS` of `pooling.py`.
`tests/contract/test_bases.py` fails where names and registries disagree.
"""

from __future__ import annotations

from collections.abc import Sequence

from featx.errors import unknown

CLASSIFIER_STAGES = {"classifier", "fc", "head", "heads"}
"""First parts of the names of stages that turn features into classes."""

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
"""Family of torchvision architectures that one adapter takes apart: the names of its members."""

FAMILIES_WITHOUT_ALIASES = ("vit",)
"""Families whose layers are all of one depth in pixels (tokens), so that no `layer1` ... `layer4` point at them."""

HANDCRAFTED_BASES = ("hog", "lbp", "daisy", "sift", "color-histogram")
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
"""Prefix of the name of a base that timm builds."""


def is_python_file(name: str) -> bool:
    """Whether `--base` names a Python file that defines a custom network."""
    return name.endswith(".py")


def suggested_layer(name: str) -> str | None:
    """Name the layer to suggest for a base where the user named none, without building its network.

    Parameters
    ----------
    name : str
        As `--base` takes it.

    Returns
    -------
    str or None
        "layer4" where it is known to exist; of hand-crafted features their only layer, which bears their name. None
        where only the network itself can tell (a vision transformer, a network of timm, a Python file, an unknown
        name): there `featx layers NAME` lists them.
    """
    if name in HANDCRAFTED_BASES:
        return name
    if name == "tiny":
        return "layer4"
    for family, members in TORCHVISION_FAMILIES.items():
        if name in members and family not in FAMILIES_WITHOUT_ALIASES:
            return "layer4"
    return None


def check_base_name(name: str) -> None:
    """Check the name of a base; whether a file or a network of timm exists turns out when it is built.

    Raises
    ------
    UnknownName
        Listing the bases, with the nearest match.
    """
    if name in BASE_NAMES or is_python_file(name) or name.startswith(TIMM_PREFIX):
        return
    hint = "Or give a Python file with a function stages(), or timm:NAME for a network of timm."
    raise unknown("base", name, BASE_NAMES, hint)


def check_pooling_names(names: Sequence[str]) -> None:
    """Check the names of poolings.

    Raises
    ------
    UnknownName
        For the first that does not exist, listing those that do.
    """
    for name in names:
        if name not in POOLING_NAMES:
            raise unknown("pooling", name, POOLING_NAMES)


def is_classifier_stage(name: str) -> bool:
    """Whether a stage turns features into classes, as its name says."""
    return name.split(".")[0] in CLASSIFIER_STAGES
