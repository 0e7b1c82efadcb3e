"""Score a saved model on images whose labels are known: the report of `fit`, on other images."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.base_choice import BaseChoice
from featx.data.listing import DigestedListing, FailedImage, Listing
from featx.data.sources import ColumnChoice, list_images
from featx.data.sources.archives.remembered_index import find_usual_cache
from featx.errors import DataError, did_you_mean, shorten
from featx.evaluation.error_analysis import HeldOut
from featx.evaluation.fit_report import FitReport, report_fit
from featx.evaluation.protocol import Subject, Training, make_evaluation
from featx.features.dataset import Dataset, join_dataset
from featx.features.duplicates import count_once
from featx.images.range_report import RangeReport
from featx.models.base_of_model import open_model
from featx.models.labelling import label_listing
from featx.models.model import Model
from featx.requests import CompareRequest, ScoredPart, ScoreRequest
from featx.types import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreReport(FitReport):
    """What `score` gives: the report of `fit` on these images, and which of them do not count.

    The figures of training in its `result` are those that the model states; it was not trained again.

    Attributes
    ----------
    failed : list of FailedImage
        Images that could not be read.
    unknown_classes : dict of str to int
        Classes that the model does not know, and their images, which are left out.
    repetitions : int
        Rows that show a picture once more; a picture counts once.
    images : list of (path, label, predicted, probability)
        Every image that counts.
    """

    failed: list[FailedImage] = field(default_factory=list)
    unknown_classes: Mapping[str, int] = field(default_factory=dict)
    repetitions: int = 0
    images: list[tuple[str, str, str, float]] = field(default_factory=list, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON: those of `fit`, and what does not count."""
        return {
            **super().to_dict(),
            "failed": [{"path": file.path, "reason": file.reason} for file in self.failed],
            "unknown_classes": dict(self.unknown_classes),
            "repetitions": self.repetitions,
        }


@dataclass(frozen=True)
class Scored:
    """Images that were labelled.

    Attributes
    ----------
    listing : Listing
        The m images.
    digests : list of bytes
    codes : (m,) int
        Places of the predicted classes.
    probabilities : (m, k) float64
    """

    listing: Listing
    digests: list[bytes]
    codes: NDArray[np.intp]
    probabilities: NDArray[np.float64]

    def subset(self, places: Sequence[int]) -> Scored:
        """Keep some images, in the order given."""
        digests = [self.digests[place] for place in places]
        return Scored(self.listing.subset(places), digests, self.codes[places], self.probabilities[places])


def score_model(request: ScoreRequest, progress: Progress | None = None) -> ScoreReport:
    """Label the images of a data set with a saved model, and compare the labels with its own.

    Parameters
    ----------
    request : ScoreRequest
    progress : callable, optional
        Called with the number of images done and to be done.

    Returns
    -------
    ScoreReport

    Raises
    ------
    DataError
        If there is no such data set, it has no labels, none of them is a class of the model, or no image can be read.
    ModelError
        If the model cannot be read, or does not fit this featx.
    WeightsError
        If the weights cannot be had, or their digest differs from the model's.
    UnknownName
        If this featx has no such base, layer, pooling or device.
    """
    model = open_model(request)
    columns = ColumnChoice(request.path_column, request.label_column)
    listing = choose_part(list_images(request.data, find_usual_cache(), choice=columns), request.split)
    known, unknown_classes = keep_known(listing, model.classes_)
    labelled, failed = label_every_row(model, request, known, progress)
    scored = keep_first(labelled)
    repetitions = len(labelled.digests) - len(scored.digests)
    if "trained_on_all" in model.protocol:
        log.warning(
            "the model was trained on all images of its data set, those that were held out among them: of these, the "
            "figures say nothing"
        )
    elif request.split == "auto" and not unknown_classes:
        scored = keep_held_out(model, request, scored, labelled)
    return make_report(model, scored, failed, unknown_classes, repetitions)


