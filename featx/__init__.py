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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featx.models.model_file import load_model
    from featx.requests import BaseChoice, CompareRequest, ExtractRequest, FinetuneRequest, PredictRequest
    from featx.workflows.compare import compare
    from featx.workflows.extract import extract
    from featx.workflows.finetune import finetune
    from featx.workflows.fit import fit
    from featx.workflows.predict import predict

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
    "extract": "featx.workflows.extract",
    "compare": "featx.workflows.compare",
    "fit": "featx.workflows.fit",
    "finetune": "featx.workflows.finetune",
    "predict": "featx.workflows.predict",
    "load_model": "featx.models.model_file",
    **dict.fromkeys(_REQUESTS, "featx.requests"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'featx' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
