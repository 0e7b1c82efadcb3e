"""Writes a model as an ONNX graph: base, classifier and all between them. This needs torch, onnx and onnxscript."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from featx import __version__
from featx.bases.base import Base
from featx.bases.names import HANDCRAFTED_BASES
from featx.engines.engine import group_poolings
from featx.engines.translation import ReadsNumbers, forbid_reading
from featx.errors import ModelError, RequestError, first_line
from featx.images.normalise import to_input
from featx.images.views import FIXED_VIEWS
from featx.keys import list_fields
from featx.models.model import Model
from featx.models.onnx.facts import METADATA_KEY, ClassifierKind, InputKind, OnnxFacts, write_facts
from featx.models.onnx.half_weights import halve_weights
from featx.models.onnx.model import INPUT_NAME, MOST_ONNX_BYTES, OUTPUT_NAME, OnnxModel, open_onnx_model
from featx.models.onnx.network import MIRRORED_VIEWS, PredictingNetwork
from featx.models.onnx.whole_pictures import OPSET, take_whole_pictures
from featx.models.schema import LayerFacts, TransformFacts
from featx.types import Pixels

NEEDED = ("onnx", "onnxscript", "onnxruntime")
"""Packages of the extra `onnx`."""

TOLERANCES = {"float32": 1e-3, "float16": 5e-2}
"""How far probabilities of noise may lie from torch's, by precision: photos differ by a tenth of that and less."""

NOISE_PICTURES = 3
"""Pictures of noise that an exported graph is tried on."""


@dataclass(frozen=True)
class Exported:
    """A graph that was written, checked and compared.

    Attributes
    ----------
    data : bytes
        The ONNX file.
    facts : OnnxFacts
    difference : float
        How far its probabilities lie from torch's in float32, at most, on pictures of noise of the crop's size.
    """

    data: bytes
    facts: OnnxFacts
    difference: float


def export_onnx(base: Base, model: Model, is_half: bool = False, with_resize: bool = False) -> Exported:
    """Write a model as an ONNX graph, and compare what ONNX Runtime computes with what torch does.

    Parameters
    ----------
    base : Base
        The model's.
    model : Model
    is_half : bool
        Whether the weights of the base are kept as float16.
    with_resize : bool
        Whether the graph takes whole pictures, and resizes and crops them itself.

    Returns
    -------
    Exported

    Raises
    ------
    RequestError
        If packages are missing, or the model is one that no graph can hold.
    ModelError
        If the exporter fails, or its graph computes something else.
    """
    check_exportable(base, model, with_resize)
    facts = describe(base, model, is_half, with_resize)
    noise = make_noise(base, model.views)
    try:
        expected = run_by_torch(base, model, noise)
    except ReadsNumbers as error:
        raise RequestError(
            f"'{base.id.architecture}' reads numbers back into Python while it runs, which no graph does"
        ) from error
    network = PredictingNetwork(base, model).eval()
    proto = trace(network, torch.from_numpy(noise[:2] if model.views > MIRRORED_VIEWS else noise[:2, 0]))
    if is_half:
        halve_weights(proto)
    plain = finish(proto, facts if not with_resize else msgspec.structs.replace(facts, input=describe_crop(model)))
    difference = compare(open_onnx_model(plain), noise, expected)
    if difference > TOLERANCES[facts.precision]:
        raise ModelError(
            f"ONNX Runtime computes something else than torch of {base.id.architecture}: probabilities differ by up "
            f"to {difference:.1g}. Nothing was written"
        )
    if not with_resize:
        return Exported(plain, facts, difference)
    take_whole_pictures(proto, base.id.transform, model.views)
    whole = finish(proto, facts)
    # As `predict` opens it: what that would refuse is not written.
    open_onnx_model(whole)
    return Exported(whole, facts, difference)