def label_every_row(
    model: Model, request: ScoreRequest, listing: Listing, progress: Progress | None
) -> tuple[Scored, list[FailedImage]]:
    """Label every row of a listing.

    Raises
    ------
    DataError
        If no image can be read.
    """
    rows: list[int] = []
    digests: list[bytes] = []
    codes: list[NDArray[np.intp]] = []
    probabilities: list[NDArray[np.float64]] = []
    failed: list[FailedImage] = []
    ranges = RangeReport()
    for batch in label_listing(model, request, listing, ranges):
        rows += batch.rows
        digests += batch.digests
        codes.append(batch.codes)
        probabilities.append(batch.probabilities)
        failed += batch.failed
        if progress:
            progress(len(rows) + len(failed), len(listing))
    if not rows:
        first = failed[0]
        raise DataError(
            f"'{request.data}': none of its {len(failed)} images can be read, such as '{first.path}' ({first.reason})"
        )
    return Scored(listing.subset(rows), digests, np.concatenate(codes), np.concatenate(probabilities)), failed


def keep_first(labelled: Scored) -> Scored:
    """Keep a picture once, however often it is listed, and say so in one line."""
    labels = labelled.listing.labels
    first_place: dict[bytes, int] = {}
    torn: list[str] = []
    for place, digest in enumerate(labelled.digests):
        first = first_place.setdefault(digest, place)
        if labels[first] != labels[place]:
            torn.append(labelled.listing.paths[place])
    repetitions = len(labelled.digests) - len(first_place)
    if torn:
        log.warning(
            "%d of the rows bear another label than the same picture before them, which counts: %s",
            len(torn),
            shorten([f"'{path}'" for path in torn], 3),
        )
    if repetitions:
        rows_are = "row is a repetition" if repetitions == 1 else "rows are repetitions"
        log.warning("%d %s of others: a picture counts once", repetitions, rows_are)
    return labelled.subset(list(first_place.values()))


def keep_held_out(model: Model, request: ScoreRequest, scored: Scored, labelled: Scored) -> Scored:
    """Keep what was held out, if these are the very images that the model was fitted on, and say so in one line.

    Parameters
    ----------
    scored : Scored
    labelled : Scored
        The same with repetitions, as the data set lists them.
    """
    digests = np.frombuffer(b"".join(labelled.digests), np.uint8).reshape(-1, 32)
    digested = DigestedListing(labelled.listing, digests)
    try:
        if "groups" in model.protocol:
            dataset = recall_groups(model.protocol["groups"], digested)
        else:
            dataset = recall_split(model, request, digested)
    except DataError:
        # Too few images to be fitted on, so the model was fitted on others.
        return scored
    if dataset is None:
        return scored
    held_out = {dataset.listing.paths[row] for row in np.flatnonzero(dataset.test).tolist()}
    places = [place for place, path in enumerate(scored.listing.paths) if path in held_out]
    log.warning(
        "these are the images that the model was fitted on: the %d that were held out are scored; "
        "--split all scores those that it was trained on, too",
        len(places),
    )
    return scored.subset(places)


def recall_split(model: Model, request: ScoreRequest, digested: DigestedListing) -> Dataset | None:
    """Split images as `fit` does; None if these are not the very images that the model was fitted on.

    Raises
    ------
    DataError
        If nothing could be fitted on them.
    """
    seed = model.protocol.get("seed")
    if not isinstance(seed, int) or not 0 <= seed < 2**32 or "rows" not in model.protocol:
        return None
    fitted_on = CompareRequest(request.data, BaseChoice(model.keys[0].base.architecture), seed=seed)
    dataset = join_dataset(fitted_on, digested)
    return dataset if dataset.digest == model.protocol["rows"] else None


def recall_groups(stated: Any, digested: DigestedListing) -> Dataset | None:
    """Hold out the rows that a model states; None if these are not the very images that it was fitted on.

    Parameters
    ----------
    stated : any
        What a model file says that `describe_groups` wrote.

    Raises
    ------
    DataError
        If nothing could be fitted on them.
    """
    rows = count_once(digested).rows
    try:
        bits = np.frombuffer(bytes.fromhex(stated["held_out"]), np.uint8)
        test = np.unpackbits(bits)[: len(rows)].astype(bool)
    # None of these where another program wrote it, or the data set had a split of its own.
    except (TypeError, ValueError, KeyError):
        return None
    if len(test) < len(rows):
        return None
    listing = digested.listing.subset(rows)
    classes, y = np.unique(np.array(listing.labels), return_inverse=True)
    manifest = DigestedListing(listing, digested.digests[rows])
    dataset = Dataset(manifest, classes.tolist(), y, np.arange(len(rows)), test)
    return dataset if dataset.digest == stated.get("rows") else None


