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

from featx.errors import RequestError
from featx.fields import WRITTEN, CheckedFields
from featx.keys import Precision, StoredDtype, ValueRange, format_value_range, parse_value_range

EngineName = Literal["auto", "torch", "compile", "openvino", "eager"]
HeadKind = Literal["linear", "mlp"]
AugmentPreset = Literal["none", "light", "standard"]
KeepRule = Literal["proven", "best"]

Count = Annotated[int, Meta(ge=1)]
"""How many there are of something, one at least."""

Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""What numpy and scikit-learn take as a seed."""

Names = Annotated[Sequence[str], Meta(min_length=1)]
"""Names, one at least."""


def default_cache() -> Path:
    """Return `$FEATX_CACHE`, else `./cache`."""
    return Path(os.environ.get("FEATX_CACHE") or "cache")


FALLBACK_MEMORY = 8 * 10**9
"""Bytes to work with where a system does not say how much memory it has: half of what laptops have today."""


def half_the_memory() -> int:
    """Return half of this machine's memory in bytes, or `FALLBACK_MEMORY`."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return FALLBACK_MEMORY


def repeat_flag(flag: str, values: Sequence[str]) -> list[str]:
    """Write a flag once before each of its values."""
    words = []
    for value in values:
        words += [flag, value]
    return words


@dataclass(frozen=True)
class BaseChoice(CheckedFields):
    """Which base, in the user's words.

    Attributes
    ----------
    name : str
        Name in `BASES`, a Python file, or `timm:` and the name of a network of timm.
    weights : str or None
        A torchvision weights name, a path or "random"; None is the base's own default in extraction, and whatever the
        cache holds in evaluation.
    resize, crop : int or None
        Pixels, instead of the base's own input transform.
    precision : {"float32", "bfloat16"}
        Arithmetic of the forward pass.
    value_range : str, pair of numbers or None
        Values that mean black and white in pictures of more than 8 bits, as "LOW:HIGH" or (LOW, HIGH); "LOW:HIGH" once
        the choice is made. None: 0 to 1 in floating-point pictures, in others what the format or the file states.
    """

    name: str = field(metadata={WRITTEN: "base"})
    weights: str | None = None
    resize: Count | None = None
    crop: Count | None = None
    precision: Precision = "float32"
    value_range: str | tuple[float, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.value_range is not None:
            # One way to write it, so that equal choices are equal.
            object.__setattr__(self, "value_range", format_value_range(*parse_value_range(self.value_range)))

    def contradictions(self) -> list[str]:
        """Say that a value range is not one."""
        try:
            self.black_and_white()
        except RequestError as error:
            return [str(error)]
        return []

    def black_and_white(self) -> ValueRange | None:
        """Give the value range as numbers."""
        return None if self.value_range is None else parse_value_range(self.value_range)

    def flags(self) -> list[str]:
        """Write the choice as command-line flags, leaving out what is the default."""
        flags = ["--base", self.name]
        for flag, value in (("--weights", self.weights), ("--resize", self.resize), ("--crop", self.crop)):
            if value is not None:
                flags += [flag, str(value)]
        if self.precision != "float32":
            flags += ["--precision", self.precision]
        if self.value_range is not None:
            flags += ["--value-range", str(self.value_range)]
        return flags


@dataclass(frozen=True)
class ExtractRequest(CheckedFields):
    """Extraction: the features of these images at these layers.

    Attributes
    ----------
    data : str
        A folder, a CSV file or the name of a built-in data set.
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

    def contradictions(self) -> list[str]:
        """Say that a share is not among those that there are."""
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
        words = ["featx", "extract", self.data, *self.base.flags(), *repeat_flag("--layer", self.layers)]
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
class CompareRequest(CheckedFields):
    """Evaluation: classifiers trained on cached layers, and scored on the held-out part.

    Attributes
    ----------
    layers : sequence of str
        Names joined by "+" are a layer set, whose features are concatenated. Empty: every layer that is cached.
    classifiers : sequence of str
        Names in `CLASSIFIERS`; empty: all.
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

    def contradictions(self) -> list[str]:
        """Say that views are asked for in testing that nothing is trained on."""
        if self.test_views <= self.views:
            return []
        return [
            f"'test_views' is {self.test_views}, but 'views' is {self.views}: "
            "only views that are trained on can be averaged"
        ]

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
        )


@dataclass(frozen=True)
class FinetuneRequest(CheckedFields):
    """Fine-tuning: a head is trained on the frozen base, then the stages from one on with it.

    Attributes
    ----------
    start : str
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
    """

    data: str
    base: BaseChoice
    start: str = field(metadata={WRITTEN: "from"})
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

    def contradictions(self) -> list[str]:
        """Say that the model could not be named as weights, or the base not be trained."""
        problems = []
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
        )


@dataclass(frozen=True)
class PredictRequest(CheckedFields):
    """Prediction: labels of new images from a model.

    Attributes
    ----------
    model : str, pathlib.Path or Model
        A file that `featx fit --out` wrote, or a model in hand.
    images : sequence
        Paths of files, and of folders that are searched through and through; from Python also pictures in memory.
    weights : str or None
        As for a base; None: those that the model names.
    device, batch_size, workers
        As in `ExtractRequest`.
    base : str or None
        The Python file that defines the base of the model, if one does: a file runs only where it is named.
    """

    model: Any
    images: Sequence[Any]
    weights: str | None = None
    device: str = "auto"
    batch_size: Count | None = None
    workers: Count | None = None
    base: str | None = None


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
