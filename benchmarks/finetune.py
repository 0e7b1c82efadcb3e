"""Fine-tuning on images and on cached activations: seconds an epoch, and accuracy, for three seeds.

python benchmarks/finetune.py DATA --base mobilenet_v2 --weights W --from features.14 --cache DIR
"""

from __future__ import annotations

import itertools
import resource
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import click
import torch
from tabulate import tabulate

from featx.base_choice import BaseChoice
from featx.finetuning.plan import plan
from featx.requests import FinetuneRequest
from featx.workflows.extract import extract_features
from featx.workflows.finetune import extractions, finetune_base


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(request: FinetuneRequest) -> list[object]:
    for extraction in extractions(request, plan(request)):
        extract_features(extraction)
    marks: list[float] = []

    def report(phase: str, *_: object) -> None:
        if phase == "finetuned":
            marks.append(processor_seconds())

    finetuned = finetune_base(request, report)
    processor_seconds_an_epoch = [later - before for before, later in itertools.pairwise(marks)]
    result = finetuned.finetuned.result
    kind = "cached" if request.from_cache else "images"
    seconds = [median(finetuned.progress.seconds), median(processor_seconds_an_epoch)]
    figures = [*seconds, result.cv_accuracy, result.test_accuracy]
    return [request.seed, kind, *(round(figure, 4) for figure in figures)]


@click.command()
@click.argument("data")
@click.option("--base", default="mobilenet_v2")
@click.option("--weights")
@click.option("--from", "start", default="features.14")
@click.option("--cache", type=click.Path(path_type=Path), default=Path("cache"))
@click.option("--epochs", default=6)
@click.option("--threads", default=2)
def main(data: str, base: str, weights: str | None, start: str, cache: Path, epochs: int, threads: int) -> None:
    """Print a table for DATA."""
    torch.set_num_threads(threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        plain = FinetuneRequest(data, BaseChoice(base, weights), start, Path(folder) / "m.featx", cache=cache, views=1)
        plain = replace(plain, augment="none", epochs=epochs, patience=epochs, lr=3e-4, keep="best")
        for seed in (1, 2, 3):
            for from_cache in (False, True):
                rows.append(measure(replace(plain, seed=seed, from_cache=from_cache)))
                click.echo(rows[-1], err=True)
    headers = ("seed", "epochs run on", "s/epoch", "CPU s/epoch", "validation", "test")
    table = (
        f"{Path(data).name}, {base} from {start} on, {threads} threads\n{tabulate(rows, headers, tablefmt='github')}\n"
    )
    click.echo(table)
    (Path(__file__).parent / "results" / "finetune.txt").write_text(table)


if __name__ == "__main__":
    main()
