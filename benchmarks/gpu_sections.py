"""The sections of `gpu.py`, each run in a process of its own; rows are printed as JSON as soon as they are known.

Every section takes the device as it is asked for, so that all of them run on a CPU as well, where they measure nothing
of interest but show that they work.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gpu_files import measure_by_hand, measure_files
from gpu_photos import make_photos
from gpu_section import DTYPES, MEASURED_SECONDS, Section, make_network, open_random
from PIL import Image

from featx.bases.base import Base
from featx.classifiers.grids import LOGREG_C
from featx.classifiers.registry import Linear, find_classifier
from featx.classifiers.search import search_linear
from featx.engines.engine import LazyEngine, Plan, make_plan
from featx.features.splits import make_folds
from featx.images.gpu_resize import DeviceResizer
from featx.images.transform import to_pixels
from featx.linear.cross_validation import Scoring, score_folds
from featx.linear.fit import fit_linear
from featx.timing import Clock

CPU = torch.device("cpu")
SAMPLE = 64
"""Photos whose features are compared."""


@torch.inference_mode()
def measure_forward(section: Section) -> None:
    """Resnet50 alone, on numbers that are on the device."""
    side = section.side

    def best_rate(precision: str, tf32: bool, compiled: bool) -> tuple[float, str]:
        torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cuda.matmul.allow_tf32 = tf32
        network = (
            make_network(section.network).to(section.device, DTYPES[precision]).to(memory_format=torch.channels_last)
        )
        run = torch.compile(network, mode="reduce-overhead", dynamic=False) if compiled else network
        rates = {}
        # Compiling takes half a minute, so one size has to do.
        for batch in [section.batch] if compiled or section.tiny else [256, 512]:
            x = torch.randn(batch, 3, side, side, device=section.device, dtype=DTYPES[precision])
            x = x.to(memory_format=torch.channels_last)
            rates[batch] = section.rate(lambda: run(x), batch)  # noqa: B023
        return max(rates.values()), ", ".join(f"{rate:.0f} with {batch}" for batch, rate in rates.items())

    facts: dict[str, Any] = {"unit": "images/s"}
    section.row("forward float32", lambda: best_rate("float32", False, False), **facts)
    section.row("forward float32, TF32", lambda: best_rate("float32", True, False), **facts)
    section.row("forward bfloat16", lambda: best_rate("bfloat16", False, False), **facts)
    section.row("forward bfloat16 compiled", lambda: best_rate("bfloat16", False, True), needs=15, **facts)


def measure_engine(section: Section) -> None:
    """Featx's engine on decoded pixels in host memory, as the loader hands them over."""
    side = section.side
    draw = np.random.default_rng(0)
    crops = list(draw.integers(0, 256, (2 * section.batch, side, side, 3), dtype=np.uint8))

    def stack() -> object:
        pixels = torch.from_numpy(np.stack(crops[: section.batch]))
        return pixels.pin_memory() if section.device.type == "cuda" else pixels

    def engine_rate(precision: str, name: str) -> tuple[float, str]:
        base = open_random(section.network, precision, side)
        wanted = {base.layer("layer4").name: ["avg"]}
        plan = make_plan(base, wanted, section.device, section.batch, section.cores)
        engine = LazyEngine(name, plan, 10**6, Clock())
        begun = time.perf_counter()
        engine.build()
        seconds_to_build = time.perf_counter() - begun
        rate = stream_rate(section, engine, crops)
        return rate, f"batches of {section.batch}; built in {seconds_to_build:.1f} s"

    facts: dict[str, Any] = {"unit": "images/s", "note": "np.stack and pin_memory, in one thread"}
    section.row("stacking and pinning alone", lambda: section.rate(stack, section.batch), **facts)
    facts = {"unit": "images/s", "beside": "forward float32"}
    section.row("engine float32", lambda: engine_rate("float32", "torch"), **facts)
    facts = {"unit": "images/s", "beside": "forward bfloat16"}
    section.row("engine bfloat16", lambda: engine_rate("bfloat16", "torch"), at_least=0.8, **facts)
    facts = {"unit": "images/s", "beside": "forward bfloat16 compiled"}
    section.row("engine bfloat16 compiled", lambda: engine_rate("bfloat16", "compile"), needs=15, **facts)


