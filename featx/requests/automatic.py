"""The request for the whole job in one command: extraction, choice, honest estimate and model, within a budget."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from featx.base_choice import BaseChoice, Count, GroupChoice, ThreadCount
from featx.errors import RequestError
from featx.fields import check_class_weight, format_class_weight
from featx.requests.evaluation import CompareRequest, choose_solver_device
from featx.requests.extraction import ExtractRequest
from featx.requests.values import ClassWeight, Seed, SelectedFigure, default_cache
from featx.storage.paths import CachePath

DURATION = re.compile(r"([0-9]*\.?[0-9]+)\s*([smh])")
"""A time in small letters: a number and a unit."""

DURATION_UNITS = {"s": 1, "m": 60, "h": 3600}
"""Seconds by unit."""

DEFAULT_BUDGET = 600.0
"""Seconds that the search may take where nothing is said: a coffee."""

MOST_SECONDS = 1e7
"""The longest budget, about four months: more is a slip of the pen."""


def parse_duration(value: str | float) -> float:
    """Read a time such as "90s", "10m" or "1h", or a number of seconds.

    Raises
    ------
    RequestError
        If it is neither, not positive, or longer than months.
    """
    if isinstance(value, str):
        match = DURATION.fullmatch(value.strip().lower())
        if not match:
            raise RequestError(f"'budget' is '{value}': write 90s, 10m or 1h")
        number, unit = match.groups()
        seconds = float(number) * DURATION_UNITS[unit]
    else:
        seconds = float(value)
    if not math.isfinite(seconds) or not 0 < seconds <= MOST_SECONDS:
        raise RequestError(f"'budget' is {value!r}: write a time from 1s to 2000h, such as 90s, 10m or 1h")
    return seconds


@dataclass(frozen=True)
class AutoRequest(GroupChoice):
    """The best classifier that a budget of time finds.

    Attributes
    ----------
    data : str
        As in `ExtractRequest`.
    bases : sequence of BaseChoice
        Networks to choose among.
    budget : str or float
        Time that the search may take, such as "90s", "10m" or "1h", or seconds; a number once the request is made. The
        first base's cheapest step and the final fit are done whatever it is.
    out : pathlib.Path or None
        The model file to be written.
    whole : bool
        Whether the model is trained on all images in the end, the held-out ones among them.
    with_base : bool
        Whether the model holds the weights of its base.
    seed : int
        Of the split, the folds and the classifiers.
    device, workers, rehash, path_column, label_column, exclude
        As in `ExtractRequest`.
    select, positive, class_weight, memory
        As in `CompareRequest`.
    """

    data: str
    bases: Annotated[Sequence[BaseChoice], Meta(min_length=1)]
    budget: str | float = DEFAULT_BUDGET
    out: Path | None = None
    whole: bool = False
    with_base: bool = False
    seed: Seed = 42
    device: str = "auto"
    workers: ThreadCount | None = None
    rehash: bool = False
    cache: CachePath = field(default_factory=default_cache)
    memory: Count | None = None
    path_column: str | None = None
    label_column: str | None = None
    select: SelectedFigure | None = None
    positive: str | None = None
    class_weight: ClassWeight = "none"
    exclude: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "class_weight", format_class_weight(self.class_weight))
        object.__setattr__(self, "budget", parse_duration(self.budget))

    def contradictions(self) -> list[str]:
        """Report a budget that is not a time, the same base twice, and class weights that make no sense."""
        problems = [*super().contradictions(), *check_class_weight(self.class_weight)]
        try:
            parse_duration(self.budget)
        except RequestError as error:
            problems.append(str(error))
        if len(set(self.bases)) < len(self.bases):
            problems.append("'bases' names the same base twice: name each once")
        return problems

    @property
    def seconds(self) -> float:
        """The budget in seconds."""
        return float(self.budget)

    def extraction(
        self, base: BaseChoice, layers: Sequence[str], poolings: Sequence[str], views: int
    ) -> ExtractRequest:
        """Build the request that computes features of one base."""
        return ExtractRequest(
            self.data,
            base,
            layers,
            poolings,
            device=self.device,
            workers=self.workers,
            rehash=self.rehash,
            cache=self.cache,
            views=views,
            path_column=self.path_column,
            label_column=self.label_column,
            exclude=self.exclude,
        )

    def comparison(
        self,
        base: BaseChoice,
        layers: Sequence[str],
        poolings: Sequence[str],
        views: int,
        classifiers: Sequence[str] = (),
    ) -> CompareRequest:
        """Build the request that evaluates features of one base: `views` views in training and in testing."""
        return CompareRequest(
            self.data,
            base,
            layers,
            classifiers,
            poolings,
            seed=self.seed,
            cache=self.cache,
            store_dtype="float32",
            views=views,
            test_views=views,
            memory=self.memory,
            path_column=self.path_column,
            label_column=self.label_column,
            select=self.select,
            positive=self.positive,
            class_weight=self.class_weight,
            device=choose_solver_device(self.device),
            exclude=self.exclude,
            **self.group_fields(),
        )
