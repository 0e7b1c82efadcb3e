"""featx: run a frozen convolutional base over images once, keep its features, train classifiers on them in seconds.

The commands as functions, imported when they are first used::

    import featx

    featx.extract("photos", base="resnet50", layers=["layer3", "layer4"])
    data = featx.load_features("photos", base="resnet50", layer="layer3")
    featx.compare("photos", base="resnet50")
    fitted = featx.fit("photos", base="resnet50", layer="layer3+layer4", clf="svm")
    fitted.model.save("photos.featx")
    for image in featx.predict(fitted.model, ["new"]).labelled:
        image.path, image.label, image.probability

Every error is a `featx.errors.FeatxError`. The estimators of `featx.linear` work without the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featx import errors, linear
    from featx.api import (
        advise,
        auto,
        compare,
        explain,
        export,
        extract,
        finetune,
        fit,
        inspect,
        layers,
        load_features,
        load_model,
        predict,
        report,
        run,
        save_images,
        score,
        similar,
    )
    from featx.base_choice import BaseChoice
    from featx.workflows.feature_extractor import FeatureExtractor

__version__ = "0.2.0"
"""The one place that says it: the build reads it here, and a test holds CITATION.cff, recipe and changelog to it."""

__all__ = [
    "BaseChoice",
    "FeatureExtractor",
    "advise",
    "auto",
    "compare",
    "errors",
    "explain",
    "export",
    "extract",
    "finetune",
    "fit",
    "inspect",
    "layers",
    "linear",
    "load_features",
    "load_model",
    "predict",
    "report",
    "run",
    "save_images",
    "score",
    "similar",
]

_MODULES = ("errors", "linear")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'featx' has no attribute '{name}'")
    if name in _MODULES:
        return importlib.import_module(f"featx.{name}")
    if name == "FeatureExtractor":
        return importlib.import_module("featx.workflows.feature_extractor").FeatureExtractor
    return getattr(importlib.import_module("featx.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
