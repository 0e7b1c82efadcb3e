"""Keeps the weights of a graph in float16, and computes with them in float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

CLASSIFIER_PREFIX = "classifier."
"""Beginning of the names of the classifier's arrays, which stay float32: they are small, and what they see is exact."""

LEAST_NUMBERS = 2**14
"""Smaller arrays stay float32: biases and normalisations, some of whose numbers float16 cannot hold, and depthwise
convolutions, whose rounding no sum evens out. They are a few percent of a file."""

LARGEST_HALF = float(np.finfo(np.float16).max)


def halve_weights(proto: Any) -> None:
    """Round the weights of the base to float16, in place; the graph widens them again where they are used.

    ONNX Runtime does so once, when it loads the graph. Computing in float16 would cost more digits, and CPUs most of
    their speed: of EfficientNet-Lite0, probabilities of photos moved by up to 0.014.

    Parameters
    ----------
    proto : onnx.ModelProto
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in proto.graph.initializer:
        is_weight = tensor.data_type == TensorProto.FLOAT and math.prod(tensor.dims) >= LEAST_NUMBERS
        if not is_weight or tensor.name.startswith(CLASSIFIER_PREFIX):
            continue
        numbers = numpy_helper.to_array(tensor)
        if np.abs(numbers).max() > LARGEST_HALF:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numbers.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}.widen", to=TensorProto.FLOAT))
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*casts, *nodes])
