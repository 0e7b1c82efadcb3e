"""What a user asks for: one dataclass a request, filled from flags, from keywords or from TOML.

The annotations of the fields say what is allowed; see `featx.fields`.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from featx.base_choice import BaseChoice, Count, GroupChoice
from featx.fields import WRITTEN, CheckedFields
from featx.keys import StoredDtype
from featx.paths import expand_home

EngineName = Literal["auto", "torch", "compile", "openvino", "eager"]
HeadKind = Literal["linear", "mlp"]
AugmentPreset = Literal["none", "light", "standard"]
ScoredPart = Literal["auto", "train", "val", "test", "all"]
SelectedFigure = Literal["accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "log_loss", "average_precision"]
KeepRule = Literal["proven", "best"]

Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""What numpy and scikit-learn take as a seed."""

Names = Annotated[Sequence[str], Meta(min_length=1)]
"""Names, one at least."""


def default_cache() -> Path:
    """Return `$FEATX_CACHE`, else `./cache`."""
    return Path(expand_home(os.environ.get("FEATX_CACHE") or "cache"))


def repeat_flag(flag: str, values: Sequence[str]) -> list[str]:
    """Write a flag once before each of its values."""
    words = []
    for value in values:
        words += [flag, value]
    return words


def column_flags(path_column: str | None, label_column: str | None) -> list[str]:
    """Write the columns of a table that were chosen as command-line flags."""
    flags = []
    for flag, column in (("--path-column", path_column), ("--label-column", label_column)):
        if column is not None:
            flags += [flag, column]
    return flags


