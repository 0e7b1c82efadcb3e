"""What the values of requests may be, where several requests ask for the same thing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from featx.storage.paths import CachePath, parse_cache

EngineName = Literal["auto", "torch", "compile", "openvino", "eager"]
RunnerName = Literal["local", "ray"]
"""Who computes: this machine, or a Ray cluster."""

HeadKind = Literal["linear", "mlp"]
AugmentPreset = Literal["none", "light", "standard"]
ScoredPart = Literal["auto", "train", "val", "test", "all"]
SelectedFigure = Literal["accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "log_loss", "average_precision"]
KeepRule = Literal["proven", "best"]

GREATEST_SEED = 2**32 - 1

Seed = Annotated[int, Meta(ge=0, le=GREATEST_SEED)]
"""What numpy and scikit-learn take as a seed."""

FoldCount = Annotated[int, Meta(ge=2)]
"""Folds of cross-validation: one to judge and one to train on at least."""

Names = Annotated[Sequence[str], Meta(min_length=1)]
"""Names, one at least."""

ClassWeight = str | dict[str, float]
"""What errors on classes cost; always text once a request is made."""


def default_cache() -> CachePath:
    """Return `$FEATX_CACHE`, else `./cache`.

    Raises
    ------
    RequestError
        If it is a URL of an unknown kind.
    """
    return parse_cache(os.environ.get("FEATX_CACHE") or "cache")
