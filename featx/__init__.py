"""featx: run a frozen convolutional base over images once, keep its features, train classifiers on them in seconds.

The commands as functions, each imported when it is first used::

    from featx import BaseChoice, CompareRequest, ExtractRequest, PredictRequest, extract, fit, predict

    base = BaseChoice("resnet50")
    extract(ExtractRequest("photos", base, ["layer3", "layer4"]))
    outcome = fit(CompareRequest("photos", base, ["layer3+layer4"], ["svm"]))
    outcome.model.save("model.featx")
    for image in predict(PredictRequest("model.featx", ["new"])).labelled:
        image.path, image.label, image.probability
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featx.classifiers.models_file import load_model
    from featx.evaluate import compare, fit
    from featx.extract import extract
    from featx.finetune import finetune
    from featx.predict import predict
    from featx.requests import BaseChoice, CompareRequest, ExtractRequest, FinetuneRequest, PredictRequest

__version__ = "0.1.0"
__all__ = [
    "BaseChoice",
    "CompareRequest",
    "ExtractRequest",
    "FinetuneRequest",
    "PredictRequest",
    "compare",
    "extract",
    "finetune",
    "fit",
    "load_model",
    "predict",
]

_REQUESTS = ("BaseChoice", "CompareRequest", "ExtractRequest", "FinetuneRequest", "PredictRequest")
_HOMES = {
    "extract": "featx.extract",
    "compare": "featx.evaluate",
    "fit": "featx.evaluate",
    "finetune": "featx.finetune",
    "predict": "featx.predict",
    "load_model": "featx.classifiers.models_file",
    **dict.fromkeys(_REQUESTS, "featx.requests"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'featx' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """The package itself: the import of `featx.extract` must not hide the function of that name behind its module."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