@dataclass(frozen=True)
class ExtractRequest(CheckedFields):
    """Extraction: the features of these images at these layers.

    Attributes
    ----------
    data : str
        A folder, a CSV or JSON Lines file, or the name of a built-in data set.
    layers, poolings : sequences of str
        Every layer with every pooling, all in one forward pass.
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps"; several with commas between them; or "all" GPUs.
    batch_size, workers : int or None
        Images in a forward pass, and threads that decode; None chooses.
    shard : tuple of (i, n) or None
        Only the i-th of n disjoint shares of the images, counted from 1.
    rehash : bool
        Read every file, also those that look unchanged.
    store_dtype : {"float32", "float16"}
        How features are stored, part of their key.
    engine : {"auto", "torch", "compile", "openvino", "eager"}
        What computes.
    views : int
        How many views of each image: 1 is the image as it is, further ones are augmentations of it.
    path_column, label_column : str or None
        Columns of a CSV or JSON Lines file; None finds them by their names.
    strict : bool
        Whether files in class folders that are not pictures count as images that failed; else they are passed over.
    """

    data: str
    base: BaseChoice
    layers: Names
    poolings: Names = ("avg",)
    device: str = "auto"
    batch_size: Count | None = None
    workers: Count | None = None
    shard: tuple[int, int] | None = None
    rehash: bool = False
    cache: Path = field(default_factory=default_cache)
    store_dtype: StoredDtype = "float32"
    engine: EngineName = "auto"
    views: Count = 1
    path_column: str | None = None
    label_column: str | None = None
    strict: bool = False

    def contradictions(self) -> list[str]:
        """Report a shard number outside 1 to n."""
        if self.shard is None:
            return []
        share, shares = self.shard
        if 1 <= share <= shares:
            return []
        return [f"'shard' ({share}, {shares}) must be a share from 1 to the number of shares, such as (2, 8)"]

    def command(self) -> str:
        """Write the request as the command that computes the same features.

        Every choice that is part of a feature's identity is repeated. What only says how to compute them is left out,
        since another machine may carry the command out.
        """
        # A name that begins with a dash would be read as an option.
        data = f"./{self.data}" if self.data.startswith("-") else self.data
        words = ["featx", "extract", data, *column_flags(self.path_column, self.label_column)]
        words += [*self.base.flags(), *repeat_flag("--layer", self.layers)]
        if tuple(self.poolings) != ("avg",):
            words += repeat_flag("--pooling", self.poolings)
        if self.store_dtype != "float32":
            words += ["--store-dtype", self.store_dtype]
        if self.views != 1:
            words += ["--views", str(self.views)]
        # Compared now, not when the request was made: the command runs in today's environment.
        if self.cache != default_cache():
            words += ["--cache", str(self.cache)]
        return shlex.join(words)


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
    """

    data: str
    base: BaseChoice
    layers: Sequence[str] = ()
    classifiers: Sequence[str] = ()
    poolings: Sequence[str] = ()
    seed: Seed = 42
    rehash: bool = False
    cache: Path = field(default_factory=default_cache)
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

    def contradictions(self) -> list[str]:
        """Report more test views than training views."""
        problems = super().contradictions()
        if self.test_views > self.views:
            problems.append(
                f"'test_views' is {self.test_views}, but 'views' is {self.views}: "
                "only views that are trained on can be averaged"
            )
        return problems

    def others(self) -> list[CompareRequest]:
        """Write the requests for the other bases of a table: every layer of each, whatever is asked of the first."""
        return [replace(self, base=base, layers=(), poolings=(), beside=()) for base in self.beside]

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
        )


@dataclass(frozen=True)
class FinetuneRequest(GroupChoice):
    """Fine-tuning: a head is trained on the frozen base, then the stages from one on with it.

    Attributes
    ----------
    start : str or int
        The first stage that is unfrozen (`--from`), by name or alias, or how many stages counted from the end.
    out : pathlib.Path
        The model; its name ends in `.featx`.
    head : {"linear", "mlp"}
        "linear" is solved as `fit` solves it, "mlp" is trained by gradients.
    hidden : int
        Width of the fully connected layer of "mlp".
    dropout : float
        Share of the last layer's inputs that is left out in each step.
    augment : {"none", "light", "standard"}
        How images are changed in each epoch of fine-tuning; see `PRESETS`.
    views : int
        Views of each training image that the head is trained on and, with `from_cache`, the unfrozen stages, too.
    test_views : int
        Views of each test image whose scores are averaged.
    from_cache : bool
        Whether epochs run on cached activations at the cut instead of images.
    epochs_head, epochs : int
        Maximum epochs of the two phases.
    patience : int
        Epochs without improvement that end a phase.
    lr_head, lr : float
        Peak learning rate of each phase.
    lr_decay : float
        From the head down, each stage has `lr_decay` times the learning rate of the one above.
    whole : bool
        Whether, once validation has chosen the epochs, both phases are run again on the whole training part.
    keep : {"proven", "best"}
        "proven": the frozen base is kept unless the best epoch beats it on the validation part beyond chance; "best":
        the best epoch, by whatever margin.
    thaw_batchnorm : bool
        Whether running statistics of BatchNorm change in the stages that are unfrozen.
    path_column, label_column : str or None
        As in `ExtractRequest`.
    """

    data: str
    base: BaseChoice
    start: str | int = field(metadata={WRITTEN: "from"})
    out: Path
    head: HeadKind = "linear"
    hidden: Count = 256
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    augment: AugmentPreset = "light"
    views: Count = 6
    test_views: Count = 1
    from_cache: bool = False
    epochs_head: Annotated[int, Meta(ge=0)] = 40
    epochs: Annotated[int, Meta(ge=0)] = 20
    patience: Count = 6
    lr_head: Annotated[float, Meta(gt=0)] = 1e-3
    lr: Annotated[float, Meta(gt=0)] = 1e-4
    lr_decay: Annotated[float, Meta(gt=0, le=1)] = 0.9
    whole: bool = False
    keep: KeepRule = "proven"
    thaw_batchnorm: bool = False
    batch_size: Count = 32
    seed: Seed = 42
    device: str = "auto"
    workers: Count | None = None
    rehash: bool = False
    cache: Path = field(default_factory=default_cache)
    path_column: str | None = None
    label_column: str | None = None

    def contradictions(self) -> list[str]:
        """Report a model name without .featx, and a precision that cannot be trained."""
        problems = super().contradictions()
        if self.out.suffix != ".featx":
            problems.append(f"the model '{self.out}' must end in .featx, so that --weights can name it")
        if self.base.precision != "float32":
            problems.append(f"precision {self.base.precision} is for extraction only: train in float32")
        return problems

    def extraction(self, layer: str, pooling: str) -> ExtractRequest:
        """Build the request that computes the features of one layer which this one needs."""
        return ExtractRequest(
            self.data,
            self.base,
            [layer],
            [pooling],
            device=self.device,
            workers=self.workers,
            rehash=self.rehash,
            cache=self.cache,
            views=max(self.views, self.test_views),
            path_column=self.path_column,
            label_column=self.label_column,
        )


@dataclass(frozen=True)
class PredictRequest(CheckedFields):
    """Prediction: labels of new images from a model.

    Attributes
    ----------
    model : str, pathlib.Path or Model
        A file that `featx fit --out` wrote, or a model in hand.
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
    """

    model: Any
    images: Sequence[Any]
    weights: str | None = None
    device: str = "auto"
    batch_size: Count | None = None
    workers: Count | None = None
    base: str | None = None
    path_column: str | None = None
    yes: bool = False


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
    batch_size: Count | None = None
    workers: Count | None = None
    base: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    yes: bool = False


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
