"""How fast bases of each kind are extracted from files, by each engine, and beside what people use instead.

    python benchmarks/engines.py DATA [--images 300] [--rounds 3] [--weights FOLDER]

Every figure comes from a process of its own, which takes its turn in each round, as in `benchmarks/extract.py`, from
which the clock and the rivals come; imports are not counted, building, translating, reading and writing are. "predict"
is `featx predict` with a model of the same base, on the same images. Memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from extract import now, run_by_hand, run_timm, stolen
from tabulate import tabulate

from featx.base_choice import BaseChoice
from featx.data.sources import list_images
from featx.engines.threads import count_cores
from featx.keys import Precision
from featx.requests import CompareRequest, EngineName, ExtractRequest, PredictRequest
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from featx.workflows.predict import label_images

OWN_NETWORK = """
from torch import nn

transform = dict(resize=256, crop=224)

def block(width_in, width, stride):
    return nn.Sequential(
        nn.Conv2d(width_in, width_in, 3, stride, 1, groups=width_in), nn.BatchNorm2d(width_in), nn.ReLU(),
        nn.Conv2d(width_in, width, 1), nn.BatchNorm2d(width), nn.ReLU(),
    )

def stages():
    stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU())
    blocks = [("layer1", block(32, 64, 2)), ("layer2", block(64, 128, 2)), ("layer3", block(128, 256, 2))]
    return [("stem", stem), *blocks, ("layer4", block(256, 512, 2))]
"""


@dataclass(frozen=True)
class Row:
    """What is measured: a base, and the way it is run.

    Attributes
    ----------
    base : str
    way : str
        "featx", "by hand", "timm" or "predict".
    engine : str
        Of featx.
    precision : str
    """

    base: str
    way: str = "featx"
    engine: str = "auto"
    precision: str = "float32"

    @property
    def label(self) -> str:
        """How the table names the way."""
        if self.way != "featx":
            return self.way
        engine = "OpenVINO" if self.engine == "auto" else self.engine
        return f"featx, {engine}, {self.precision}"


BASES = ("mobilenet_v2", "timm:tf_efficientnet_lite0", "timm:resnet50", "own.py")

ROWS = (
    *(Row(base, engine="torch") for base in BASES),
    *(Row(base) for base in BASES),
    *(Row(base, precision="bfloat16") for base in BASES),
    Row("mobilenet_v2", "by hand"),
    Row("timm:tf_efficientnet_lite0", "timm"),
    Row("timm:resnet50", "timm"),
    Row("mobilenet_v2", "predict"),
)


def weights_of(base: str, folder: str | None) -> str | None:
    """Find a file of weights whose name begins with the base's; else random ones, which are as fast."""
    if base.endswith(".py"):
        return None
    files = sorted(Path(folder).glob(f"{base.removeprefix('timm:')}-*.safetensors")) if folder else []
    return str(files[0]) if files else "random"


def link_images(data: str, count: int, folder: Path) -> None:
    """Link about `count` images of a data set, spread evenly over it."""
    listing = list_images(data)
    step = max(1, len(listing) // count)
    for row in range(0, len(listing), step):
        source = Path(data, listing.paths[row]).absolute()
        target = folder / listing.labels[row] / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)


def request_extraction(asked: argparse.Namespace, row: Row, cache: Path) -> ExtractRequest:
    base = str(Path(asked.data).parent / row.base) if row.base.endswith(".py") else row.base
    precision = cast(Precision, row.precision)
    choice = BaseChoice(base, weights_of(row.base, asked.weights), precision=precision)
    return ExtractRequest(asked.data, choice, ["layer4"], cache=cache, engine=cast(EngineName, row.engine))


def extract(asked: argparse.Namespace, row: Row, folder: Path) -> float:
    """Extract into an empty cache; images a second."""
    request = request_extraction(asked, row, folder / "cache")
    started = now()
    summary = extract_features(request)
    return summary.extracted / (now() - started)


