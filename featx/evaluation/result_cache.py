"""Results of evaluations on disk, so that a repeated request costs nothing: one immutable JSON file a request."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from featx.classifiers.choice import Edge
from featx.classifiers.registry import Linear, Majority, Neighbours, find_classifier
from featx.evaluation.protocol import PROTOCOL
from featx.evaluation.result import TUNED, UNREADABLE, Evaluation, Figures, HeldOutPredictions, Result
from featx.requests import SelectedFigure
from featx.storage.interface import storage_of
from featx.storage.paths import CachePath

log = logging.getLogger(__name__)

FOLDER = "results"
"""Folder of the results, beside the bases of a cache."""


MOST_RECORD_BYTES = 2**20
"""Size of a record but for its predictions."""

MOST_PREDICTION_BYTES = 64
"""Size in a record of what is predicted of one image."""

Share = Annotated[float, Meta(ge=0, le=1)]
ImageCount = Annotated[int, Meta(ge=0, le=2**53)]
Parameter = Annotated[int, Meta(ge=-(2**53), le=2**53)] | Annotated[float, Meta(ge=-1e300, le=1e300)]


class ResultFields(Struct, frozen=True, forbid_unknown_fields=True):
    """A `Result`, as a record states it."""

    base: str
    layer: str
    pooling: str
    clf: str
    dim: ImageCount
    n_train: ImageCount
    n_test: ImageCount
    cv_accuracy: Share
    test_accuracy: Share
    ci_low: Share
    ci_high: Share
    macro_f1: Share
    fit_seconds: Annotated[float, Meta(ge=0, le=1e12)]
    params: dict[str, Parameter]
    balanced_accuracy: Share
    top5_accuracy: Share | None
    calibration_error: Share
    views: Annotated[int, Meta(ge=1, le=2**31)]
    test_views: Annotated[int, Meta(ge=1, le=2**31)]
    select: SelectedFigure | None = None
    cv_figure: Annotated[float, Meta(ge=-1, le=1e9)] | None = None
    class_weight: Annotated[str, Meta(min_length=1, max_length=MOST_RECORD_BYTES)] | None = None
    weighted_images: bool = False
    single_split: bool = False


class StoredFigures(Struct, frozen=True, forbid_unknown_fields=True):
    """A `Figures`, as a record states it."""

    matthews: Annotated[float, Meta(ge=-1, le=1)] | None
    recall: Annotated[tuple[Share | None, ...], Meta(max_length=2)]
    roc_auc: Annotated[tuple[Share | None, ...], Meta(max_length=2)]
    average_precision: Annotated[tuple[Share | None, ...], Meta(max_length=2)]


class Record(Struct, frozen=True):
    """What the file of a result states."""

    request: dict[str, Any]
    result: ResultFields
    predicted: Annotated[list[Annotated[int, Meta(ge=UNREADABLE, le=2**31)]], Meta(min_length=1)]
    confidence: list[Share]
    degenerate: Literal["all zero", "constant"] | None = None
    edge: Edge | None = None
    figures: StoredFigures | None = None
    checksum: str | None = None


@dataclass(frozen=True)
class HeldOutSize:
    """How many images are held out, and of how many classes."""

    images: int
    classes: int


def describe_grid(name: str, seed: int) -> Any:
    """State what is searched for a classifier, in words or numbers that change when it does."""
    classifier = find_classifier(name)
    if isinstance(classifier, Linear | Neighbours):
        return list(classifier.values)
    if isinstance(classifier, Majority):
        return None
    return repr(classifier.make(seed).get_params())


def digest_request(request: Mapping[str, Any]) -> str:
    """Digest everything that a result depends on: 64 hex characters."""
    return hashlib.sha256(json.dumps({**request, "protocol": PROTOCOL}, sort_keys=True).encode()).hexdigest()


def result_file(cache: CachePath, request: Mapping[str, Any]) -> CachePath:
    """Path of the result of a request."""
    digest = digest_request(request)
    if request["clf"] in TUNED:
        # Found by the rows alone, whatever the schedule of the fine-tuning was.
        return cache / FOLDER / f"{tuned_prefix(request)}{digest[:16]}.json"
    return cache / FOLDER / f"{digest[:32]}.json"


def tuned_prefix(request: Mapping[str, Any]) -> str:
    """Beginning of the file names of all results of fine-tuning on the same rows."""
    return f"tuned-{request['rows'][:16]}-"


def save_result(cache: CachePath, request: Mapping[str, Any], evaluation: Evaluation) -> None:
    """Write the result of a request; a cache that cannot be written is no error, only slower next time."""
    record: dict[str, Any] = {
        "request": {**request, "protocol": PROTOCOL},
        "result": evaluation.result.to_dict(),
        "predicted": evaluation.predictions.classes.tolist(),
        "confidence": evaluation.predictions.confidence.tolist(),
    }
    # Only stated where there is something to state, so that other files stay as they were.
    if evaluation.degenerate:
        record["degenerate"] = evaluation.degenerate
    if evaluation.edge:
        record["edge"] = evaluation.edge
    if evaluation.figures:
        record["figures"] = asdict(evaluation.figures)
    record["checksum"] = checksum_record(record)
    try:
        file = result_file(cache, request)
        storage_of(file).write_file(file, [(json.dumps(record, sort_keys=True) + "\n").encode()])
    except OSError as error:
        log.info("the result is not kept: %s", error)


def checksum_record(record: Mapping[str, Any]) -> str:
    """Compute the checksum of a record but for the checksum itself: 64 hex characters."""
    others = {name: value for name, value in record.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


def load_result(cache: CachePath, request: Mapping[str, Any], held_out: HeldOutSize) -> Evaluation | None:
    """Read the result of a request; None if there is none, or it is damaged.

    Parameters
    ----------
    held_out : HeldOutSize
        What it must have predictions of.
    """
    evaluation = read_result(result_file(cache, request), request, held_out)
    # The name of a file is no proof of what it holds.
    if evaluation is not None and evaluation.result.clf != request["clf"]:
        return None
    return evaluation


def load_finetuned_results(
    cache: CachePath, shared: Mapping[str, Any], held_out: HeldOutSize, class_weight: str | None = None
) -> list[Evaluation]:
    """Read the results of fine-tuning whose requests state some values.

    Of several for one layer and number of views, the latest is given.

    Parameters
    ----------
    shared : mapping
        What their requests must state, "rows" among it.
    class_weight : str, optional
        What errors on classes cost in it; None: all the same.
    """
    latest: dict[Any, Evaluation] = {}
    prefix = tuned_prefix(shared)
    files = [file for file in storage_of(cache).list_entries(cache / FOLDER) if file.name.startswith(prefix)]
    for file in list_by_age(files):
        evaluation = read_result(file, shared, held_out)
        if evaluation is None or evaluation.result.clf not in TUNED:
            continue
        if evaluation.result.class_weight == class_weight:
            result = evaluation.result
            latest[result.layer, result.clf, result.views, result.test_views] = evaluation
    return sorted(latest.values(), key=lambda evaluation: TUNED.index(evaluation.result.clf))


def list_by_age(files: Iterable[CachePath]) -> list[CachePath]:
    """List files, the oldest first; those that are gone are passed over."""
    aged = []
    for file in files:
        with suppress(OSError):
            aged.append((storage_of(file).read_modified(file), file.name, file))
    return [file for _, _, file in sorted(aged)]


def read_result(file: CachePath, expected: Mapping[str, Any], held_out: HeldOutSize) -> Evaluation | None:
    """Read a result whose request states what is expected; None if it does not, is damaged or does not exist."""
    most_bytes = MOST_RECORD_BYTES + held_out.images * MOST_PREDICTION_BYTES
    try:
        text = storage_of(file).read_file(file, most_bytes, "a result")
        return parse_result(text, expected, held_out)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        log.info("the result '%s' is unreadable (%s): it is computed again", file, error)
        return None


def parse_result(text: bytes, expected: Mapping[str, Any], held_out: HeldOutSize) -> Evaluation:
    """Take a result from its JSON.

    Raises
    ------
    ValueError, RecursionError
        If it is damaged, or the result of something else.
    """
    fields = json.loads(text)
    try:
        record = msgspec.convert(fields, Record)
    except msgspec.ValidationError as error:
        raise ValueError(f"a field is missing or of the wrong type: {error}") from error
    # Older ones have none, and no other field either: a damaged name must not pass for its absence.
    is_older = record.checksum is None and set(fields) <= set(Record.__struct_fields__)
    if not is_older and record.checksum != checksum_record(fields):
        raise ValueError("it fails its checksum")
    # Through JSON and back, since tuples come back as lists.
    wanted = json.loads(json.dumps({**expected, "protocol": PROTOCOL}))
    if {name: record.request.get(name) for name in wanted} != wanted:
        raise ValueError("it is the result of another request")
    if len(record.predicted) != held_out.images or len(record.confidence) != held_out.images:
        raise ValueError("it is of another number of images")
    if not UNREADABLE <= min(record.predicted) <= max(record.predicted) < held_out.classes:
        raise ValueError("it predicts classes that there are not")
    predictions = HeldOutPredictions(np.array(record.predicted, np.intp), np.array(record.confidence, np.float64))
    # The fields as they stand: whole numbers among the parameters stay whole.
    return Evaluation(
        Result(**fields["result"]),
        predictions,
        recalled=True,
        degenerate=record.degenerate,
        edge=record.edge,
        figures=None if record.figures is None else Figures(**msgspec.structs.asdict(record.figures)),
    )
