"""How fast bases of each kind are extracted from files, by each engine, and beside what people use instead.

    python benchmarks/engines.py DATA [--images 300] [--rounds 3] [--weights FOLDER] [--bases timm:resnet50 ...]
    python benchmarks/engines.py DATA --against ../featx-before --out FILE

Every figure comes from a process of its own, which takes its turn in each round, as in `benchmarks/extract.py`, from
which the clock and the rivals come; imports are not counted, building, translating, reading and writing are. "predict"
is `featx predict` with a model of the same base, on the same images. Beside images a second stand the milliseconds of
one core that an image takes, all threads and processes together, which hold on a machine that has other work, too.
Memory is the peak of the process.

--against has `featx extract` of another working tree (`git worktree add`) take its turn as well, as it runs there by
itself, and adds a column of how many times as fast a way is, in images a second.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import math
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
from featx.keys import Precision
from featx.processes.machine import count_cores
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
class Speed:
    """How fast something ran.

    Attributes
    ----------
    rate : float
        Images a second.
    core_ms : float
        Milliseconds of one core an image.
    memory : float
        Peak of the process in MB.
    """

    rate: float
    core_ms: float
    memory: float = 0.0


@dataclass(frozen=True)
class Row:
    """What is measured: a base, and the way it is run.

    Attributes
    ----------
    base : str
    way : str
        "featx", "before" (of another tree), "by hand", "timm" or "predict".
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


USUAL = ("mobilenet_v2", "timm:tf_efficientnet_lite0", "timm:resnet50", "own.py")

LIKE_RESNET50 = (
    "timm:resnext50_32x4d",
    "timm:seresnet50",
    "timm:ecaresnet50d",
    "timm:res2net50_26w_4s",
    "timm:regnety_032",
    "timm:convnext_tiny",
)
"""Networks with about as many weights, 19 to 29 million."""

BASES = (*USUAL, *LIKE_RESNET50)

RUN_FEATX = "import sys; sys.argv[0] = 'featx'; from featx.cli.main import run; run()"

ROWS = (
    *(Row(base, "before") for base in BASES),
    *(Row(base, engine="torch") for base in BASES),
    *(Row(base) for base in BASES),
    *(Row(base, precision="bfloat16") for base in USUAL),
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


class Stopwatch:
    """Measures, from its making on, the time that passes and the time of all cores that this process uses."""

    def __init__(self) -> None:
        self.started = now()
        self.used = cpu_seconds()

    def read(self, images: int) -> Speed:
        """Say how fast images were."""
        return Speed(images / (now() - self.started), 1000 * (cpu_seconds() - self.used) / images)


def cpu_seconds() -> float:
    """Count the seconds of any core that this process has used, and those of its processes that have ended."""
    return sum(os.times()[:4])


def request_extraction(asked: argparse.Namespace, row: Row, cache: Path) -> ExtractRequest:
    base = str(Path(asked.data).parent / row.base) if row.base.endswith(".py") else row.base
    precision = cast(Precision, row.precision)
    choice = BaseChoice(base, weights_of(row.base, asked.weights), precision=precision)
    return ExtractRequest(asked.data, choice, ["layer4"], cache=cache, engine=cast(EngineName, row.engine))


def extract(asked: argparse.Namespace, row: Row, folder: Path) -> Speed:
    """Extract into an empty cache."""
    request = request_extraction(asked, row, folder / "cache")
    watch = Stopwatch()
    return watch.read(extract_features(request).extracted)


def predict(asked: argparse.Namespace, row: Row, folder: Path) -> Speed:
    """Fit a model first, which is not timed; then label the images."""
    request = request_extraction(asked, row, folder / "cache")
    extract_features(request)
    model = fit_classifier(CompareRequest(asked.data, request.base, ["layer4"], ["logreg"], cache=request.cache)).model
    watch = Stopwatch()
    return watch.read(len(label_images(PredictRequest(model, (asked.data,), request.base.weights)).labelled))


def extract_before(asked: argparse.Namespace, row: Row, folder: Path) -> Speed:
    """Have another tree extract into an empty cache; core time and memory are unknown, since it starts by itself."""
    request = request_extraction(asked, row, folder / "cache")
    command = [sys.executable, "-c", RUN_FEATX, "extract", asked.data, "--base", request.base.name, "--layer", "layer4"]
    command += ["--cache", str(request.cache), "--json"]
    command += ["--weights", str(request.base.weights)] if request.base.weights else []
    environment = os.environ | {"PYTHONPATH": str(asked.against.resolve())}
    # Somewhere else: Python would look for modules in the working folder first.
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=folder)
    return Speed(json.loads(done.stdout)["images_per_second"], math.nan, math.nan)


