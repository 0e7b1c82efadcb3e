"""How fast extraction is, beside what people use instead, on the same images, base, layer and machine, in one run.

    python benchmarks/extract.py DATA [--base mobilenet_v2] [--weights FILE] [--rounds 5] [--device auto]
    python benchmarks/extract.py --made            # a cached run over 10,000 images; memory of 2,000 and 20,000

Every figure comes from a process of its own, which takes its turn in each round, so that whatever else the machine does
meets all of them; time that a host takes away from its cores is left out, for all alike. Imports are not counted;
building the network, reading files and writing features are, except in `forward` and `decode`, which measure the two
halves alone and give the bound: images a second when every core decodes and computes without a pause. The table is
printed and saved under benchmarks/results/.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision import models
from torchvision.datasets import ImageFolder
from torchvision.models.feature_extraction import create_feature_extractor

from featx.base_choice import BaseChoice
from featx.bases.base import Base
from featx.bases.loading import open_base
from featx.data.sources import list_images
from featx.engines.device import choose_device
from featx.engines.engine import LazyEngine, Plan, make_plan
from featx.engines.threads import one_torch_thread
from featx.files import digest
from featx.images.decode import decoding
from featx.processes.machine import count_cores
from featx.requests import ExtractRequest
from featx.timing import Clock
from featx.workflows.extract import extract_features

IMAGENET = models.ResNet18_Weights.IMAGENET1K_V1.transforms
ALL = ("layer1", "layer2", "layer3", "layer4")
STEAL = 8
"""Field of the first line of Linux's table of processor times: what a host gave to others."""

SAMPLE = 512
"""Images that `forward` and `decode` go through again and again, in memory as far as may be."""


def now() -> float:
    """Count the seconds that this machine has had: what a host takes away from its cores is left out, for all alike.

    On a shared host that is up to half of the time and comes in bursts, which would meet one variant and not the next.
    """
    return time.perf_counter() - stolen()


def stolen() -> float:
    """Count the seconds that a host has taken away, as a mean of the cores; 0 where that is not known."""
    stat = Path("/proc/stat")
    fields = stat.read_text().split("\n", 1)[0].split() if stat.exists() else []
    ticks = int(fields[STEAL]) if len(fields) > STEAL else 0
    return ticks / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)


def deepest(base: Base) -> str:
    """Name the last layer that is a map: what people mean by "the features"."""
    return [layer.name for layer in base.layers if layer.layout == "map"][-1]


def layers_of(asked: argparse.Namespace) -> list[str]:
    last = deepest(open_base(BaseChoice(asked.base, "random")))
    return {"deepest": [last], "layer1": ["layer1"], "five": [*ALL, last]}[asked.layers]


def run_featx(asked: argparse.Namespace, folder: Path) -> float:
    """Extract with featx into an empty cache."""
    with suppress(ImportError):  # imports count for nobody; this one would come late
        importlib.import_module("openvino.frontend.pytorch.ts_decoder")
    choice = BaseChoice(asked.base, asked.weights or "random", precision=asked.precision, decode=asked.decode)
    request = ExtractRequest(asked.data, choice, layers_of(asked), device=asked.device, cache=folder / "cache")
    started = now()
    summary = extract_features(request)
    return summary.extracted / (now() - started)


def network_of(asked: argparse.Namespace) -> torch.nn.Module:
    network: torch.nn.Module = models.get_model(asked.base, weights=None)
    if asked.weights and asked.weights.endswith(".safetensors"):
        from safetensors.torch import load_file

        network.load_state_dict(load_file(asked.weights))
    return network.eval()


def batches(data: str, transform: Callable[..., Any]) -> Iterator[torch.Tensor]:
    """Load a folder of images as a hand-written script does."""
    workers = count_cores()
    yield from (x for x, _ in DataLoader(ImageFolder(data, transform), batch_size=32, num_workers=workers))


def run_by_hand(asked: argparse.Namespace, folder: Path) -> float:
    """ImageFolder, DataLoader with a worker a core, create_feature_extractor, eager."""
    device = choose_device(asked.device)
    started = now()
    node = {"resnet18": "layer4", "resnet50": "layer4"}.get(asked.base, "features")
    model = create_feature_extractor(network_of(asked), [node]).to(device)
    with torch.inference_mode():
        found = [model(x.to(device))[node].mean((2, 3)).cpu() for x in batches(asked.data, IMAGENET())]
    features = torch.cat(found).numpy()
    np.save(folder / "features.npy", features)
    return len(features) / (now() - started)


def run_timm(asked: argparse.Namespace, folder: Path) -> float:
    """timm.create_model without a classifier, its own transform (random weights: the speed is the same)."""
    import timm
    from timm.data.config import resolve_model_data_config
    from timm.data.transforms_factory import create_transform

    device = choose_device(asked.device)
    started = now()
    model = timm.create_model({"mobilenet_v2": "mobilenetv2_100"}.get(asked.base, asked.base), num_classes=0)
    model = model.eval().to(device)
    transform = create_transform(**resolve_model_data_config(model))
    with torch.inference_mode():
        features = torch.cat([model(x.to(device)).cpu() for x in batches(asked.data, transform)]).numpy()
    np.save(folder / "features.npy", features)
    return len(features) / (now() - started)


