"""Results of evaluations on disk, so that a repeated request costs nothing: one immutable JSON file a request."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from featx.classifiers.registry import Linear, find_classifier
from featx.evaluation.protocol import PROTOCOL
from featx.evaluation.result import TUNED, WEIGHTING_FIELDS, Evaluation, HeldOutPredictions, Result
from featx.files import write_atomic

log = logging.getLogger(__name__)

FOLDER = "results"
"""Folder of the results, beside the bases of a cache."""


def describe_grid(name: str, seed: int) -> Any:
    """State what is searched for a classifier, in words or numbers that change when it does."""
    classifier = find_classifier(name)
    if isinstance(classifier, Linear):
        return list(classifier.values)
    return repr(classifier.make(seed).get_params())


def digest_request(request: Mapping[str, Any]) -> str:
    """Digest everything that a result depends on: 64 hex characters."""
    return hashlib.sha256(json.dumps({**request, "protocol": PROTOCOL}, sort_keys=True).encode()).hexdigest()


def result_file(cache: Path, request: Mapping[str, Any]) -> Path:
    """Path of the result of a request."""
    digest = digest_request(request)
    if request["clf"] in TUNED:
        # Found by the rows alone, whatever the schedule of the fine-tuning was.
        return cache / FOLDER / f"{tuned_prefix(request)}{digest[:16]}.json"
    return cache / FOLDER / f"{digest[:32]}.json"


def tuned_prefix(request: Mapping[str, Any]) -> str:
    """Beginning of the file names of all results of fine-tuning on the same rows."""
    return f"tuned-{request['rows'][:16]}-"


def save_result(cache: Path, request: Mapping[str, Any], evaluation: Evaluation) -> None:
    """Write the result of a request; a cache that cannot be written is no error, only slower next time."""
    record = {
        "request": {**request, "protocol": PROTOCOL},
        "result": evaluation.result.to_dict(),
        "predicted": evaluation.predictions.classes.tolist(),
        "confidence": evaluation.predictions.confidence.tolist(),
    }
    # Only stated where there is something to state, so that other files stay as they were.
    if evaluation.degenerate:
        record["degenerate"] = evaluation.degenerate
    try:
        write_atomic(result_file(cache, request), (json.dumps(record, sort_keys=True) + "\n").encode())
    except OSError as error:
        log.info("the result is not kept: %s", error)


def load_result(cache: Path, request: Mapping[str, Any], images: int) -> Evaluation | None:
    """Read the result of a request; None if there is none, or it is damaged.

    Parameters
    ----------
    images : int
        Held-out images that it must have predictions of.
    """
    return read_result(result_file(cache, request), request, images)


def load_finetuned_results(
    cache: Path, shared: Mapping[str, Any], images: int, class_weight: str | None = None
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
    files = (cache / FOLDER).glob(f"{tuned_prefix(shared)}*.json")
    for file in sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name)):
        evaluation = read_result(file, shared, images)
        if evaluation is not None and evaluation.result.class_weight == class_weight:
            result = evaluation.result
            latest[result.layer, result.clf, result.views, result.test_views] = evaluation
    return sorted(latest.values(), key=lambda evaluation: TUNED.index(evaluation.result.clf))


def read_result(file: Path, expected: Mapping[str, Any], images: int) -> Evaluation | None:
    """Read a result whose request states what is expected; None if it does not, is damaged or does not exist."""
    try:
        return parse_result(file.read_text(encoding="utf-8"), expected, images)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        log.info("the result '%s' is unreadable (%s): it is computed again", file, error)
        return None


def parse_result(text: str, expected: Mapping[str, Any], images: int) -> Evaluation:
    """Take a result from its JSON.

    Raises
    ------
    ValueError, TypeError, KeyError, RecursionError
        If it is damaged, or the result of something else.
    """
    record = json.loads(text)
    # Through JSON and back, since tuples come back as lists.
    wanted = json.loads(json.dumps({**expected, "protocol": PROTOCOL}))
    stated = {name: record["request"][name] for name in wanted}
    if stated != wanted:
        raise ValueError("it is the result of another request")
    # Weights are stated only where there were any.
    if {*record["result"], *WEIGHTING_FIELDS} != {field.name for field in fields(Result)}:
        raise ValueError("it has other fields")
    classes = np.array(record["predicted"], np.intp)
    confidence = np.array(record["confidence"], np.float64)
    if classes.shape != (images,) or confidence.shape != (images,):
        raise ValueError("it is of another number of images")
    predictions = HeldOutPredictions(classes, confidence)
    return Evaluation(Result(**record["result"]), predictions, recalled=True, degenerate=record.get("degenerate"))