def stream_rate(section: Section, engine: LazyEngine, crops: list[Any]) -> float:
    """Images a second of an engine, one batch begun before the last is waited for, as the loader does it."""
    halves = [crops[: section.batch], crops[section.batch :]]
    for half in halves * 2:
        engine.start(half)()
    started = time.perf_counter()
    until = started + (0.1 if section.tiny else MEASURED_SECONDS)
    images = 0
    before: Callable[[], object] | None = None
    while time.perf_counter() < until:
        after = engine.start(halves[images // section.batch % 2])
        if before:
            before()
        before = after
        images += section.batch
    if before:
        before()
    return images / (time.perf_counter() - started)


def make_clusters(tiny: bool) -> tuple[Any, Any]:
    """Draw features (n, d) float32 of overlapping classes (n,): 40 to 50 % can be told."""
    n, d, classes = (300, 16, 4) if tiny else (50_000, 256, 100)
    draw = np.random.default_rng(0)
    y = np.arange(n) % classes
    decay = (np.arange(1, d + 1) ** -0.5).astype(np.float32)
    x = draw.standard_normal((n, d), dtype=np.float32)
    x += 0.13 * draw.standard_normal((classes, d), dtype=np.float32)[y] * (decay / decay.mean())
    return x * decay, y


def measure_sweep(section: Section) -> None:
    """Featx's logistic regression: one fit, one fold's grid and the whole sweep, on tensors of the device."""
    x, y = make_clusters(section.tiny)
    tensor = torch.from_numpy(x).to(section.device)
    fit_linear(tensor[:500], y[:500])
    measure_fits(section, tensor, y, "on the card")


def measure_sweep_on_cores(section: Section) -> None:
    """Do the same with numpy, as far as the time goes: the whole takes minutes."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: section.cores])
    x, y = make_clusters(section.tiny)
    measure_fits(section, x, y, f"on {section.name.removeprefix('sweep, ')}")


def measure_fits(section: Section, x: Any, y: Any, where: str) -> None:
    """Measure growing pieces of the sweep; each is left out where the one before says that it takes too long."""
    folds = make_folds(y, np.arange(len(y)), 0)
    on_card = where == "on the card"

    def fit() -> tuple[float, str]:
        started = time.perf_counter()
        model = fit_linear(x, y, "logreg", 1.0)
        return time.perf_counter() - started, f"{model.n_iter} steps to a tight optimum"

    def sweep(few: int, jobs: int, values: list[float] = LOGREG_C) -> tuple[float, str]:
        started = time.perf_counter()
        scores = score_folds(x, y, folds[:few], Scoring({"logreg": values}), jobs)["logreg"].accuracy.mean(axis=0)
        best = int(scores.argmax())
        return time.perf_counter() - started, f"accuracy {scores[best]:.4f} at C = {values[best]:.3g}"

    def search(clf: str) -> tuple[float, str]:
        started = time.perf_counter()
        classifier = find_classifier(clf)
        assert isinstance(classifier, Linear)
        found = search_linear({clf: classifier}, x, y, folds[:1])[clf]
        return time.perf_counter() - started, f"accuracy {found.cv_accuracy:.4f} at C = {found.params['C']:.3g}"

    facts: dict[str, Any] = {"unit": "s"}
    size = f"{len(x):,} x {x.shape[1]}"

    def beside(name: str) -> dict[str, Any]:
        return {"beside": f"{name}, on 2 cores"} if on_card else {}

    name = "one fold, C = 0.01"
    section.row(f"{name}, {where}", lambda: sweep(1, 1, [0.01]), **facts, **beside(name))
    name = "one fold, 15 values of C"
    one_fold = section.row(f"{name}, {where}", lambda: sweep(1, 1), **facts, **beside(name))
    name = f"sweep: {len(folds)} folds, 15 values of C, {size}"
    jobs = 1 if on_card else min(section.cores, len(folds))
    goal = {"at_most": 10} if on_card else {}
    needs = (one_fold or 1e3) * len(folds) / jobs
    section.row(f"{name}, {where}", lambda: sweep(len(folds), jobs), needs, **facts, **goal, **beside(name))
    for clf in ("logreg", "svm"):
        name = f"{clf}, as compare does: one split, few values of C, the final fit, {size}"
        section.row(f"{name}, {where}", lambda: search(clf), 10, **facts, **goal, **beside(name))  # noqa: B023
    name = "one tight fit, C = 1"
    section.row(f"{name}, {where}", fit, **facts, **beside(name))
    if on_card:
        name = f"sweep: {len(folds)} folds, 15 values of C, folds in threads"
        section.row(f"{name}, {where}", lambda: sweep(len(folds), len(folds)), needs, **facts, **goal)


def sample_pictures(section: Section) -> Iterator[Image.Image]:
    """Decode the photos that are compared."""
    for path in sorted((section.work / "warm").rglob("*.jpg"))[:SAMPLE]:
        with Image.open(path) as file:
            yield file.convert("RGB")


def plan_for(base: Base, device: torch.device, resizes: bool, batch: int) -> Plan:
    """Plan to run a base up to its last map, with pictures resized on the device or by Pillow."""
    plan = make_plan(base, {base.layer("layer4").name: ["avg"]}, device, batch, 1)
    resizer = DeviceResizer(base.id.transform, device) if resizes else None
    return replace(plan, device_batch=batch, resizer=resizer)


def compute(plan: Plan, engine: str, pictures: list[Image.Image]) -> Any:
    """Compute the features (n, d) float32 of pictures."""
    prepared = [plan.prepare(picture, b"", [0])[0] for picture in pictures]
    features = LazyEngine(engine, plan, len(pictures), Clock()).start(prepared)()
    return next(iter(features.values()))


def measure_agreement(section: Section) -> None:
    """Features of the device beside those of the CPU, and pixels beside Pillow's."""
    pictures = list(sample_pictures(section))[: 4 if section.tiny else SAMPLE]
    section.row("pixels that differ from Pillow's", lambda: count_pixels(section, pictures), unit="pixels", at_most=0)
    expected: dict[str, Any] = {}

    def difference(name: str, precision: str, resizes: bool, engine: str) -> tuple[float, str]:
        if name not in expected:
            expected[name] = compute(plan_for(open_random(name), CPU, False, 8), "torch", pictures)
        plan = plan_for(open_random(name, precision), section.device, resizes, len(pictures))
        features = compute(plan, engine, pictures)
        note = f"of the largest of {features.shape[0]} x {features.shape[1]} features"
        return float(np.abs(features - expected[name]).max() / np.abs(expected[name]).max()), note

    cases = [
        (name, precision, resizes, "torch")
        for name in (section.network, "mobilenet_v2")
        for precision in DTYPES
        for resizes in (True, False)
    ]
    cases += [(section.network, "float32", True, "compile"), ("mobilenet_v2", "float32", True, "compile")]
    for case in cases:
        name, precision, resizes, engine = case
        where = "resized on the card" if resizes else "resized by Pillow"
        title = f"{name}, {precision}{', compiled' if engine == 'compile' else ''}, {where}"
        most = 1e-4 if precision == "float32" else 3e-2
        needs = 30 if engine == "compile" else 2
        section.row(title, lambda: difference(*case), needs, unit="relative", at_most=most)  # noqa: B023


def count_pixels(section: Section, pictures: list[Image.Image]) -> tuple[float, str]:
    """Count the numbers in which pictures that the device resized differ from those of Pillow."""
    draw = np.random.default_rng(0)
    for width, height in draw.integers(40, 900, (64, 2)).tolist():
        noise = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
        pictures = [*pictures, Image.fromarray(noise)]
    transform = open_random("resnet50").id.transform
    resizer = DeviceResizer(transform, section.device)
    taken = [picture for picture in pictures if resizer.takes(picture)]
    computed = resizer.gather([np.asarray(picture) for picture in taken], list(range(len(taken)))).cpu().numpy()
    expected = np.stack([to_pixels(picture, transform) for picture in taken])
    note = f"of {computed.size:,} in {len(taken)} pictures of any sizes; used by featx: {resizer.is_exact}"
    return int((computed != expected).sum()), note


SECTIONS: dict[str, Callable[[Section], None]] = {
    "photos": make_photos,
    "forward": measure_forward,
    "engine": measure_engine,
    "files": measure_files,
    "by hand": measure_by_hand,
    "sweep": measure_sweep,
    "agreement": measure_agreement,
    "sweep, all cores": measure_sweep_on_cores,
    "sweep, 2 cores": measure_sweep_on_cores,
}


def main() -> None:
    """Run the section that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--cores", type=int)
    asked = parser.parse_args()
    SECTIONS[asked.section](Section(asked))


if __name__ == "__main__":
    main()