def measure_here(asked: argparse.Namespace, row: Row, folder: Path) -> Speed:
    """Run one row in this process."""
    with suppress(ImportError):  # imports count for nobody; this one would come late
        importlib.import_module("openvino.frontend.pytorch.ts_decoder")
    asked.base = row.base.removeprefix("timm:")
    asked.device = "auto"
    if row.way == "predict":
        return predict(asked, row, folder)
    if row.way == "before":
        return extract_before(asked, row, folder)
    if row.way == "featx":
        return extract(asked, row, folder)
    asked.weights = weights_of(row.base, asked.weights)
    images = len(list_images(asked.data))
    watch = Stopwatch()
    rate = run_by_hand(asked, folder) if row.way == "by hand" else run_timm(asked, folder)
    return Speed(rate, watch.read(images).core_ms)


def measure(asked: argparse.Namespace, data: Path, row: Row) -> Speed:
    """Run one row in a process of its own."""
    command = [sys.executable, __file__, str(data), "--row", str(ROWS.index(row))]
    command += ["--weights", asked.weights] if asked.weights else []
    command += ["--against", str(asked.against)] if asked.against else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    speed = Speed(*json.loads(done.stdout.splitlines()[-1]))
    print(f"{row.base}, {row.label}: {speed.rate:.1f} images/s, {speed.core_ms:.1f} ms of a core", file=sys.stderr)
    return speed


def compare(asked: argparse.Namespace, data: Path) -> list[dict[str, object]]:
    """Let all rows take turns, and make a table of the medians and of their ratios within a round."""
    skipped = asked.skip if asked.against else [*asked.skip, "before"]
    rows = [row for row in ROWS if row.base in asked.bases and row.way not in skipped]
    rounds: list[dict[Row, Speed]] = [{row: measure(asked, data, row) for row in rows} for _ in range(asked.rounds)]

    def middle(row: Row, of: Row | None = None) -> tuple[float, float]:
        """Medians of images a second and of core time, or of their ratios to another row's."""
        rates = [one[row].rate / (one[of].rate if of else 1) for one in rounds]
        times = [(one[of].core_ms if of else 1) / one[row].core_ms for one in rounds]
        return statistics.median(rates), statistics.median(times)

    table: list[dict[str, object]] = []
    for row in sorted(rows, key=lambda row: BASES.index(row.base)):
        rate, per_core = middle(row)
        to_torch = middle(row, Row(row.base, engine="torch"))
        to_openvino = middle(row, Row(row.base))
        columns: dict[str, object] = {
            "base": row.base,
            "way": row.label,
            "images/s": rate,
            "core ms/image": 1 / per_core,
            "times torch": to_torch[0],
            "by core time": to_torch[1],
            "times OpenVINO float32": to_openvino[0],
            "by its core time": to_openvino[1],
            "MB": statistics.median(one[row].memory for one in rounds),
        }
        if asked.against:
            columns["times before"] = middle(row, Row(row.base, "before"))[0]
        table.append(columns)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder of photos, CLASS/photo.jpg")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--weights", help="a folder of weights, BASE-*.safetensors; random ones otherwise")
    parser.add_argument("--bases", nargs="*", default=USUAL, choices=BASES, help="instead of the usual ones")
    parser.add_argument("--skip", nargs="*", default=[], choices=["by hand", "timm", "predict"])
    parser.add_argument("--against", type=Path, metavar="TREE", help="have featx in TREE take its turn as well")
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    default = Path(__file__).parent / "results" / "engines.txt"
    parser.add_argument("--out", type=Path, default=default, help="where the table goes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.row is not None:
            gc.collect()
            gc.freeze()
            speed = measure_here(asked, ROWS[asked.row], folder)
            print(json.dumps([speed.rate, speed.core_ms, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
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
