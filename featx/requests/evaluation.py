"""The requests for evaluation, and for the export of the features that it takes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from featx.base_choice import BaseChoice, Count, GroupChoice
from featx.fields import CheckedFields, check_class_weight, format_class_weight
from featx.keys import StoredDtype
from featx.requests.extraction import ExtractRequest, column_flags, repeat_flag
from featx.requests.values import (
    GREATEST_SEED,
    ClassWeight,
    FoldCount,
    RunnerName,
    Seed,
    SelectedFigure,
    default_cache,
)
from featx.storage.paths import CachePath

SOLVER_DEVICES = ("auto", "cpu", "cuda")
"""Kinds of devices on which linear classifiers are solved."""

DRAWS = 10
"""Draws of labelled images where no number is said: their spread is known to about a quarter."""


def choose_solver_device(device: str) -> str:
    """Choose where classifiers are solved for a request that says where features are extracted, which may be more."""
    return "auto" if device == "all" or "," in device or device.split(":")[0] == "mps" else device


@dataclass(frozen=True)
class CompareRequest(GroupChoice):
    """Evaluation: classifiers trained on cached layers, and scored on the held-out part.

    Attributes
    ----------
    layers : sequence of str
        Names joined by "+" are a layer set, whose features are concatenated. Empty: every layer that is cached.
    classifiers : sequence of str
        Names in `CLASSIFIERS`; empty: `DEFAULT_CLASSIFIERS`.
    poolings : sequence of str
        Empty: every pooling that is cached.
    seed : int
        Of the split, the folds and the classifiers.
    rehash : bool
        Read every file, also those that look unchanged.
    store_dtype : {"float32", "float16"} or None
        None is whatever is cached, float32 where both are.
    refit : bool
        Fit again even where an earlier run left the result.
    views : int
        Views of each training image that are trained on.
    test_views : int
        Views of each test image whose scores are averaged; at most `views`.
    beside : sequence of BaseChoice
        Other bases for the same table, each with every layer that is cached.
    memory : int or None
        Bytes that fitting may take; linear classifiers are fitted out-of-core on larger features. None: half of what
        the machine has.
    path_column, label_column : str or None
        As in `ExtractRequest`.
    select : str or None
        The cross-validated figure by which C, the number of neighbours and the best row are chosen. None: log-loss for
        C of logistic regression, accuracy for all else.
    positive : str or None
        Of two classes the one that sensitivity, specificity and average precision are of; None: the second one.
    class_weight : str or mapping of str to float
        What errors on classes cost in training: "none", "balanced" (all classes together the same), or weights by name,
        also as text, "NAME=W,NAME=W"; a class that is not named has 1.
    nested : int or None
        Outer folds of nested cross-validation: every image is judged by a model that never saw its fold, and all
        choices are made anew inside. None: one held-out part.
    repeats : int
        How often nested cross-validation is done, with seeds `seed`, `seed + 1` and so on.
    shots : sequence of int
        Numbers of labelled images of each class with which every layer and classifier is trained, too; rising once a
        request is made. Empty: only with all of them.
    draws : int or None
        How often these are drawn, with seeds `seed`, `seed + 1` and so on. None: `DRAWS` times.
    device : str
        Where linear classifiers on many rows are solved: "cpu", "cuda" or one card ("cuda:1"), or "auto", on a GPU only
        where that takes less time.
    exclude : pathlib.Path or None
        As in `ExtractRequest`.
    runner : {"local", "ray"}
        Who trains: this machine, or the nodes of a Ray cluster: for `compare` a layer set each, for `fit` the
        classifier, the one on all images (`whole`), or an outer fold.
    """

    data: str
    base: BaseChoice
    layers: Sequence[str] = ()
    classifiers: Sequence[str] = ()
    poolings: Sequence[str] = ()
    seed: Seed = 42
    rehash: bool = False
    cache: CachePath = field(default_factory=default_cache)
    store_dtype: StoredDtype | None = None
    refit: bool = False
    views: Count = 1
    test_views: Count = 1
    beside: Sequence[BaseChoice] = ()
    memory: Count | None = None
    path_column: str | None = None
    label_column: str | None = None
    select: SelectedFigure | None = None
    positive: str | None = None
    class_weight: ClassWeight = "none"
    nested: FoldCount | None = None
    repeats: Count = 1
    shots: Sequence[int] = ()
    draws: Count | None = None
    device: str = "auto"
    exclude: Path | None = None
    runner: RunnerName = "local"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "shots", tuple(sorted(self.shots)))
        object.__setattr__(self, "class_weight", format_class_weight(self.class_weight))

    def contradictions(self) -> list[str]:
        """Report views, class weights, repeats and seeds that make no sense together."""
        problems = [*super().contradictions(), *check_class_weight(self.class_weight)]
        if "," in self.device or self.device.split(":")[0] not in SOLVER_DEVICES:
            problems.append(f"'device' is '{self.device}': choose auto, cpu or cuda")
        if self.test_views > self.views:
            problems.append(
                f"'test_views' is {self.test_views}, but 'views' is {self.views}: "
                "only views that are trained on can be averaged"
            )
        if self.repeats > 1 and self.nested is None:
            problems.append(
                f"'repeats' is {self.repeats}, but one held-out part is read once: add --nested (nested=5 in Python)"
            )
        if self.seed + self.repeats - 1 > GREATEST_SEED:
            problems.append(f"'seed' plus 'repeats' goes beyond the greatest seed, {GREATEST_SEED}")
        return [*problems, *self.check_shots()]

    def check_shots(self) -> list[str]:
        """Report numbers of labelled images, and of draws, that make no sense."""
        if not self.shots:
            if self.draws is None:
                return []
            return [
                f"'draws' is {self.draws}, but no labelled images are drawn: add --shots 1,2,5 "
                "(shots=[1, 2, 5] in Python)"
            ]
        problems = []
        if self.nested is not None:
            problems.append(
                "'shots' and 'nested' do not go together, since few labels are judged on one held-out part: "
                "leave one of them out"
            )
        for shots in dict.fromkeys(self.shots):
            if shots < 1:
                problems.append(f"'shots' has {shots}: one labelled image of each class is the least")
            elif self.shots.count(shots) > 1:
                problems.append(f"'shots' has {shots} more than once")
        if self.seed + self.count_draws() - 1 > GREATEST_SEED:
            problems.append(f"'seed' plus 'draws' goes beyond the greatest seed, {GREATEST_SEED}")
        return problems

    def count_draws(self) -> int:
        """Say how often labelled images are drawn."""
        return DRAWS if self.draws is None else self.draws

    def held_out(self) -> CompareRequest:
        """Give the same request for one held-out part and all labels: no nested cross-validation, no few labels."""
        return replace(self, nested=None, repeats=1, shots=(), draws=None)

    def others(self) -> list[CompareRequest]:
        """Write the requests for the other bases of a table: every layer of each, whatever is asked of the first."""
        return [replace(self, base=base, layers=(), poolings=(), beside=()) for base in self.beside]

    def command(self, verb: str = "compare", *further: str) -> str:
        """Write a command on the same data set and bases, which finds the same features and the same split.

        Parameters
        ----------
        verb : str
            Name of the command.
        further : str
            Words that follow.
        """
        # A name that begins with a dash would be read as an option.
        data = f"./{self.data}" if self.data.startswith("-") else self.data
        words = ["featx", verb, data, *column_flags(self.path_column, self.label_column), *self.group_flags()]
        words += self.base.flags()
        words += repeat_flag("--base", [base.name for base in self.beside])
        for flag, name in (("--seed", "seed"), ("--class-weight", "class_weight")):
            value = getattr(self, name)
            if value != getattr(CompareRequest, name):
                words += [flag, str(value)]
        for flag, value in (("--select", self.select), ("--positive", self.positive)):
            if value is not None:
                words += [flag, value]
        words += further
        if self.cache != default_cache():
            words += ["--cache", str(self.cache)]
        return shlex.join(words)

    def extraction(self, layers: Sequence[str], poolings: Sequence[str]) -> ExtractRequest:
        """Build the request that computes what this one needs."""
        return ExtractRequest(
            self.data,
            self.base,
            layers,
            poolings or ("avg",),
            cache=self.cache,
            store_dtype=self.store_dtype or "float32",
            views=self.views,
            path_column=self.path_column,
            label_column=self.label_column,
            exclude=self.exclude,
        )


@dataclass(frozen=True)
class ExportRequest(CheckedFields):
    """Export: one key's features of a data set as one ordinary HDF5 file.

    Attributes
    ----------
    features : CompareRequest
        Data set, base, one layer and at most one pooling.
    out : pathlib.Path
        The file to be written.
    """

    features: CompareRequest
    out: Path
