"""The choice itself, as a function of rows: which features and classifier, step by step, each measured.

A step is kept where its best candidate gains more than one standard error of the paired difference on what there was
before. With a few hundred images that is a point and more, and several steps may each fail by a little. So in the end
the best of all that was measured is taken after all where it leads by more than half a point: what is given up for the
sake of fewer layers or views is less. Several views are cross-validated fewer times; gains and leads are always of the
folds that both candidates were tried on. Which steps there are is decided elsewhere, so that the same choice can be
made again on other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol

from featx.ladder.bench import Bench, Rows
from featx.ladder.candidates import (
    LATE_CLASSIFIER,
    LONG_POOLINGS,
    USUAL_CLASSIFIERS,
    VIEWS,
    Candidate,
    FeatureChoice,
)
from featx.selection.trials import Gain, Trial, compare_trials
from featx.types import Progress

WORTH_TAKING = 0.5
"""Points by which the best of all measured candidates leads, from which on it is taken though it may be noise."""

DEEPEST = 3
"""The deepest layers that are tried together whatever forward selection says: the mix that most often wins."""


CLOSING = "all"
"""Kind of the last step, in which nothing new is measured."""


@dataclass(frozen=True)
class Step:
    """One step of the ladder.

    Attributes
    ----------
    kind : str
        Name in `PROPOSALS`, "classifiers" or `CLOSING`.
    base : int
        Place of the base among those that the request names.
    """

    kind: str
    base: int


@dataclass(frozen=True)
class Measured:
    """A candidate and how it did."""

    candidate: Candidate
    trial: Trial


@dataclass(frozen=True)
class Rung:
    """What one step brought.

    Attributes
    ----------
    step : Step
    best : Measured
        The best candidate of the step.
    before : Measured or None
        What it is compared with: what the base had before, or in the end what all had; None for a base's first step.
    gain : Gain or None
        On what was before; None for a base's first step.
    is_kept : bool
    tried : int
        How many candidates there were.
    """

    step: Step
    best: Measured
    before: Measured | None
    gain: Gain | None
    is_kept: bool
    tried: int

    @property
    def rates(self) -> tuple[float, float | None]:
        """Means of the best candidate and of what was before, on the folds that the gain is of."""
        if self.before is None:
            return self.best.trial.rate, None
        before, after = keep_common(self.before.trial, self.best.trial)
        return after.rate, before.rate


@dataclass
class Climb:
    """How far each base has come.

    Attributes
    ----------
    bench : Bench
    rows : Rows
        All that the choice may look at.
    at : dict of base to Measured
        What each base has reached.
    rungs : list of Rung
    trials : dict of Candidate to Trial
        All that was measured.
    """

    bench: Bench
    rows: Rows
    at: dict[int, Measured] = field(default_factory=dict)
    rungs: list[Rung] = field(default_factory=list)
    trials: dict[Candidate, Trial] = field(default_factory=dict)

    @property
    def top(self) -> Measured:
        """The best of what the bases have reached; of equals the one of the cheapest base."""
        return self.at[self.rank_bases()[0]]

    def rank_bases(self) -> list[int]:
        """List the bases, the one that has come farthest first, judged by the folds that all were tried on."""
        folds = min(len(measured.trial.accuracies) for measured in self.at.values())
        rates = {base: take_folds(measured.trial, folds).rate for base, measured in self.at.items()}
        return sorted(rates, key=lambda base: (-rates[base], base))

    def take(self, step: Step, progress: Progress | None = None) -> Rung:
        """Measure the candidates of a step, and keep the best of them if it gains beyond noise.

        Parameters
        ----------
        step : Step
        progress : callable, optional
            Called with the number of candidates measured and to be measured.
        """
        trials: dict[Candidate, Trial] = {}
        proposals = propose(step, self)
        for done, (features, classifiers) in enumerate(proposals, 1):
            trials |= self.bench.measure(features, classifiers, self.rows)
            if progress:
                progress(done, len(proposals))
        self.trials |= trials
        before = self.at.get(step.base)
        best = find_best(trials)
        gain = compare_common(before.trial, best.trial) if before else None
        is_kept = gain is None or gain.is_beyond_noise
        rung = Rung(step, best, before, gain, is_kept, len(trials))
        if is_kept:
            self.at[step.base] = best
        self.rungs.append(rung)
        return rung

    def close(self) -> Rung | None:
        """Take the best of all that was measured if it leads far enough; None where it does not."""
        reached = self.top
        gains = {candidate: compare_common(reached.trial, trial) for candidate, trial in self.trials.items()}
        # Of equals the first, which is the simplest.
        candidate = max(gains, key=lambda each: gains[each].points)
        gain = gains[candidate]
        if gain.points <= WORTH_TAKING:
            return None
        best = Measured(candidate, self.trials[candidate])
        base = candidate.features.base
        rung = Rung(Step(CLOSING, base), best, reached, gain, True, len(self.trials))
        self.at[base] = best
        self.rungs.append(rung)
        return rung


def take_folds(trial: Trial, count: int) -> Trial:
    """Keep the first folds of a trial: repeats come one after another, and all trials meet the same folds."""
    figures = None if trial.figures is None else trial.figures[:count]
    return replace(trial, accuracies=trial.accuracies[:count], figures=figures)


def compare_common(before: Trial, after: Trial) -> Gain:
    """Say what one trial gained on another on the folds that both were tried on."""
    return compare_trials(*keep_common(before, after))


def keep_common(before: Trial, after: Trial) -> tuple[Trial, Trial]:
    """Keep of two trials the folds that both were tried on."""
    count = min(len(before.accuracies), len(after.accuracies))
    return take_folds(before, count), take_folds(after, count)


def find_best(trials: Mapping[Candidate, Trial]) -> Measured:
    """Find the candidate with the best mean; of equals the first, which is the simplest."""
    candidate = max(trials, key=lambda each: trials[each].rate)
    return Measured(candidate, trials[candidate])


Proposals = list[tuple[FeatureChoice, Sequence[str]]]
"""Features, and the classifiers to be measured on them."""


def propose(step: Step, climb: Climb) -> Proposals:
    """List the candidates of a step, the simplest first; those that memory has no room for are left out."""
    if step.kind == "classifiers":
        return [(climb.at[step.base].candidate.features, (LATE_CLASSIFIER,))]
    features = list(dict.fromkeys(PROPOSALS[step.kind](step.base, climb)))
    fitting = [each for each in features if climb.bench.fits_memory(each, climb.rows)]
    return [(each, USUAL_CLASSIFIERS) for each in fitting or features[:1]]


def propose_cuts(base: int, climb: Climb) -> Iterable[FeatureChoice]:
    """Propose each layer by itself, with the usual pooling."""
    for layer in climb.bench.layers[base]:
        yield FeatureChoice(base, (layer,), climb.bench.poolings(base)[0])


def propose_layer_sets(base: int, climb: Climb) -> Iterable[FeatureChoice]:
    """Propose the sets that forward selection goes through, and the deepest layers together."""
    yield from propose_sets(FeatureChoice(base, (), climb.bench.poolings(base)[0]), climb)


def propose_sets(features: FeatureChoice, climb: Climb) -> Iterable[FeatureChoice]:
    """Propose several layers together, all else as given."""
    bench = climb.bench
    layers = bench.layers[features.base]
    sets = bench.shortlist(features.base, features.pooling, features.views, climb.rows)
    deepest = [tuple(layers[-count:]) for count in (2, DEEPEST) if count <= len(layers)]
    for names in [*sets, *deepest]:
        if len(names) > 1:
            yield FeatureChoice(features.base, names, features.pooling, features.views)


def propose_poolings(base: int, climb: Climb) -> Iterable[FeatureChoice]:
    """Propose the other poolings, for the layers of now and for those that suit each of them best."""
    bench = climb.bench
    layers = climb.at[base].candidate.features.layers
    for pooling in bench.poolings(base)[1:]:
        yield FeatureChoice(base, layers, pooling)
        sets = bench.shortlist(base, pooling, 1, climb.rows)
        yield FeatureChoice(base, sets[-1], pooling)


def propose_views(base: int, climb: Climb) -> Iterable[FeatureChoice]:
    """Propose several views, for the layers of now and for those that suit them best, as far as they are extracted."""
    now = climb.at[base].candidate.features
    deepest = tuple(climb.bench.layers[base][-DEEPEST:])
    for pooling in list_poolings_of_views(climb, base):
        if (base, pooling, VIEWS) not in climb.bench.comparisons:
            continue
        yield FeatureChoice(base, now.layers, pooling, VIEWS)
        sets = climb.bench.shortlist(base, pooling, VIEWS, climb.rows)
        yield FeatureChoice(base, sets[-1], pooling, VIEWS)
        yield FeatureChoice(base, deepest, pooling, VIEWS)


def list_poolings_of_views(climb: Climb, base: int) -> list[str]:
    """List the poolings that are tried with several views: that of now, and the usual one, which is the shortest."""
    now = climb.at[base].candidate.features.pooling
    usual = climb.bench.poolings(base)[0]
    return [usual] if now in LONG_POOLINGS else list(dict.fromkeys([now, usual]))


def find_long_pooling(climb: Climb, base: int) -> FeatureChoice | None:
    """Find the features of a long pooling that a base has kept before several views were tried, if it has."""
    for rung in climb.rungs:
        features = rung.best.candidate.features
        if rung.is_kept and rung.step == Step("poolings", base) and features.pooling in LONG_POOLINGS:
            return features
    return None


def propose_long_views(base: int, climb: Climb) -> Iterable[FeatureChoice]:
    """Propose several views of the long pooling that was kept."""
    features = find_long_pooling(climb, base)
    if features is not None:
        yield replace(features, views=VIEWS)


PROPOSALS: dict[str, Callable[[int, Climb], Iterable[FeatureChoice]]] = {
    "cuts": propose_cuts,
    "layers": propose_layer_sets,
    "poolings": propose_poolings,
    "views": propose_views,
    "long views": propose_long_views,
}
"""Kind of a step: what it proposes; that of classifiers takes the features of now."""


class Gate(Protocol):
    """Who decides which steps are begun."""

    def begins(self, step: Step, climb: Climb) -> bool:
        """Whether a step is begun; if so, its features are there."""

    def measuring(self, step: Step) -> AbstractContextManager[Progress | None]:
        """Surround the measuring of a step; gives what is told how far it has come."""

    def ended(self, rung: Rung) -> None:
        """Hear what a step has brought."""


def climb_ladder(climb: Climb, bases: Sequence[int], gate: Gate) -> Climb:
    """Climb: cheap steps of all bases first, then views and slow classifiers, the best base first.

    Parameters
    ----------
    climb : Climb
        Where nothing is measured yet.
    bases : sequence of int
        In the order in which they begin.
    gate : Gate

    Returns
    -------
    Climb
        The same one.
    """
    for base in bases:
        for kind in ("cuts", "layers", "poolings"):
            take_if_begun(climb, Step(kind, base), gate)
    for base in climb.rank_bases():
        take_if_begun(climb, Step("views", base), gate)
        take_if_begun(climb, Step("long views", base), gate)
    take_if_begun(climb, Step("classifiers", climb.rank_bases()[0]), gate)
    closing = climb.close()
    if closing is not None:
        gate.ended(closing)
    return climb


def take_if_begun(climb: Climb, step: Step, gate: Gate) -> None:
    """Take a step if it is begun; without its first step a base has no further ones, nor has one without choice."""
    if step.kind != "cuts" and (step.base not in climb.at or has_no_choice(step, climb)):
        return
    if gate.begins(step, climb):
        with gate.measuring(step) as progress:
            rung = climb.take(step, progress)
        gate.ended(rung)


def has_no_choice(step: Step, climb: Climb) -> bool:
    """Whether a base has nothing that a step could choose among: one layer, or one pooling."""
    if step.kind == "layers":
        return len(climb.bench.layers[step.base]) < 2
    if step.kind == "long views":
        return find_long_pooling(climb, step.base) is None
    return step.kind == "poolings" and len(climb.bench.poolings(step.base)) < 2
