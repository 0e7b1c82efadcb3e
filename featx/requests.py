"""What a user asks for: one dataclass a request, filled from flags or from TOML."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path


def default_cache() -> Path:
    """Return `$FEATX_CACHE`, else `./cache`."""
    return Path(os.environ.get("FEATX_CACHE") or "cache")


def half_the_memory() -> int:
    """Half of this machine's memory in bytes; 8 GB where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return 8 * 10**9


@dataclass(frozen=True)
class BaseChoice:
    """Which base, in the user's words.

    Attributes
    ----------
    name : str
        Name in `BASES`.
    weights : str or None
        A torchvision weights name, a path or "random"; None is the base's own default in stage one, and whatever the
        cache holds in stage two.
    resize, crop : int or None
        Pixels, instead of the base's own input transform.
    precision : str
        "float32" or "bfloat16".
    """

    name: str
    weights: str | None = None
    resize: int | None = None
    crop: int | None = None
    precision: str = "float32"

    def flags(self) -> list[str]:
        """Write the choice as command-line flags, leaving out what is the default."""
        flags = ["--base", self.name]
        for flag, value in (("--weights", self.weights), ("--resize", self.resize), ("--crop", self.crop)):
            if value is not None:
                flags += [flag, str(value)]
        return flags + (["--precision", self.precision] if self.precision != "float32" else [])


@dataclass(frozen=True)
class ExtractRequest:
    """Stage one: features of these images at these layers.

    Attributes
    ----------
    data : str
        A folder, a CSV file or the name of a built-in data set.
    layers, poolings : sequences of str
        Every layer with every pooling, all in one pass.
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps"; for extraction also several with commas, or "all" GPUs.
    batch_size, workers : int or None
        Images a forward pass, and threads that decode; None chooses.
    store_dtype : str
        "float32" or "float16": how features are stored, part of their key.
    engine : str
        What computes: "auto", "torch", "openvino" or "eager".
    shard : tuple of (i, n) or None
        Only the i-th of n disjoint shares of the images, counted from 1.
    rehash : bool
        Read every file, also those that look unchanged.
    views : int
        How many views of each image: 1 is the image as it is, further ones are augmentations of it.
    """

    data: str
    base: BaseChoice
    layers: Sequence[str]
    poolings: Sequence[str] = ("avg",)
    device: str = "auto"
    batch_size: int | None = None
    workers: int | None = None
    shard: tuple[int, int] | None = None
    rehash: bool = False
    cache: Path = field(default_factory=default_cache)
    store_dtype: str = "float32"
    engine: str = "auto"
    views: int = 1

    def command(self) -> str:
        """Write the request as the command that carries it out."""
        words = ["featx", "extract", self.data, *self.base.flags()]
        words += [word for layer in self.layers for word in ("--layer", layer)]
        if tuple(self.poolings) != ("avg",):
            words += [word for pooling in self.poolings for word in ("--pooling", pooling)]
        words += ["--store-dtype", self.store_dtype] if self.store_dtype != "float32" else []
        words += ["--views", str(self.views)] if self.views != 1 else []
        if self.cache != default_cache():
            words += ["--cache", str(self.cache)]
        return shlex.join(words)


@dataclass(frozen=True)
class CompareRequest:
    """Stage two: judge classifiers on cached layers.

    Attributes
    ----------
    layers : sequence of str
        Names joined by "+" are a mix of layers. Empty: every layer that is cached.
    classifiers : sequence of str
        Names in `CLASSIFIERS`; empty: all.
    poolings : sequence of str
        Empty: every pooling that is cached.
    seed : int
        Of the split, the folds and the classifiers.
    store_dtype : str or None
        "float32" or "float16"; None is whatever is cached, float32 where both are.
    refit : bool
        Fit again what earlier runs left a result of.
    views : int
        Views of each training image that are trained on.
    test_views : int
        Views of each judged image whose scores are averaged; at most `views`.
    memory : int or None
        Bytes that fitting may take, linear classifiers going through larger features in passes; None: half of what the
        machine has.
    beside : sequence of BaseChoice
        Other bases for the same table, each with every layer that is cached.
    """

    data: str
    base: BaseChoice
    layers: Sequence[str] = ()
    classifiers: Sequence[str] = ()
    poolings: Sequence[str] = ()
    seed: int = 42
    rehash: bool = False
    cache: Path = field(default_factory=default_cache)
    store_dtype: str | None = None
    refit: bool = False
    views: int = 1
    test_views: int = 1
    beside: Sequence[BaseChoice] = ()
    memory: int | None = None

    def others(self) -> list[CompareRequest]:
        """Write the requests for the other bases of a table: every layer of each, whatever is asked of the first."""
        return [replace(self, base=base, layers=(), poolings=(), beside=()) for base in self.beside]

    def extraction(self, layers: Sequence[str], poolings: Sequence[str]) -> ExtractRequest:
        """Build the request that computes what this one needs."""
        dtype = self.store_dtype or "float32"
        return ExtractRequest(
            self.data, self.base, layers, poolings or ("avg",), cache=self.cache, store_dtype=dtype, views=self.views
        )


