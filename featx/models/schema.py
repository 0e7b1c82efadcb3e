"""What must hold of a model file before it is used; a file may come from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from featx.errors import ModelError, shorten
from featx.keys import BASE_TENSOR_PREFIX, DecodeMode, Precision, StoredDtype
from featx.models.array_classifier import Arrays
from featx.models.prediction_sets import MOST_ERRORS
from featx.models.prediction_sets import NAME as SETS_NAME
from featx.models.strangeness import COLUMNS as MOST_COMPONENTS
from featx.models.strangeness import LANDMARKS as MOST_LANDMARKS
from featx.models.strangeness import PREFIX as KNOWN_PREFIX
from featx.models.strangeness import SHARES

MODEL_FORMAT = "featx-model"
MODEL_VERSION = 2
"""Version of what the file says and how it is to be read; others are refused."""

MOST_NEIGHBOURS = 1000
"""More neighbours are not asked for their votes, which would take long."""

# A transform of more pixels would take all memory with the first image.
PictureSide = Annotated[int, Meta(ge=1, le=2**13)]
Views = Annotated[int, Meta(ge=1, le=1000)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Number = int | float  # whole numbers stay whole, so that a loaded model is saved as the same bytes
Setting = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | float
ClassName = Annotated[str, Meta(max_length=4096)]

MOST_PIXELS = 2**23
"""Pixels of all views of one image: 25 MB, of which each thread holds a slice of images."""

LARGEST = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).tiny)
"""What a base computes in float32: numbers beyond are not those of any feature, deviation or weight."""

MOST_DEPTH = 16
"""Lists and objects within one another; what this featx writes has four."""

# No name may lead out of a folder; those of architectures may also be timm:NAME and FILE.py@DIGEST. A Python file has
# its digest, so that none runs but the one that the user names.
PLAIN_NAME = r"\A(?!.*\.\.)[A-Za-z0-9_.+-]{1,200}\Z"
ARCHITECTURE = (
    r"\A(?!.*\.\.)(?:(?:timm:)?(?![\w.+-]*\.[Pp][Yy]\Z)[A-Za-z0-9_.+-]{1,200}|[\w.+:@ ()-]{1,200}\.py@[0-9a-f]{12})\Z"
)
SHA256 = r"\A[0-9a-f]{64}\Z"
PHRASES = {
    repr(PLAIN_NAME): "a plain name",
    repr(ARCHITECTURE): "a name of an architecture",
    repr(SHA256): "64 hex digits",
}
"""Pattern as msgspec's messages quote it: what it asks for, in words."""

Shaped = tuple[str, tuple[int, ...]]
"""What the header of a safetensors file says of an array: dtype, such as "F64", and shape."""


class TransformFacts(Struct, frozen=True, forbid_unknown_fields=True):
    """An `InputTransform`, as a model file names it."""

    resize: PictureSide
    crop: PictureSide
    interpolation: Literal["nearest", "bilinear", "bicubic"]
    mean: tuple[Number, Number, Number]
    std: tuple[Number, Number, Number]
    value_range: tuple[Number, Number] | None = None
    decode: DecodeMode = "exact"

    def __post_init__(self) -> None:
        """Compare the fields with each other."""
        if self.crop > self.resize:
            raise ValueError(f"crops {self.crop} of {self.resize} pixels")
        if not all(abs(number) <= LARGEST for number in (*self.mean, *self.std)):
            raise ValueError("its mean or std is not finite")
        if self.value_range and not -LARGEST <= self.value_range[0] < self.value_range[1] <= LARGEST:
            raise ValueError("its value range is not one")
        if min(self.std) < SMALLEST:
            raise ValueError(f"its std {list(self.std)} is not positive")


class BaseFacts(Struct, frozen=True, forbid_unknown_fields=True):
    """A `BaseId`, as a model file names it."""

    architecture: Annotated[str, Meta(pattern=ARCHITECTURE)]
    weights: Annotated[str, Meta(pattern=SHA256)]
    transform: TransformFacts
    precision: Precision
    recipe: Annotated[int, Meta(ge=0, le=10**6)]


class LayerFacts(Struct, frozen=True):
    """A `FeatureKey` without its base, as a model file names it."""

    layer: Annotated[str, Meta(pattern=PLAIN_NAME)]
    pooling: Annotated[str, Meta(pattern=PLAIN_NAME)]
    dtype: StoredDtype


class ScoreFacts(Struct, frozen=True):
    """What `score` reads of the evaluation that a model file holds; the rest of it is the user's to read."""

    clf: Annotated[str, Meta(max_length=100)] = ""
    n_train: Count = 0
    n_test: Count = 0
    cv_accuracy: Number = 0.0
    test_accuracy: Number = 0.0
    views: Views = 1

    def __post_init__(self) -> None:
        """Check what types alone cannot say."""
        for accuracy in (self.cv_accuracy, self.test_accuracy):
            # NaN where nothing could be scored, the only number that differs from itself.
            if not (0 <= accuracy <= 1 or accuracy != accuracy):
                raise ValueError("an accuracy is not from 0 to 1")
        if not self.clf.isprintable():
            raise ValueError("its clf is not a line of text")


