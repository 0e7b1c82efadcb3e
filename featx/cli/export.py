"""`featx export`: a model as one graph that runs without featx."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from featx.cli.model_options import model_base_options
from featx.cli.options import UserPath, output_options, print_json
from featx.cli.progress import waiting
from featx.cli.terminal import say_line
from featx.requests import ModelExportRequest
from featx.requests.prediction import GraphFormat

if TYPE_CHECKING:
    from featx.workflows.export_model import ExportedModel


@click.command("export")
@click.argument("model", type=UserPath())
@click.option("--out", required=True, type=UserPath(dir_okay=False), help="File to write: .onnx, or .xml for OpenVINO.")
@click.option(
    "--to",
    type=click.Choice(["onnx", "openvino"]),
    default="onnx",
    show_default=True,
    help="Format: one .onnx file, or OpenVINO's .xml with a .bin beside it.",
)
@click.option(
    "--half", is_flag=True, help="Keep the weights of the base in float16: half of the size, nearly the same."
)
@click.option(
    "--with-resize", is_flag=True, help="Take whole pictures of any size: the graph resizes and crops them itself."
)
@model_base_options
@output_options
def command(
    model: Path,
    out: Path,
    to: GraphFormat,
    half: bool,
    with_resize: bool,
    base: str | None,
    weights: str | None,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a MODEL of featx fit or featx finetune as one graph: pixels in, probabilities out.

    The graph holds the base up to its cut, poolings, scaling and classifier; averaged views, too. It takes pictures as
    bytes, (n, height, width, 3) in RGB, of the size that it names. Class names and transform stand in its metadata, and
    with --json on stdout. What it computes is compared with torch before it is written.

    \b
    Example:
      featx export model.featx --out model.onnx
      featx predict model.onnx photos/new
    """
    request = ModelExportRequest(model, out, to, half, with_resize, weights, base, yes)
    from featx.workflows.export_model import export_model

    with waiting("exporting", quiet or as_json):
        exported = export_model(request)
    if as_json:
        print_json(exported.to_dict())
        return
    show(exported)
    if to == "onnx":
        say_line(f"Label new images with: featx predict {out} IMAGES")


def show(exported: ExportedModel) -> None:
    """Print what was written."""
    facts = exported.facts
    side = facts.transform.crop
    taken = {
        "crop": f"(n, {side}, {side}, 3)",
        "views": f"(n, {facts.views}, {side}, {side}, 3)",
        "picture": "(n, height, width, 3)",
    }[facts.input]
    say_line(
        f"'{exported.path}': {exported.bytes / 1e6:.1f} MB, {facts.precision}, opset {exported.opset}; takes {taken} "
        f"uint8, gives (n, {len(facts.classes)}) probabilities"
    )
    say_line(f"probabilities of noise differ from torch's by {exported.difference:.1g} at most")
    if exported.resize:
        say_line(
            f"resized pixels differ from Pillow's by {exported.resize.mean:.2g} on average and "
            f"{exported.resize.most:g} at most, of 255"
        )
    for note in exported.notes:
        say_line(f"note: {note}")