def check_needed() -> None:
    """Refuse where packages are missing, before anything is loaded.

    Raises
    ------
    RequestError
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise RequestError(f"{', '.join(missing)} {verb} not installed. Run: pip install 'featx[onnx]'")


def check_exportable(base: Base, model: Model, with_resize: bool) -> None:
    """Refuse what no graph can hold.

    Raises
    ------
    RequestError
    """
    if base.id.architecture in HANDCRAFTED_BASES:
        raise RequestError(f"'{base.id.architecture}' is computed by scikit-image, which no ONNX graph can hold")
    if with_resize and model.views > len(FIXED_VIEWS):
        raise RequestError(
            f"the model averages {model.views} views, and those after the first {len(FIXED_VIEWS)} are drawn at "
            "random, which no graph does: leave out --with-resize"
        )


def describe_crop(model: Model) -> InputKind:
    """Say what a graph takes that does not resize."""
    return "views" if model.views > MIRRORED_VIEWS else "crop"


def describe(base: Base, model: Model, is_half: bool, with_resize: bool) -> OnnxFacts:
    """Say what a graph takes and gives, and where it came from."""
    transform = list_fields(base.id)["transform"]
    return OnnxFacts(
        input="picture" if with_resize else describe_crop(model),
        classes=model.classes_,
        transform=msgspec.convert(transform, TransformFacts, strict=False),
        precision="float16" if is_half else "float32",
        architecture=base.id.architecture,
        weights=base.id.weights,
        layers=tuple(LayerFacts(key.layer, key.pooling, key.dtype) for key in model.keys),
        clf=cast(ClassifierKind, model.classifier.kind),
        featx=__version__,
        views=model.views,
    )


def make_noise(base: Base, views: int) -> NDArray[np.uint8]:
    """Make pictures of noise, the second view of each the mirror image of the first: (n, v, crop, crop, 3) uint8."""
    side = base.id.transform.crop
    shape = (NOISE_PICTURES, views, side, side, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if views > 1:
        noise[:, 1] = noise[:, 0, :, ::-1]
    return noise


def run_by_torch(base: Base, model: Model, noise: Pixels) -> NDArray[np.float64]:
    """Compute what `predict` would compute of pictures in float32: (n, v, crop, crop, 3) uint8 to (n, k).

    Raises
    ------
    ReadsNumbers
        If the network reads numbers back into Python.
    """
    n, views, *picture = noise.shape
    with torch.inference_mode(), forbid_reading():
        x = to_input(torch.from_numpy(noise.reshape(n * views, *picture)), base.id.transform)
        outputs = base.forward(x, group_poolings(model.keys))
    X = model.features({name: output.numpy() for name, output in outputs.items()})
    _, probabilities = model.classify(X.reshape(n, views, -1) if views > 1 else X)
    return probabilities


def trace(network: PredictingNetwork, example: torch.Tensor) -> Any:
    """Let torch's exporter write a network as an ONNX graph whose batch may have any size.

    Parameters
    ----------
    network : PredictingNetwork
    example : (2, ...) uint8

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ModelError
        If the exporter cannot.
    """
    try:
        with quiet_exporter(), no_attention_kernels():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
        assert program is not None
        proto = program.model_proto
    except Exception as error:  # the exporter raises whatever it meets in a network
        raise ModelError(
            f"torch's exporter cannot write '{network.base.id.architecture}' as an ONNX graph: "
            f"{first_line(error)[:300]}"
        ) from error
    # The exporter falls back to a fixed batch without a word.
    if not proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise ModelError(
            f"'{network.base.id.architecture}' computes batches of one size only, once torch's exporter has written it"
        )
    return proto


@contextmanager
def no_attention_kernels() -> Iterator[None]:
    """Keep torch from computing attention in one piece, which exports with the batch of the example only."""
    was_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_enabled)


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep the exporter from speaking of its own insides."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def finish(proto: Any, facts: OnnxFacts) -> bytes:
    """Write facts into a graph, have it checked by onnx, and give its bytes.

    Raises
    ------
    ModelError
        If it is too large, or not sound.
    """
    import onnx

    del proto.metadata_props[:]
    proto.producer_name = "featx"
    proto.producer_version = __version__
    for key, text in ((METADATA_KEY, write_facts(facts)), ("classes", msgspec.json.encode(facts.classes).decode())):
        proto.metadata_props.add(key=key, value=text)
    strip_comments(proto.graph)
    if proto.ByteSize() > MOST_ONNX_BYTES:
        raise ModelError(
            f"the model is {proto.ByteSize() / 1e9:.1f} GB, more than the {MOST_ONNX_BYTES / 1e9:.1f} GB that one ONNX "
            "file holds: try --half, or a shallower layer"
        )
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:  # onnx has a class of its own for each of its reasons
        raise ModelError(f"onnx's checker refuses the graph: {first_line(error)[:300]}") from error
    return bytes(proto.SerializeToString(deterministic=True))


def strip_comments(graph: Any) -> None:
    """Take out what the exporter notes beside each node: names of files and folders of this machine."""
    del graph.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for entry in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del entry.metadata_props[:]
        entry.doc_string = ""


def compare(opened: OnnxModel, noise: Pixels, expected: NDArray[np.float64]) -> float:
    """Say how far probabilities lie from those expected: the greatest difference."""
    pictures = noise if opened.facts.input == "views" else noise[:, 0]
    found = np.stack([opened.compute(picture) for picture in pictures])
    return float(np.abs(found - expected).max())