class ModelFacts(Struct, frozen=True):
    """Everything that a model file says beside its arrays; the names in the file are those of the first version."""

    base: BaseFacts
    layers: Annotated[tuple[LayerFacts, ...], Meta(min_length=1, max_length=100)]
    source: Annotated[str, Meta(max_length=4096)]
    weights: Annotated[str, Meta(max_length=4096)]
    classes: Annotated[tuple[ClassName, ...], Meta(min_length=2, max_length=100_000)]
    kind: Literal["logreg", "svm", "mlp", "knn", "dummy"] = msgspec.field(name="clf")
    inverse_temperature: Annotated[float, Meta(gt=0)] = msgspec.field(name="sharpness")
    params: dict[str, Setting]
    protocol: dict[str, Any]
    scores: dict[str, Any]
    views: Views = 1

    def __post_init__(self) -> None:
        """Check what types alone cannot say."""
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("its classes are not all different names")
        # They are printed: control characters could rewrite what a terminal shows.
        if not (self.source.isprintable() and self.weights.isprintable()):
            raise ValueError("its source or weights is not a line of text")
        if not SMALLEST <= self.inverse_temperature <= LARGEST:
            raise ValueError("its sharpness is not finite")
        pixels = self.views * self.base.transform.crop**2
        if pixels > MOST_PIXELS:
            raise ValueError(f"its {self.views} views of an image are {pixels} pixels, more than {MOST_PIXELS}")
        if not all(is_text(name) for name in self.classes):
            raise ValueError("the name of a class is not text")


def check_facts(facts: Any) -> ModelFacts:
    """Check everything in a model file that is not an array.

    Parameters
    ----------
    facts : Any
        As JSON gave it.

    Raises
    ------
    ModelError
        With the first thing that is wrong.
    """
    if not isinstance(facts, dict) or facts.get("format") != MODEL_FORMAT:
        raise ModelError("it is a safetensors file, but not a featx model")
    if facts.get("version") != MODEL_VERSION:
        raise ModelError(
            f"its version is {facts.get('version')!r}, this featx reads {MODEL_VERSION}: "
            "use the featx that wrote it, or fit anew"
        )
    if is_deeper(facts, MOST_DEPTH):
        raise ModelError(f"its facts are nested more than {MOST_DEPTH} deep")
    try:
        msgspec.convert(facts.get("scores", {}), ScoreFacts)
        return msgspec.convert(facts, ModelFacts)
    except msgspec.ValidationError as error:
        raise ModelError(describe_problem(error)) from error