@dataclass(frozen=True)
class FinetuneRequest:
    """Train a head on a frozen base, then the stages from one on.

    Attributes
    ----------
    start : str
        The first stage that is unfrozen (`--from`), by name or alias, or how many stages counted from the end.
    out : pathlib.Path
        The model; its name ends in `.featx`.
    head : str
        "linear", which is solved as `fit` solves it, or "mlp", which is trained by gradients.
    hidden : int
        Width of the fully connected layer of "mlp".
    dropout : float
        Share of the last layer's inputs that is left out in each step.
    augment : str
        Name in `PRESETS`: how images are changed in each epoch of fine-tuning.
    views : int
        Views of each training image that the head is trained on and, with `from_cache`, the suffix, too.
    test_views : int
        Views of each judged image whose scores are averaged.
    from_cache : bool
        Whether epochs run on cached activations at the cut instead of images.
    epochs_head, epochs, patience : int
        Epochs of the two phases at most, and those without improvement that end a phase.
    lr_head, lr, lr_decay : float
        Greatest learning rate of each phase; from the head down, each stage has `lr_decay` times that of the one above.
    whole : bool
        Whether, once validation has chosen the epochs, both phases are run again on the whole training part.
    keep : str
        "proven": the frozen base is kept unless the best epoch beats it on the validation part beyond chance; "best":
        the best epoch, by whatever margin.
    thaw_batchnorm : bool
        Whether running statistics of BatchNorm change in the stages that are unfrozen.
    """

    data: str
    base: BaseChoice
    start: str
    out: Path
    head: str = "linear"
    hidden: int = 256
    dropout: float = 0.5
    augment: str = "light"
    views: int = 6
    test_views: int = 1
    from_cache: bool = False
    epochs_head: int = 40
    epochs: int = 20
    patience: int = 6
    lr_head: float = 1e-3
    lr: float = 1e-4
    lr_decay: float = 0.9
    whole: bool = False
    keep: str = "proven"
    thaw_batchnorm: bool = False
    batch_size: int = 32
    seed: int = 42
    device: str = "auto"
    workers: int | None = None
    rehash: bool = False
    cache: Path = field(default_factory=default_cache)

    def extraction(self, layer: str, pooling: str) -> ExtractRequest:
        """Build the request that computes the features of one layer which this one needs."""
        views = max(self.views, self.test_views)
        machine = {"device": self.device, "workers": self.workers, "rehash": self.rehash}
        return ExtractRequest(
            self.data,
            self.base,
            [layer],
            [pooling],
            cache=self.cache,
            views=views,
            **machine,  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class PredictRequest:
    """Label new images with a model.

    Attributes
    ----------
    model : str or pathlib.Path
        A file that `featx fit --out` wrote.
    images : sequence of str
        Files, and folders that are searched through and through.
    weights : str or None
        As for a base; None: those that the model names.
    device, batch_size, workers
        As in `ExtractRequest`.
    base : str or None
        The Python file that the model's base is, if it is one: a file runs only where it is named. Else needless.
    """

    model: str | Path
    images: Sequence[str]
    weights: str | None = None
    device: str = "auto"
    batch_size: int | None = None
    workers: int | None = None
    base: str | None = None


@dataclass(frozen=True)
class ExportRequest:
    """One key's features of a data set as one ordinary HDF5 file.

    Attributes
    ----------
    features : CompareRequest
        Data set, base, one layer and at most one pooling.
    out : pathlib.Path
        The file to be written.
    """

    features: CompareRequest
    out: Path
