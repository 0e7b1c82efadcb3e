"""What an ONNX file of ours says beside its graph: which pictures it takes, and what its numbers mean."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from featx.errors import ModelError
from featx.keys import InputTransform
from featx.models.schema import (
    ARCHITECTURE,
    MOST_DEPTH,
    MOST_PIXELS,
    SHA256,
    ClassName,
    LayerFacts,
    TransformFacts,
    Views,
    describe_problem,
    is_deeper,
    is_text,
)

ONNX_FORMAT = "featx-onnx"
ONNX_VERSION = 1
"""Version of what the metadata says and how it is to be read; others are refused."""

METADATA_KEY = "featx"
"""Key in the metadata of an ONNX file under which our facts stand, as JSON."""

MOST_FACT_BYTES = 2**24
"""Longer metadata are not parsed: a hundred thousand classes with long names need less."""

InputKind = Literal["crop", "views", "picture"]
"""What the graph takes. "crop": (n, crop, crop, 3), pictures that are resized and cropped already. "views": (n, v,
crop, crop, 3), v views of each. "picture": (n, height, width, 3), pictures of any size, which the graph resizes."""

ClassifierKind = Literal["logreg", "svm", "mlp", "knn", "dummy"]

INPUT_AXES = {"crop": 4, "views": 5, "picture": 4}
"""Axes of the input of a graph, by what it takes."""


class OnnxFacts(Struct, frozen=True, omit_defaults=True):
    """Everything that an ONNX file says beside its graph.

    Attributes
    ----------
    input : InputKind
    classes : tuple of str
        Labels in the order of the probabilities.
    transform : TransformFacts
        How a picture becomes pixels; mean and std are applied in the graph.
    precision : {"float32", "float16"}
        What the weights of the base are kept in; it computes in float32.
    architecture, weights : str
        The base, and the digest of its weights.
    layers : tuple of LayerFacts
        What the classifier sees of the base.
    clf : str
        Kind of the classifier.
    featx : str
        Version of featx that wrote it.
    views : int
        Views of an image whose scores are averaged.
    """

    input: InputKind
    classes: Annotated[tuple[ClassName, ...], Meta(min_length=2, max_length=100_000)]
    transform: TransformFacts
    precision: Literal["float32", "float16"]
    architecture: Annotated[str, Meta(pattern=ARCHITECTURE)]
    weights: Annotated[str, Meta(pattern=SHA256)]
    layers: Annotated[tuple[LayerFacts, ...], Meta(min_length=1, max_length=100)]
    clf: ClassifierKind
    featx: Annotated[str, Meta(max_length=100)]
    views: Views = 1

    def __post_init__(self) -> None:
        """Check what types alone cannot say."""
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("its classes are not all different names")
        if not all(is_text(name) for name in self.classes):
            raise ValueError("the name of a class is not text")
        if not self.featx.isprintable():
            raise ValueError("its featx is not a line of text")
        pixels = self.views * self.transform.crop**2
        if pixels > MOST_PIXELS:
            raise ValueError(f"its {self.views} views of an image are {pixels} pixels, more than {MOST_PIXELS}")

    @property
    def input_transform(self) -> InputTransform:
        """The transform, as the rest of featx takes it."""
        return InputTransform(**msgspec.structs.asdict(self.transform))


def write_facts(facts: OnnxFacts) -> str:
    """Write facts as JSON, with the format and its version first."""
    return json.dumps({"format": ONNX_FORMAT, "version": ONNX_VERSION, **list_facts(facts)})


def list_facts(facts: OnnxFacts) -> dict[str, Any]:
    """Give facts as plain values for JSON."""
    plain: dict[str, Any] = msgspec.to_builtins(facts)
    return plain


def read_facts(text: str | None) -> OnnxFacts:
    """Read what `write_facts` wrote; it may come from anybody.

    Parameters
    ----------
    text : str or None
        None where the file has no such metadata.

    Raises
    ------
    ModelError
        With the first thing that is wrong.
    """
    if text is None:
        raise ModelError("it is an ONNX file, but not one that featx export wrote: it has no featx metadata")
    if len(text) > MOST_FACT_BYTES:
        raise ModelError(f"its metadata has {len(text)} characters, more than the {MOST_FACT_BYTES} that are read")
    try:
        facts: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError("its featx metadata is not JSON") from error
    if not isinstance(facts, dict) or facts.get("format") != ONNX_FORMAT:
        raise ModelError("its featx metadata is not that of a model")
    if facts.get("version") != ONNX_VERSION:
        raise ModelError(
            f"its version is {str(facts.get('version'))[:20]!r}, this featx reads {ONNX_VERSION}: "
            "use the featx that wrote it, or export anew"
        )
    if is_deeper(facts, MOST_DEPTH):
        raise ModelError(f"its facts are nested more than {MOST_DEPTH} deep")
    try:
        return msgspec.convert(facts, OnnxFacts)
    except msgspec.ValidationError as error:
        raise ModelError(describe_problem(error)) from error