def is_text(name: str) -> bool:
    """Whether a name can be written: as UTF-8, or as bytes of the name of a folder that are not."""
    try:
        name.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def is_deeper(value: Any, most: int) -> bool:
    """Whether lists and objects of JSON are nested more than so many deep."""
    level = [value]
    for _ in range(most + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        level = inner
    return bool(level)


def describe_problem(error: msgspec.ValidationError) -> str:
    """Say in words what msgspec found, and where: such as "'base.weights' is not 64 hex digits"."""
    problem, _, place = str(error).partition(" - at `$")
    field = place.strip("`.") or "it"
    for pattern, phrase in PHRASES.items():
        if problem.endswith(pattern):
            return f"'{field}' is not {phrase}"
    return f"'{field}': {problem}" if place else problem


def check_arrays(facts: ModelFacts, header: Mapping[str, Shaped]) -> None:
    """Compare what a header says of the arrays with what the facts ask for, before memory is taken for them.

    Tensors of a fine-tuned base need only be float32: the base compares them with its network when it is loaded.

    Raises
    ------
    ModelError
        If an array is missing, foreign, or of another shape or dtype.
    """
    own_names = {name for name in header if not name.startswith(BASE_TENSOR_PREFIX)}
    expected = derive_arrays(facts, header) | derive_known(facts, header) | derive_sets(header)
    if own_names != set(expected):
        raise ModelError(f"its arrays are {shorten(sorted(own_names), 8)}; expected are {shorten(sorted(expected))}")
    for name, (dtype, shape) in header.items():
        expected_dtype, expected_shape = expected.get(name, ("F32", shape))
        if (dtype, shape) != (expected_dtype, expected_shape):
            raise ModelError(
                f"'{name[:80]}' is {dtype} {list(shape[:8])}, expected {expected_dtype} {list(expected_shape[:8])}"
            )


def derive_arrays(facts: ModelFacts, header: Mapping[str, Shaped]) -> dict[str, Shaped]:
    """Work out the dtype and the shape that each array of the classifier must have.

    The header decides on the length of a feature, the width of the hidden layer and the number of neighbours only.
    """
    classes = len(facts.classes)
    d = read_length(header, "mean")
    standardisation = {"mean": ("F64", (d,)), "scale": ("F64", (d,))}
    if facts.kind == "mlp":
        width = read_length(header, "hidden_intercept")
        return {
            **standardisation,
            "hidden_weights": ("F32", (width, d)),
            "hidden_intercept": ("F32", (width,)),
            "weights": ("F32", (classes, width)),
            "intercept": ("F32", (classes,)),
        }
    if facts.kind == "knn":
        return {
            **standardisation,
            "neighbours": ("F32", (read_rows(header, "neighbours"), d)),
            "labels": ("I64", (read_length(header, "labels"),)),
            "k": ("I64", (1,)),
        }
    rows = 1 if classes == 2 else classes
    return {**standardisation, "weights": ("F64", (rows, d)), "intercept": ("F64", (rows,))}


def derive_known(facts: ModelFacts, header: Mapping[str, Shaped]) -> dict[str, Shaped]:
    """Work out the arrays that tell strangers, all of which are there or none.

    The header decides on the number of components, and of pictures that are kept.
    """
    if not any(name.startswith(KNOWN_PREFIX) for name in header):
        return {}
    columns = read_length(header, f"{KNOWN_PREFIX}offset")
    kept = read_rows(header, f"{KNOWN_PREFIX}landmarks")
    if columns > MOST_COMPONENTS or not 1 <= kept <= MOST_LANDMARKS:
        raise ModelError(f"it keeps {kept} pictures of {columns} components, more than are kept, or none")
    return {
        f"{KNOWN_PREFIX}projection": ("F32", (read_length(header, "mean"), columns)),
        f"{KNOWN_PREFIX}offset": ("F32", (columns,)),
        f"{KNOWN_PREFIX}landmarks": ("F32", (kept, columns)),
        f"{KNOWN_PREFIX}weights": ("F32", (kept, len(facts.classes))),
        f"{KNOWN_PREFIX}quantiles": ("F64", (SHARES,)),
    }


def derive_sets(header: Mapping[str, Shaped]) -> dict[str, Shaped]:
    """Work out the array that calibrates sets of classes, if it is there."""
    if SETS_NAME not in header:
        return {}
    length = read_length(header, SETS_NAME)
    if length > MOST_ERRORS:
        raise ModelError(f"'{SETS_NAME}' has {length} numbers, more than the {MOST_ERRORS} that are kept")
    return {SETS_NAME: ("F64", (length,))}


def read_length(header: Mapping[str, Shaped], name: str) -> int:
    """Read the length of a one-dimensional array off the header."""
    if name not in header:
        raise ModelError(f"it lacks the array '{name}'")
    _, shape = header[name]
    if len(shape) != 1 or shape[0] == 0:
        raise ModelError(f"'{name}' has the shape {list(shape[:8])}, expected one positive length")
    return shape[0]


def read_rows(header: Mapping[str, Shaped], name: str) -> int:
    """Read the number of rows of an array off the header; 0 where it has none."""
    _, shape = header.get(name, ("", ()))
    return shape[0] if shape else 0


def check_neighbours(arrays: Arrays, classes: int) -> None:
    """Check that every picture has its views, each class a picture, and that there are as many pictures as vote.

    Raises
    ------
    ModelError
    """
    labels = arrays["labels"]
    rows = len(arrays["neighbours"])
    if not rows or rows % len(labels):
        raise ModelError(f"'neighbours' has {rows} rows, which are not views of {len(labels)} pictures")
    if not np.array_equal(np.unique(labels), np.arange(classes)):
        raise ModelError(f"'labels' are not places of {classes} classes, each of which has a picture")
    k = int(arrays["k"][0])
    most = min(MOST_NEIGHBOURS, len(labels))
    if not 1 <= k <= most:
        raise ModelError(f"'k' is {k}, not a number of neighbours from 1 to {most}")


def check_numbers(arrays: Arrays) -> None:
    """Check the numbers of a classifier.

    Raises
    ------
    ModelError
        If there is NaN, infinity or what float32 cannot hold, or a scale that is not positive.
    """
    if (arrays["scale"] <= 0).any():
        raise ModelError("'scale' holds numbers that are not positive")
    if (arrays["scale"] < SMALLEST).any():
        raise ModelError(f"'scale' holds numbers below {SMALLEST:.2g}, which are no deviations")
    for name, array in arrays.items():
        # Two numbers tell it, without another array of that size; NaN is neither.
        if not (array.min() >= -LARGEST and array.max() <= LARGEST):
            problem = "numbers beyond those of float32" if np.isfinite(array).all() else "NaN or infinity"
            raise ModelError(f"'{name}' holds {problem}")