def predict(asked: argparse.Namespace, row: Row, folder: Path) -> float:
    """Fit a model first, which is not timed; then label the images; images a second."""
    request = request_extraction(asked, row, folder / "cache")
    extract_features(request)
    model = fit_classifier(CompareRequest(asked.data, request.base, ["layer4"], ["logreg"], cache=request.cache)).model
    started = now()
    labelled = label_images(PredictRequest(model, (asked.data,), request.base.weights)).labelled
    return len(labelled) / (now() - started)


def measure_here(asked: argparse.Namespace, row: Row, folder: Path) -> float:
    """Run one row in this process; images a second."""
    with suppress(ImportError):  # imports count for nobody; this one would come late
        importlib.import_module("openvino.frontend.pytorch.ts_decoder")
    asked.base = row.base.removeprefix("timm:")
    asked.device = "auto"
    if row.way == "predict":
        return predict(asked, row, folder)
    if row.way == "featx":
        return extract(asked, row, folder)
    asked.weights = weights_of(row.base, asked.weights)
    return run_by_hand(asked, folder) if row.way == "by hand" else run_timm(asked, folder)


def measure(asked: argparse.Namespace, data: Path, number: int) -> tuple[float, float]:
    """Run one row in a process of its own; images a second, and the peak of its memory in MB."""
    command = [sys.executable, __file__, str(data), "--row", str(number)]
    command += ["--weights", asked.weights] if asked.weights else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rate, memory = json.loads(done.stdout.splitlines()[-1])
    return rate, memory


def compare(asked: argparse.Namespace, data: Path) -> list[dict[str, object]]:
    """Let all rows take turns, and make a table of the medians and of their ratios within a round."""
    rounds: list[list[tuple[float, float]]] = []
    for number in range(asked.rounds):
        rounds.append([measure(asked, data, place) for place in range(len(ROWS))])
        found = ", ".join(f"{row.base} {row.label} {rate:.0f}" for row, (rate, _) in zip(ROWS, rounds[-1], strict=True))
        print(f"round {number + 1} of {asked.rounds}: {found}", file=sys.stderr)
    table: list[dict[str, object]] = []
    for place, row in sorted(enumerate(ROWS), key=lambda item: BASES.index(item[1].base)):
        of_torch = ROWS.index(Row(row.base, engine="torch"))
        of_openvino = ROWS.index(Row(row.base))
        table.append(
            {
                "base": row.base,
                "way": row.label,
                "images/s": statistics.median(one[place][0] for one in rounds),
                "of torch": statistics.median(one[place][0] / one[of_torch][0] for one in rounds),
                "of OpenVINO float32": statistics.median(one[place][0] / one[of_openvino][0] for one in rounds),
                "MB": statistics.median(one[place][1] for one in rounds),
            }
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder of photos, CLASS/photo.jpg")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--weights", help="a folder of weights, BASE-*.safetensors; random ones otherwise")
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    default = Path(__file__).parent / "results" / "engines.txt"
    parser.add_argument("--out", type=Path, default=default, help="where the table goes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.row is not None:
            gc.collect()
            gc.freeze()
            rate = measure_here(asked, ROWS[asked.row], folder)
            print(json.dumps([rate, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
            return
        (folder / "own.py").write_text(OWN_NETWORK)
        link_images(asked.data, asked.images, folder / "photos")
        images = len(list_images(str(folder / "photos")))
        taken = stolen()
        table = compare(asked, folder / "photos")
        taken = stolen() - taken
    facts = (
        f"{Path(asked.data).name}, {images} images; {count_cores()} cores, torch {torch.__version__}; medians of "
        f"{asked.rounds} rounds; {taken:.0f} s that the host took away are left out; load {os.getloadavg()[2]:.1f}"
    )
    text = f"{facts}\n{tabulate(table, headers='keys', tablefmt='github', floatfmt='.2f')}\n"
    print(text)
    asked.out.write_text(text)


if __name__ == "__main__":
    main()
