"""One run of the ladder: its gate, which predicts what a step costs and extracts what it needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import numpy as np

from featx.data.listing import FailedImage
from featx.evaluation.comparison import open_comparison
from featx.ladder.bench import Bench
from featx.ladder.budget import Budget
from featx.ladder.candidates import LONG_POOLINGS, VIEWS
from featx.ladder.climb import CLOSING, Climb, Rung, Step, list_poolings_of_views
from featx.ladder.costs import predict_first_cuts, predict_trials, seconds_per_image
from featx.ladder.opened_base import OpenedBase
from featx.ladder.report import STEPS_IN_WORDS, LadderRow, show_rung, show_skipped
from featx.requests import AutoRequest, ExtractRequest
from featx.store.store import FeatureStore
from featx.types import Progress

MOST_POOLED_BYTES = 2e9
"""Room that all poolings of one view may take in the cache; where they need more, only the usual one is tried."""

VIEW_STEPS = ("views", "long views")
"""Kinds of the steps that extract several views."""

Watch = Callable[[str, str], AbstractContextManager[Progress | None]]
"""Told what begins, and in which unit its progress comes; gives what is called with how much is done."""

Extract = Callable[[ExtractRequest, Progress | None], list[FailedImage]]
"""Computes and stores features; gives the images that cannot be read."""


@dataclass
class Ascent:
    """One run: the gate of its own ladder.

    Attributes
    ----------
    request : AutoRequest
    bases : list of OpenedBase
        The cheapest first.
    images : int
        In the data set, repetitions and broken ones among them.
    budget : Budget
    extract : Extract
    watch : Watch
    bench : Bench
    ladder : list of LadderRow
    begun : set of Step
    failed : list of FailedImage
        Images that cannot be read.
    """

    request: AutoRequest
    bases: list[OpenedBase]
    images: int
    budget: Budget
    extract: Extract
    watch: Watch
    bench: Bench = field(default_factory=Bench)
    ladder: list[LadderRow] = field(default_factory=list)
    begun: set[Step] = field(default_factory=set)
    failed: list[FailedImage] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Names of the bases."""
        return [base.choice.name for base in self.bases]

    def start(self) -> None:
        """Begin the first step, whatever it costs: there is no model without it."""
        step = Step("cuts", 0)
        self.budget.begin(name_step(step), None)
        self.begun.add(step)
        self.compute(0, self.choose_poolings(self.bases[0]), 1)

    def begins(self, step: Step, climb: Climb) -> bool:
        """Begin a step if its cost is within the budget: extract what it needs."""
        if step in self.begun:
            return True
        name = name_step(step)
        if not self.budget.begin(name, self.predict(step, climb)):
            self.ladder.append(show_skipped(step, self.budget.steps[name], self.names))
            return False
        self.begun.add(step)
        if step.kind == "cuts":
            self.compute(step.base, self.choose_poolings(self.bases[step.base]), 1)
        elif step.kind in VIEW_STEPS:
            self.compute(step.base, list_poolings_of_step(step, climb), VIEWS)
        return True

    def measuring(self, step: Step) -> AbstractContextManager[Progress | None]:
        """Say what is measured."""
        return self.watch(f"{self.names[step.base]}: {STEPS_IN_WORDS[step.kind]}", "candidate")

    def ended(self, rung: Rung) -> None:
        """Note what a step took and brought."""
        seconds = None
        if rung.step.kind != CLOSING:
            name = name_step(rung.step)
            self.budget.end(name)
            seconds = self.budget.steps[name].seconds
        self.ladder.append(show_rung(rung, seconds, self.names, self.request.select))

    def predict(self, step: Step, climb: Climb) -> float:
        """Predict what a step costs in seconds: extraction, trials, and the final fit of what it may choose."""
        slowest = max((seconds for _, seconds in self.bench.measured), default=0.0)
        final_fit = slowest / climb.rows.repeats
        if step.kind == "cuts":
            times = self.bases[step.base].multiply_adds / max(1, self.bases[0].multiply_adds)
            extraction = self.images * seconds_per_image(climb, 0) * max(1.0, times)
            return extraction + predict_first_cuts(climb) + final_fit
        trials = predict_trials(step, climb)
        if step.kind in VIEW_STEPS:
            missing = self.count_missing_views(step.base, list_poolings_of_step(step, climb))
            extraction = missing * seconds_per_image(climb, step.base)
            return extraction + trials + VIEWS * final_fit
        return trials + final_fit

    def count_missing_views(self, place: int, poolings: list[str]) -> int:
        """Count the passes, one image each, that the further views of a base still need."""
        store = FeatureStore(self.request.cache)
        missing = 0
        for view in range(1, VIEWS):
            of_view = np.zeros(len(self.bench.dataset.y), bool)
            for pooling in poolings:
                for layer_set in self.bench.comparisons[place, pooling, 1].layer_sets:
                    of_view |= store.missing(replace(layer_set.keys[0], view=view), self.bench.dataset.digests)
            missing += int(of_view.sum())
        return missing

    def choose_poolings(self, base: OpenedBase) -> list[str]:
        """Choose the poolings of the first pass: all that fit, or the usual one where they need too much room."""
        poolings = list(base.poolings)
        room = self.images * sum(base.poolings.values())
        return poolings if room <= MOST_POOLED_BYTES else poolings[:1]

    def compute(self, place: int, poolings: list[str], views: int) -> None:
        """Extract features of a base as far as the cache lacks them, and put them on the bench."""
        base = self.bases[place]
        what = f"{base.choice.name}: extraction" + (f" of {views} views" if views > 1 else "")
        with self.watch(what, "image") as progress:
            request = self.request.extraction(base.choice, base.layers, poolings, views)
            self.failed = self.extract(request, progress) or self.failed
        opened = open_comparison(self.request.comparison(base.choice, base.layers, poolings, views))
        if self.bench.comparisons:
            # Listed again, but the same images: all that follows is of the rows that were split first.
            opened = replace(opened, dataset=self.bench.dataset)
        self.bench.layers[place] = base.layers
        for pooling in poolings:
            of_pooling = [each for each in opened.layer_sets if each.pooling == pooling]
            selection = replace(opened.selection, layer_sets=of_pooling)
            self.bench.comparisons[place, pooling, views] = replace(opened, selection=selection)


def list_poolings_of_step(step: Step, climb: Climb) -> list[str]:
    """List the poolings that a step of several views extracts."""
    return list_poolings_of_views(climb, step.base) if step.kind == "views" else list(LONG_POOLINGS)


def name_step(step: Step) -> str:
    """Name a step for the record of what was decided."""
    return f"{step.kind} {step.base}"