def run_img2vec(asked: argparse.Namespace, folder: Path) -> float:
    """img2vec_pytorch's get_vec on lists of 32 pictures (random weights: the speed is the same)."""
    import img2vec_pytorch
    from PIL import Image

    models._api.WeightsEnum.get_state_dict = lambda self, *a, **k: models.get_model(asked.base).state_dict()
    paths = [path for path, _ in ImageFolder(asked.data).samples]
    started = now()
    model = img2vec_pytorch.Img2Vec(model=asked.base)
    found = [
        model.get_vec([Image.open(path).convert("RGB") for path in paths[first : first + 32]])
        for first in range(0, len(paths), 32)
    ]
    np.save(folder / "features.npy", np.concatenate(found))
    return len(paths) / (now() - started)


def sample(asked: argparse.Namespace) -> list[str]:
    paths = list_images(asked.data).paths
    return list(paths[:: max(1, len(paths) // SAMPLE)][:SAMPLE])


def over_threads(work: Callable[[Any], object], items: list[Any], seconds: float = 6.0) -> float:
    """Work through the items in a thread a core, again and again; items a second."""
    done, until = 0, now() + seconds
    with ThreadPoolExecutor(count_cores()) as pool:
        list(pool.map(work, items[: 2 * count_cores()]))
        started = now()
        until = started + seconds
        while now() < until:
            done += len(list(pool.map(work, items)))
        return done / (now() - started)


def decoded(path: str, plan: Plan) -> np.ndarray[Any, np.dtype[np.uint8]]:
    data = Path(path).read_bytes()
    name = digest(data)
    with decoding(data) as whole:
        return plan.prepare(whole.picture, name, [0])[0]


def run_decode(asked: argparse.Namespace, folder: Path) -> float:
    """Read, hash, decode and, on the CPU, resize and crop, with a thread a core, and nothing else."""
    plan = make_plan(open_base(BaseChoice(asked.base, "random")), {}, choose_device(asked.device), None, count_cores())
    return over_threads(lambda path: decoded(path, plan), sample(asked))


def run_forward(asked: argparse.Namespace, folder: Path) -> float:
    """The fastest engine on pixels in memory, and nothing else."""
    device = choose_device(asked.device)
    base = open_base(BaseChoice(asked.base, asked.weights or "random", precision=asked.precision))
    wanted = {base.layer(name).name: ["avg"] for name in layers_of(asked)}
    few = 8 if device.type == "cpu" else 256
    here = make_plan(base, wanted, torch.device("cpu"), None, 1)
    pixels = [decoded(path, here) for path in sample(asked)]
    stacks = [pixels[first : first + few] for first in range(0, len(pixels) - few + 1, few)]
    plan = make_plan(base, wanted, device, None, count_cores() if device.type == "cpu" else 1)
    engine = LazyEngine("auto", plan, 10**6, Clock())
    with one_torch_thread(device):
        engine.start(stacks[0])()
        if device.type == "cpu":
            return few * over_threads(lambda stack: engine.start(stack)(), stacks)
        started, begun = now(), [engine.start(stack) for stack in stacks * 20]
        for finish in begun:
            finish()
        return few * len(begun) / (now() - started)


VARIANTS = {
    "forward": run_forward,
    "decode": run_decode,
    "featx": run_featx,
    "by hand": run_by_hand,
    "timm": run_timm,
    "img2vec": run_img2vec,
}

RIVALS = {"timm": "timm", "img2vec": "img2vec_pytorch"}
"""Name of a variant: the package that it needs."""


def count_cpu_seconds() -> float:
    """Count the seconds that cores have worked for this process and for those that it started and that have ended."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def measure(asked: argparse.Namespace, variant: str, layers: str = "deepest") -> float:
    """Run one variant in a process of its own; images a second."""
    return run_variant(asked, variant, layers)[-1]


def run_variant(asked: argparse.Namespace, variant: str, layers: str = "deepest") -> list[float]:
    """Run one variant in a process of its own; seconds of cores, and images a second."""
    command = [sys.executable, __file__, asked.data, "--variant", variant, "--layers", layers, "--base", asked.base]
    command += ["--device", asked.device, "--precision", asked.precision]
    command += ["--decode", asked.decode]
    command += ["--weights", asked.weights] if asked.weights else []
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(json.loads(line)) for line in out.splitlines()[-2:]]


def compare(asked: argparse.Namespace) -> list[str]:
    """Let all variants take turns, and make a table of the medians and their ratios within a round."""
    columns = [("forward", "deepest"), ("decode", "deepest"), ("featx", "deepest"), ("featx", "five")]
    columns += [("featx", "layer1"), ("forward", "layer1"), ("by hand", "deepest"), ("timm", "deepest")]
    columns += [("img2vec", "deepest")] if asked.base == "resnet18" else []
    absent = [name for name, module in RIVALS.items() if importlib.util.find_spec(module) is None]
    columns = [column for column in columns if column[0] not in (*asked.skip, *absent)]
    rounds: list[dict[tuple[str, str], float]] = []
    begun, taken = time.perf_counter(), stolen()
    for number in range(asked.rounds):
        rounds.append({column: measure(asked, *column) for column in columns})
        found = ", ".join(f"{name} {layers} {rate:.0f}" for (name, layers), rate in rounds[-1].items())
        print(f"round {number + 1} of {asked.rounds}: {found}", file=sys.stderr)

    def middle(value: Callable[[dict[tuple[str, str], float]], float]) -> float:
        return statistics.median(value(one) for one in rounds)

    def bound(one: dict[tuple[str, str], float], layers: str) -> float:
        return 1 / (1 / one["decode", "deepest"] + 1 / one["forward", layers])

    taken = (stolen() - taken) / (time.perf_counter() - begun)
    lines = [f"{asked.rounds} rounds; the host took away {taken:.0%} of the machine's time, left out of all figures"]
    lines += [f"{name} is not installed, so it is not in the table" for name in absent if name not in asked.skip]
    lines += [f"{'':28} images/s   times by hand"]
    for column in columns:
        name = column[0] + ("" if column[1] == "deepest" else f", {column[1]}")
        rate, ratio = middle(lambda one: one[column]), middle(lambda one: one[column] / one["by hand", "deepest"])  # noqa: B023
        lines.append(f"{name:28} {rate:8.1f}   {ratio:8.2f}")
    facts = {
        "featx / bound": lambda one: one["featx", "deepest"] / bound(one, "deepest"),
        "featx layer1 / its bound": lambda one: one["featx", "layer1"] / bound(one, "layer1"),
        "seconds of five cuts / one": lambda one: one["featx", "deepest"] / one["featx", "five"],
    }
    return lines + [f"{name:28} {middle(value):8.2f}" for name, value in facts.items()]


def make_images(folder: Path, count: int) -> str:
    """Write a folder of small photos, no two alike."""
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(count):
        path = folder / str(number % 10) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    return str(folder)


def run_made(asked: argparse.Namespace, folder: Path) -> list[str]:
    """Time a fully cached run over 10,000 images, and weigh the memory of 2,000 and 20,000."""
    lines, peaks = [], []
    for count in (2_000, 10_000, 20_000):
        data = make_images(folder / str(count), count)
        command = ["extract", data, "--base", "tiny", "--layer", "layer4", "--cache", str(folder / "cache"), "--json"]
        found = []
        for _ in range(2):
            process = subprocess.run([sys.executable, "-c", PEAK, *command], check=True, capture_output=True, text=True)
            found.append(json.loads(process.stdout))
            peaks.append(int(process.stderr.splitlines()[-1]) / 1024)
        first, again = found
        lines.append(f"{count:6} images: {first['seconds']:.1f} s, again {again['seconds']:.2f} s; {peaks[-2]:.0f} MB")
    return [*lines, f"20,000 images take {peaks[-2] - peaks[0]:.0f} MB more than 2,000"]


PEAK = (
    "import resource, sys\nfrom featx.cli.main import main\n"
    "try: main.main(sys.argv[1:])\n"
    "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a folder of photos, CLASS/photo.jpg")
    parser.add_argument("--base", default="mobilenet_v2")
    parser.add_argument("--weights", help="a file; random weights otherwise")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--skip", nargs="*", default=[], choices=RIVALS, help="rivals to leave out")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--decode", default="exact", help="how featx decodes JPEG files: exact or scaled")
    parser.add_argument("--made", action="store_true", help="measure cached runs and memory on generated images")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--layers", default="deepest", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="where the table goes, instead of benchmarks/results/")
    asked = parser.parse_args()
    if not asked.data and not asked.made:
        parser.error("give a folder of photos, or --made")
    with tempfile.TemporaryDirectory() as folder:
        if asked.variant:
            gc.collect()
            gc.freeze()  # what imports left is not looked through while anybody's time is taken; `featx` spares it, too
            before = count_cpu_seconds()
            rate = VARIANTS[asked.variant](asked, Path(folder))
            print(json.dumps(count_cpu_seconds() - before))
            print(json.dumps(rate))
            return
        lines = run_made(asked, Path(folder)) if asked.made else compare(asked)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    what = "generated images, tiny" if asked.made else f"{Path(asked.data).name}, {asked.base}, {asked.precision}"
    table = "\n".join([f"{what}; {count_cores()} cores, {device}, torch {torch.__version__}", *lines]) + "\n"
    print(table)
    where = "-gpu" if torch.cuda.is_available() else ""
    name = "made" if asked.made else asked.base + where
    target = asked.out or Path(__file__).parent / "results" / f"extract-{name}.txt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(table)


if __name__ == "__main__":
    main()
