"""Features that may be chosen, in words: what `advise` and `auto` call them."""

from __future__ import annotations

from collections.abc import Sequence


def join_layers(layers: Sequence[str]) -> str:
    """Name a layer set as `--layer` takes it."""
    return "+".join(layers)


def describe_features(layers: Sequence[str], pooling: str, views: int) -> str:
    """Name features in words, such as "layer3+layer4 (avg, 6 views)"; a single view goes without saying."""
    of_views = "" if views == 1 else f", {views} views"
    return f"{join_layers(layers)} ({pooling}{of_views})"
