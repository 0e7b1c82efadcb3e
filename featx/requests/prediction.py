"""The requests for prediction, for scoring what a model predicts, and for writing it as a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from featx.base_choice import BatchSize, ThreadCount
from featx.fields import CheckedFields
from featx.requests.values import ScoredPart

Share = Annotated[float, Meta(gt=0, lt=1)]
"""Between nothing and all."""


@dataclass(frozen=True)
class PredictRequest(CheckedFields):
    """Prediction: labels of new images from a model.

    Attributes
    ----------
    model : str, pathlib.Path or Model
        A file that `featx fit --out` or `featx export` wrote, or a model in hand.
    images : sequence
        Paths of files, of folders that are searched recursively, and of tables (`.csv`, `.tsv`, `.jsonl`) that list
        files; from Python also pictures in memory.
    weights : str or None
        As for a base; None: those that the model holds or names. A file that it names has to be named here, too.
    device, batch_size, workers
        As in `ExtractRequest`.
    base : str or None
        The Python file that defines the base of the model, if one does: a file runs only where it is named.
    path_column : str or None
        Column of the tables among the images that holds the paths; None finds it by its name.
    yes : bool
        Whether published weights that the model names may be downloaded.
    reject : float or None
        Share of known pictures that may be turned away: stranger ones than the others are labelled `UNKNOWN`.
    sets : float or None
        Probability with which a set of classes is to hold the true one.
    """

    model: Any
    images: Sequence[Any]
    weights: str | None = None
    device: str = "auto"
    batch_size: BatchSize | None = None
    workers: ThreadCount | None = None
    base: str | None = None
    path_column: str | None = None
    yes: bool = False
    reject: Share | None = None
    sets: Share | None = None


@dataclass(frozen=True)
class ExplainRequest(PredictRequest):
    """Explanation: where in images a model finds the evidence for a class.

    Attributes
    ----------
    images : sequence
        May be empty where only channels are listed.
    out : pathlib.Path or None
        Folder for the pictures with their maps.
    label : str or None
        Class to explain; None: the most probable one of each image.
    """

    images: Sequence[Any] = ()
    out: Path | None = None
    label: str | None = None


@dataclass(frozen=True)
class ScoreRequest(CheckedFields):
    """Scoring: how well a saved model labels images whose labels are known.

    Attributes
    ----------
    model : str, pathlib.Path or Model
        As in `PredictRequest`.
    data : str
        A folder, a CSV file or the name of a built-in data set, as in `ExtractRequest`.
    split : {"auto", "train", "val", "test", "all"}
        The part that is scored. "auto": what `fit` would hold out where the data set names splits, else all.
    weights, device, batch_size, workers, base, yes
        As in `PredictRequest`.
    path_column, label_column : str or None
        As in `ExtractRequest`.
    """

    model: Any
    data: str
    split: ScoredPart = "auto"
    weights: str | None = None
    device: str = "auto"
    batch_size: BatchSize | None = None
    workers: ThreadCount | None = None
    base: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    yes: bool = False


GraphFormat = Literal["onnx", "openvino"]
GRAPH_SUFFIXES: dict[str, str] = {"onnx": ".onnx", "openvino": ".xml"}
"""How the name of a file ends, by the format of the graph in it."""


@dataclass(frozen=True)
class ModelExportRequest(CheckedFields):
    """Export of a model: base and classifier as one graph that runs without featx.

    Attributes
    ----------
    model : str, pathlib.Path or Model
        As in `PredictRequest`.
    out : pathlib.Path
        The file to be written: `.onnx`, or `.xml` with a `.bin` beside it for OpenVINO.
    to : {"onnx", "openvino"}
        The format.
    half : bool
        Whether the weights of the base are kept as float16.
    with_resize : bool
        Whether the graph takes whole pictures, and resizes and crops them itself.
    weights, base, yes
        As in `PredictRequest`.
    """

    model: Any
    out: Path
    to: GraphFormat = "onnx"
    half: bool = False
    with_resize: bool = False
    weights: str | None = None
    base: str | None = None
    yes: bool = False

    def contradictions(self) -> list[str]:
        """Say which fields contradict one another."""
        suffix = GRAPH_SUFFIXES[self.to]
        if self.out.suffix.lower() == suffix:
            return []
        return [f"the file of a graph for {self.to} ends in {suffix}, not as '{self.out}' does"]
