"""What is to be evaluated: classifiers and layer sets of each base, on one data set that is listed once."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from featx.classifiers.figures import Criterion
from featx.classifiers.registry import CLASSIFIERS, DEFAULT_CLASSIFIERS, Linear, Majority, find_classifier
from featx.evaluation.result import TUNED, PositiveClass, choose_positive
from featx.features.catalog import LayerSet, Selection, list_candidates
from featx.features.dataset import Dataset, join_selections, list_dataset, select_of_dataset
from featx.features.matrix import BLOCK_BYTES, Features
from featx.features.missing import check_names
from featx.processes.machine import half_the_memory
from featx.requests import CompareRequest
from featx.store.base_json import StoredBase
from featx.store.store import FeatureStore

log = logging.getLogger(__name__)

COPIES = 8
"""Fitting takes about so many times the memory of its features, with a fold a core at work."""


@dataclass(frozen=True)
class Comparison:
    """Classifiers and layer sets of one base, to be evaluated on a data set.

    Attributes
    ----------
    request : CompareRequest
    classifiers : list of str
    selection : Selection
        The base and its layer sets.
    dataset : Dataset
    """

    request: CompareRequest
    classifiers: list[str]
    selection: Selection
    dataset: Dataset

    @property
    def base(self) -> StoredBase:
        """The cached base."""
        return self.selection.base

    @property
    def positive(self) -> PositiveClass | None:
        """The positive class of two."""
        return choose_positive(self.dataset.classes, self.request.positive)

    @property
    def criterion(self) -> Criterion | None:
        """The figure to choose hyper-parameters by, where one was asked for."""
        if self.request.select is None:
            return None
        return Criterion(self.request.select, self.positive.place if self.positive else 1)

    @property
    def layer_sets(self) -> list[LayerSet]:
        """The layer sets, in the order of the table."""
        return self.selection.layer_sets

    @property
    def memory(self) -> int:
        """Bytes that fitting may take."""
        return self.request.memory or half_the_memory()

    def fits_memory(self, layer_set: LayerSet) -> bool:
        """Whether fitting on all features of a layer set stays within the memory that the request allows."""
        return COPIES * 4 * self.count_numbers(layer_set) <= self.memory

    def count_numbers(self, layer_set: LayerSet) -> int:
        """Count the numbers in the features of a layer set: images times views times length."""
        return len(self.dataset.y) * self.request.views * layer_set.dim

    def features(self, layer_set: LayerSet) -> Features:
        """Give the features of all views and rows of a layer set; loaded unless they are too many for memory."""
        features = self.unloaded(layer_set)
        return features.load() if self.fits_memory(layer_set) else features

    def unloaded(self, layer_set: LayerSet) -> Features:
        """Give the features of all views and rows of a layer set, to be read from the store as they are taken."""
        return Features(
            FeatureStore(self.request.cache),
            layer_set.keys,
            self.dataset.digests,
            self.request.views,
            layer_set.dim,
            block_bytes=min(BLOCK_BYTES, self.memory // COPIES),
        )


Task = tuple[Comparison, LayerSet]
"""One layer set that is to be evaluated."""


def open_comparisons(request: CompareRequest) -> list[Comparison]:
    """Find everything that a request names: one comparison a base, all on the same rows of the data set.

    The data set is listed, digested and joined once, however many bases there are.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.
    """
    classifiers = choose_classifiers(request)
    store = FeatureStore(request.cache)
    requests = [request, *request.others()]
    # A base of which nothing is cached is known before all images are read for their digests.
    candidates = []
    for of_base in requests:
        check_names(of_base)
        candidates.append(list_candidates(store, of_base))
    manifest = list_dataset(request)
    selections = []
    for of_base, bases in zip(requests, candidates, strict=True):
        selections.append(select_of_dataset(manifest, store, of_base, bases))
    dataset = join_selections(manifest, store, selections)
    # Before anything is fitted.
    choose_positive(dataset.classes, request.positive)
    dataset.weighting(request.class_weight)
    comparisons = []
    for selection in selections:
        comparison = Comparison(selection.request, classifiers, selection, dataset)
        comparisons.append(leave_out_unfitting(comparison))
    return comparisons


def open_comparison(request: CompareRequest) -> Comparison:
    """Find everything that a request for one base names, raising as `open_comparisons` does."""
    return open_comparisons(replace(request, beside=()))[0]


def choose_classifiers(request: CompareRequest) -> list[str]:
    """List the classifiers that a request asks for, without repetitions; the usual ones where it names none.

    Raises
    ------
    UnknownName
        If there is no such classifier.
    """
    if not request.classifiers:
        return list(DEFAULT_CLASSIFIERS)
    names = [name for name in dict.fromkeys(request.classifiers) if name not in TUNED]
    for name in names:
        find_classifier(name)
    return names


def leave_out_unfitting(comparison: Comparison) -> Comparison:
    """Where no classifiers were chosen, leave out those that need more memory than there is, with a warning."""
    if comparison.request.classifiers or all(map(comparison.fits_memory, comparison.layer_sets)):
        return comparison
    names = [name for name in comparison.classifiers if isinstance(CLASSIFIERS[name], Linear | Majority)]
    log.warning("features are larger than --memory allows at once: only %s are fitted", " and ".join(names))
    return replace(comparison, classifiers=names)
