"""Puts resizing, cropping and views before an exported graph, so that it takes whole pictures of any size.

ONNX has one operator for it, Resize, whose antialiasing is Pillow's: a triangle or a cubic as wide as the picture
shrinks. All of it is arithmetic on bytes and sizes; the graph behind it stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from featx.images.views import CORNER_MARGIN, FIXED_VIEWS, FixedView
from featx.keys import InputTransform
from featx.models.onnx.model import INPUT_NAME
from featx.models.onnx.network import MIRRORED_VIEWS

OPSET = 18
"""Version of ONNX's operators: the first whose Resize smooths as Pillow does; ONNX Runtime 1.14 and later run it."""

CROPPED_NAME = "cropped"
"""What the graph behind takes, once whole pictures go in."""

MODES = {"bilinear": "linear", "bicubic": "cubic", "nearest": "nearest"}
"""Interpolation of an `InputTransform`: what Resize calls it."""

PILLOW_CUBIC = -0.5
"""Coefficient of Pillow's cubic; that of ONNX is -0.75 unless it is said."""

HEIGHT_AXIS, WIDTH_AXIS = 2, 3
LARGEST_INDEX = np.iinfo(np.int64).max


class GraphBuilder:
    """Adds nodes one by one, each with one output that has a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node, and give the name of its output."""
        from onnx import helper

        name = f"whole_{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, *numbers: int) -> str:
        """Add whole numbers as a constant of one axis, and give its name."""
        from onnx import numpy_helper

        name = f"whole_constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(numbers, np.int64), name))
        return name

    def cut(self, x: str, start: str, end: str, axis: int) -> str:
        """Take what lies between two places on an axis."""
        return self.add("Slice", [x, start, end, self.constant(axis)])

    def mirror(self, x: str) -> str:
        """Turn left and right of (n, 3, height, width) about."""
        ends = [self.constant(-1), self.constant(-LARGEST_INDEX), self.constant(WIDTH_AXIS), self.constant(-1)]
        return self.add("Slice", [x, *ends])


class Enlarged:
    """A batch of pictures whose shorter side has a given length.

    Parameters
    ----------
    graph : GraphBuilder
    pictures : str
        Name of (n, 3, height, width) uint8.
    shorter : int
        Pixels of the shorter side.
    transform : InputTransform
    """

    def __init__(self, graph: GraphBuilder, pictures: str, shorter: int, transform: InputTransform) -> None:
        self.graph = graph
        self.crop = transform.crop
        shape = graph.add("Shape", [pictures])
        zero = graph.constant(0)
        sides = [graph.cut(shape, graph.constant(axis), graph.constant(axis + 1), 0) for axis in (2, 3)]
        shortest = graph.add("Min", sides)
        length = graph.constant(shorter)
        # Whole numbers, rounded down, as `scale_size` rounds the longer side.
        self.sides = [graph.add("Div", [graph.add("Mul", [length, side]), shortest]) for side in sides]
        sizes = graph.add("Concat", [graph.cut(shape, zero, graph.constant(2), 0), *self.sides], axis=0)
        self.name = graph.add("Resize", [pictures, "", "", sizes], **list_resize_attributes(transform))

    def crop_view(self, view: FixedView) -> str:
        """Crop a view: (n, 3, crop, crop) uint8."""
        x = self.name
        corner = (None, None) if view.corner is None else (view.corner[1], view.corner[0])
        for side, axis, end in zip(self.sides, (HEIGHT_AXIS, WIDTH_AXIS), corner, strict=True):
            start = self.find_start(side, end)
            x = self.graph.cut(x, start, self.graph.add("Add", [start, self.graph.constant(self.crop)]), axis)
        return self.graph.mirror(x) if view.is_mirrored else x

    def find_start(self, side: str, end: int | None) -> str:
        """Say where a crop begins on a side: at its beginning (0), at its end (1), or so that it lies in the middle."""
        graph = self.graph
        if end == 0:
            return graph.constant(0)
        margin = graph.add("Sub", [side, graph.constant(self.crop)])
        if end == 1:
            return margin
        two = graph.constant(2)
        half = graph.add("Div", [margin, two])
        # Of an odd margin half a pixel is left, and `compute_crop_box` rounds it to the even number.
        is_odd = graph.add("Mul", [graph.add("Mod", [margin, two]), graph.add("Mod", [half, two])])
        return graph.add("Add", [half, is_odd])


def list_resize_attributes(transform: InputTransform) -> dict[str, Any]:
    """Say what makes ONNX's Resize do what Pillow does."""
    attributes: dict[str, Any] = {
        "mode": MODES[transform.interpolation],
        "coordinate_transformation_mode": "half_pixel",
    }
    if transform.interpolation == "nearest":
        return {**attributes, "nearest_mode": "round_prefer_ceil"}
    # Pillow counts no pixel beyond the edge; without this ONNX Runtime's last row and column are others.
    attributes.update(antialias=1, exclude_outside=1)
    if transform.interpolation == "bicubic":
        attributes["cubic_coeff_a"] = PILLOW_CUBIC
    return attributes


def take_whole_pictures(proto: Any, transform: InputTransform, views: int) -> None:
    """Let a graph take whole pictures, (n, height, width, 3) uint8, in place.

    Parameters
    ----------
    proto : onnx.ModelProto
        Takes (n, crop, crop, 3), or (n, v, crop, crop, 3) of more than two views.
    transform : InputTransform
    views : int
        At most as many as `FIXED_VIEWS`.
    """
    from onnx import TensorProto, helper

    builder = GraphBuilder()
    pictures = builder.add("Transpose", [INPUT_NAME], perm=[0, 3, 1, 2])
    resized = Enlarged(builder, pictures, transform.resize, transform)
    if views > MIRRORED_VIEWS:
        shorter = max(transform.resize, math.ceil(transform.crop * CORNER_MARGIN))
        enlarged = Enlarged(builder, pictures, shorter, transform)
        cropped = [(resized if view.corner is None else enlarged).crop_view(view) for view in FIXED_VIEWS[:views]]
        axis = builder.constant(1)
        stacked = builder.add("Concat", [builder.add("Unsqueeze", [x, axis]) for x in cropped], axis=1)
        builder.add("Transpose", [stacked], perm=[0, 1, 3, 4, 2])
    else:
        builder.add("Transpose", [resized.crop_view(FIXED_VIEWS[0])], perm=[0, 2, 3, 1])
    graph = proto.graph
    for node in graph.node:
        node.input[:] = [CROPPED_NAME if name == INPUT_NAME else name for name in node.input]
    builder.nodes[-1].output[0] = CROPPED_NAME
    behind = list(graph.node)
    del graph.node[:]
    graph.node.extend([*builder.nodes, *behind])
    graph.initializer.extend(builder.constants)
    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_param or "batch"
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, [batch, "height", "width", 3]))


def build_resizing(transform: InputTransform) -> bytes:
    """Build a graph that only resizes and crops: (n, height, width, 3) to (n, crop, crop, 3) uint8."""
    from onnx import TensorProto, helper

    side = transform.crop
    same = helper.make_node("Identity", [INPUT_NAME], ["resized"])
    taken = helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["batch", side, side, 3])
    given = helper.make_tensor_value_info("resized", TensorProto.UINT8, ["batch", side, side, 3])
    proto = helper.make_model(
        helper.make_graph([same], "resizing", [taken], [given]), opset_imports=[helper.make_opsetid("", OPSET)]
    )
    take_whole_pictures(proto, transform, 1)
    return bytes(proto.SerializeToString())
