"""The Python API: the commands as keyword functions, each a few lines over the requests and the workflows.

Every function takes the options of its command as keywords, spelled with underscores: `--store-dtype float16` is
`store_dtype="float16"`. The fields of the requests in `featx.requests` are the full list. An option that does not
exist is an error that names the nearest one.

Functions are silent by default: `progress` is called with how much is done and how much there is in all, and warnings
go to the logger "featx". Importing them imports nothing heavy: each imports its workflow when it is called.

Read `features.py` (extract, look, load), then `models.py` (compare, fit, predict, score, fine-tune), then
`inspection.py` (inspect, similar, explain), `exporting.py`, `experiments.py` and `reports.py`; `keywords.py` turns
keywords into requests. `tests/test_api.py` proves all of it, from an empty folder.
"""

from __future__ import annotations

from featx.api.experiments import ExperimentReport, auto, run
from featx.api.exporting import export
from featx.api.features import advise, extract, layers, load_features, save_images
from featx.api.inspection import explain, inspect, similar
from featx.api.models import compare, finetune, fit, load_model, predict, score
from featx.api.reports import report
from featx.base_choice import BaseChoice

__all__ = [
    "BaseChoice",
    "ExperimentReport",
    "advise",
    "auto",
    "compare",
    "explain",
    "export",
    "extract",
    "finetune",
    "fit",
    "inspect",
    "layers",
    "load_features",
    "load_model",
    "predict",
    "report",
    "run",
    "save_images",
    "score",
    "similar",
]
