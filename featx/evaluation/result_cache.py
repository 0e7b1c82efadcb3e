"""Records of evaluations on disk, so that a repeated request costs nothing: one immutable JSON file a request."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.registry import Linear, find_classifier
from featx.evaluation.result import TUNED, Result
from featx.files import write_atomic

log = logging.getLogger(__name__)

PROTOCOL = 3
"""Version of splits, search, solvers and scores: raise it by hand when any of them gives other numbers."""

FOLDER = "results"
STATED = ("p_value", "megabytes", "ms_per_image", "recalled")
"""Fields that depend on what is compared or how it is stored, and so are no part of a record."""


@dataclass(frozen=True)
class Evaluation:
    """A result, and what the classifier said of each held-out image.

    Attributes
    ----------
    result : Result
    predicted : (m,) int
        Classes in the order of the held-out rows.
    confidence : (m,) float64
        Probabilities of these classes, to six digits.
    """

    result: Result
    predicted: NDArray[np.intp]
    confidence: NDArray[np.float64]


def grid_of(name: str, seed: int) -> Any:
    """State what is searched for a classifier, in words or numbers that change when it does."""
    classifier = find_classifier(name)
    return list(classifier.values) if isinstance(classifier, Linear) else repr(classifier.make(seed).get_params())


def digest_request(request: Mapping[str, Any]) -> str:
    """Digest everything that a result depends on: 64 hex characters."""
    return hashlib.sha256(json.dumps({**request, "protocol": PROTOCOL}, sort_keys=True).encode()).hexdigest()


def record_file(cache: Path, request: Mapping[str, Any]) -> Path:
    """Path of the record of a request, beside the bases of a cache."""
    name = digest_request(request)[:32]
    if request["clf"] in TUNED:  # found by the rows alone, whatever the recipe was
        name = f"tuned-{request['rows'][:16]}-{name[:16]}"
    return cache / FOLDER / f"{name}.json"


def save_result(cache: Path, request: Mapping[str, Any], judged: Evaluation) -> None:
    """Write a record; a cache that cannot be written is no error, only slower next time."""
    result = {name: value for name, value in asdict(judged.result).items() if name not in STATED}
    record = {
        "request": {**request, "protocol": PROTOCOL},
        "result": result,
        "predicted": judged.predicted.tolist(),
        "confidence": judged.confidence.tolist(),
    }
    try:
        write_atomic(record_file(cache, request), (json.dumps(record, sort_keys=True) + "\n").encode())
    except OSError as error:
        log.info("the result is not kept: %s", error)


def load_result(cache: Path, request: Mapping[str, Any], images: int) -> Evaluation | None:
    """Read the record of a request; None if there is none, or it is damaged.

    Parameters
    ----------
    images : int
        How many held-out images it must speak of.
    """
    return read_record(record_file(cache, request), {**request, "protocol": PROTOCOL}, images)


def load_finetuned_results(cache: Path, facts: Mapping[str, Any], images: int) -> list[Evaluation]:
    """Read the records of fine-tuning that share some facts; of several with one cut and views, the latest.

    Parameters
    ----------
    facts : mapping
        What their requests must say, "rows" among it.
    """
    found: dict[Any, Evaluation] = {}
    files = (cache / FOLDER).glob(f"tuned-{facts['rows'][:16]}-*.json")
    for file in sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name)):
        judged = read_record(file, {**facts, "protocol": PROTOCOL}, images)
        if judged is not None:
            result = judged.result
            found[result.layer, result.clf, result.views, result.test_views] = judged
    return sorted(found.values(), key=lambda one: TUNED.index(one.result.clf))


def read_record(file: Path, facts: Mapping[str, Any], images: int) -> Evaluation | None:
    """Read a record whose request states these facts; None if it does not, is damaged or not there."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        stated = {name: record["request"][name] for name in facts}
        if stated != json.loads(json.dumps(facts)):
            raise ValueError("it answers another request")
        names = {field.name for field in fields(Result)} - set(STATED)
        if set(record["result"]) != names:
            raise ValueError("it has other fields")
        predicted, confidence = np.array(record["predicted"], np.intp), np.array(record["confidence"], np.float64)
        if predicted.shape != (images,) or confidence.shape != (images,):
            raise ValueError("it speaks of another number of images")
        return Evaluation(replace(Result(**record["result"]), recalled=True), predicted, confidence)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        log.info("the record '%s' is unreadable (%s): it is made again", file, error)
        return None
