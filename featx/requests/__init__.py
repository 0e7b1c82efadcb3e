"""What a user asks for: one dataclass a request, filled from flags, from keywords or from TOML.

The annotations of the fields say what is allowed; see `featx.fields`.

Read the files in this order: `values` (what several requests share), `extraction`, `evaluation`, `finetuning`,
`prediction`, `inspection`, `reporting`. Proof: `tests/test_requests.py`.
"""

from featx.requests.automatic import AutoRequest
from featx.requests.evaluation import CompareRequest, ExportRequest
from featx.requests.extraction import ExtractRequest, column_flags
from featx.requests.finetuning import FinetuneRequest
from featx.requests.inspection import InspectRequest, SimilarRequest
from featx.requests.prediction import ExplainRequest, ModelExportRequest, PredictRequest, ScoreRequest
from featx.requests.reporting import ReportRequest
from featx.requests.values import (
    AugmentPreset,
    ClassWeight,
    EngineName,
    FoldCount,
    HeadKind,
    KeepRule,
    Names,
    RunnerName,
    ScoredPart,
    Seed,
    SelectedFigure,
    default_cache,
)

__all__ = [
    "AugmentPreset",
    "AutoRequest",
    "ClassWeight",
    "CompareRequest",
    "EngineName",
    "ExplainRequest",
    "ExportRequest",
    "ExtractRequest",
    "FinetuneRequest",
    "FoldCount",
    "HeadKind",
    "InspectRequest",
    "KeepRule",
    "ModelExportRequest",
    "Names",
    "PredictRequest",
    "ReportRequest",
    "RunnerName",
    "ScoreRequest",
    "ScoredPart",
    "Seed",
    "SelectedFigure",
    "SimilarRequest",
    "column_flags",
    "default_cache",
]