def choose_part(listing: Listing, part: ScoredPart) -> Listing:
    """Choose the rows that are scored, and say which where the data set names splits.

    Raises
    ------
    DataError
        If no row is of the part asked for.
    """
    counts = Counter(listing.splits)
    wanted: Sequence[str] = [part]
    if part == "all" or (part == "auto" and not (counts["test"] or counts["val"])):
        wanted = list(counts)
    elif part == "auto":
        wanted = ["test" if counts["test"] else "val"]
    rows = [row for row, split in enumerate(listing.splits) if split in wanted]
    if not rows:
        raise DataError(f"'{listing.name}' has no images of the split '{part}': it has {name_splits(counts)}")
    if counts.keys() - set(wanted):
        for split in wanted:
            del counts[split]
        others = name_splits(counts)
        log.warning(
            "scored: %s (%d images); left out: %s; --split all scores every image", wanted[0], len(rows), others
        )
    return listing.subset(rows)


def name_splits(counts: Mapping[str, int]) -> str:
    """Name splits with their numbers of images."""
    return ", ".join(f"{split or 'no split'} ({count})" for split, count in counts.items())


def keep_known(listing: Listing, classes: Sequence[str]) -> tuple[Listing, dict[str, int]]:
    """Leave out images of classes that a model does not know; these are named in one line.

    Returns
    -------
    Listing
    dict of str to int
        The other classes, and their images.

    Raises
    ------
    DataError
        If the data set has no labels, or none that the model knows.
    """
    counts = Counter(listing.labels)
    if set(counts) == {""}:
        raise DataError(f"'{listing.name}' has no labels to compare with: featx predict labels its images")
    unknown = {label: count for label, count in counts.items() if label not in classes}
    if not unknown:
        return listing, {}
    phrases: list[str] = []
    for label, count in unknown.items():
        name = f"'{label}'" if label else "no label"
        phrases.append(f"{name} ({count})")
    named = shorten(phrases, 6)
    if len(unknown) == len(counts):
        raise DataError(
            f"'{listing.name}' has no class that the model knows. Its classes: {named}; "
            f"the model's: {shorten(map(repr, classes), 6)}"
        )
    hint = did_you_mean(next(iter(unknown)), classes)
    images = sum(unknown.values())
    verb = "image is" if images == 1 else "images are"
    log.warning("%d %s left out, of classes that the model does not know: %s.%s", images, verb, named, hint)
    rows = [row for row, label in enumerate(listing.labels) if label not in unknown]
    return listing.subset(rows), unknown


def make_report(
    model: Model,
    scored: Scored,
    failed: list[FailedImage],
    unknown_classes: Mapping[str, int],
    repetitions: int,
) -> ScoreReport:
    """Work out the figures and the details, as `fit` does."""
    listing = scored.listing
    classes = list(model.classes_)
    truth = np.array([classes.index(label) for label in listing.labels])
    output = scored.codes, scored.probabilities
    evaluation = make_evaluation(describe_subject(model), recall_training(model), truth, output, model.classifier)
    report = report_fit(evaluation, HeldOut(list(listing.paths), truth, classes), model)
    images: list[tuple[str, str, str, float]] = []
    confidence = evaluation.predictions.confidence.tolist()
    for path, label, code, probability in zip(
        listing.paths, listing.labels, scored.codes.tolist(), confidence, strict=True
    ):
        images.append((path, label, classes[code], probability))
    of_fit = {each.name: getattr(report, each.name) for each in fields(FitReport)}
    return ScoreReport(**of_fit, failed=failed, unknown_classes=unknown_classes, repetitions=repetitions, images=images)


def describe_subject(model: Model) -> Subject:
    """Say what is scored, as a result names it."""
    return Subject(
        base=model.keys[0].base.architecture,
        layer="+".join(key.layer for key in model.keys),
        pooling=model.keys[0].pooling,
        clf=str(model.scores.get("clf", model.classifier.kind)),
        dim=len(model.classifier.arrays["mean"]),
        views=int(model.scores.get("views", model.views)),
        test_views=model.views,
    )


def recall_training(model: Model) -> Training:
    """Give what a model states of its training; nothing is measured again."""
    n_train = int(model.scores.get("n_train", 0))
    cv_accuracy = float(model.scores.get("cv_accuracy", 0.0))
    return Training(n_train, cv_accuracy, 0.0, dict(model.params))
