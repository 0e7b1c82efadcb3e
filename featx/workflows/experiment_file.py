"""An experiment as one TOML file: the same requests that the commands make from flags."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from featx.bases.weights import is_file_name
from featx.errors import RequestError, unknown
from featx.evaluation.result import TUNED
from featx.requests import BaseChoice, CompareRequest, ExtractRequest, FinetuneRequest

FIELDS: dict[str, type] = {
    "data": str,
    "base": str,
    "weights": str,
    "resize": int,
    "crop": int,
    "precision": str,
    "layers": list,
    "poolings": list,
    "store_dtype": str,
    "classifiers": list,
    "device": str,
    "engine": str,
    "batch_size": int,
    "workers": int,
    "seed": int,
    "views": int,
    "test_views": int,
    "finetune": dict,
}
"""Keys of an experiment and the type of each; `data`, `base` and `layers` must be there."""

TUNING: dict[str, type] = {
    "from": str,
    "head": str,
    "keep": str,
    "hidden": int,
    "dropout": float,
    "augment": str,
    "views": int,
    "test_views": int,
    "from_cache": bool,
    "epochs_head": int,
    "epochs": int,
    "patience": int,
    "lr_head": float,
    "lr": float,
    "lr_decay": float,
    "whole": bool,
    "thaw_batchnorm": bool,
    "batch_size": int,
}
"""Keys of the table `[finetune]`, as the command's options; `from` must be there."""

REQUIRED = ("data", "base", "layers")


@dataclass(frozen=True)
class Pipeline:
    """The requests of one experiment."""

    extract: ExtractRequest
    compare: CompareRequest
    finetune: FinetuneRequest | None = None


def find_experiment(name: str) -> Path:
    """Find a TOML file by path, or a built-in experiment by name.

    Raises
    ------
    RequestError
        If there is none.
    """
    path = Path(name)
    if path.is_file():
        return path
    package = Path(str(files("featx")))
    folders = [package / "pipelines", package.parent / "pipelines"]  # as installed; as in a checkout
    for folder in folders:
        if name.isidentifier() and (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    there = sorted({file.stem for folder in folders for file in folder.glob("*.toml")})
    raise RequestError(
        f"experiment '{name}' does not exist: give the path of a TOML file, or one of {', '.join(there)}"
    )


def check_fields(fields: dict[str, Any], path: Path, known: Mapping[str, type], required: Sequence[str]) -> None:
    """Raise unless every key is known, of its type, and nothing that is needed is missing.

    Raises
    ------
    UnknownName
        For an unknown key, with the nearest one.
    RequestError
        With all other problems at once.
    """
    for name in fields:
        if name not in known:
            raise unknown(f"key of '{path}'", name, known)
    problems = [f"'{name}' is missing" for name in required if name not in fields]
    for name, value in fields.items():
        kind = known[name]
        if kind is float and type(value) is int:
            continue
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            problems.append(f"'{name}' must be a {kind.__name__}, not {value!r}")
        elif isinstance(value, list) and not (value and all(isinstance(item, str) for item in value)):
            problems.append(f"'{name}' must be a list of names, not {value!r}")
    if problems:
        raise RequestError(f"'{path}': {'; '.join(problems)}")


def beside(path: Path, value: str, is_path: bool) -> str:
    """Resolve a path that stands in an experiment: it counts from the experiment's own folder."""
    return str(path.parent / Path(value).expanduser()) if is_path else value


def load_pipeline(name: str, cache: Path) -> Pipeline:
    """Read an experiment.

    Parameters
    ----------
    name : str
        Path of a TOML file or name of a built-in experiment.
    cache : pathlib.Path

    Raises
    ------
    RequestError
        If it does not exist, is no TOML, or lacks what is needed.
    UnknownName
        If it holds an unknown key.
    """
    path = find_experiment(name)
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"'{path}' is no valid TOML: {error}") from error
    check_fields(fields, path, FIELDS, REQUIRED)
    tuning = fields.get("finetune")
    if tuning is not None:
        check_fields(tuning, path, TUNING, ("from",))
    data = beside(path, fields["data"], fields["data"] != "digits")
    weights = fields.get("weights")
    if weights is not None:
        weights = beside(path, weights, is_file_name(weights))
    base = BaseChoice(
        fields["base"], weights, fields.get("resize"), fields.get("crop"), fields.get("precision", "float32")
    )
    parts = tuple(dict.fromkeys(part for mix in fields["layers"] for part in mix.split("+")))
    poolings = tuple(fields.get("poolings", ["avg"]))
    names = ("device", "engine", "batch_size", "workers", "store_dtype", "views")
    device = {name: fields[name] for name in names if name in fields}
    machine = {name: fields[name] for name in ("device", "workers") if name in fields}
    if "," in machine.get("device", "") or machine.get("device") == "all":
        machine["device"] = "auto"  # several devices extract, one trains
    classifiers, seed = tuple(fields.get("classifiers", ())), fields.get("seed", 42)
    finetune = None
    if tuning is not None:
        recipe = {name: value for name, value in tuning.items() if name != "from"}
        out = cache / "models" / f"{path.stem}.featx"
        finetune = FinetuneRequest(data, base, tuning["from"], out, seed=seed, cache=cache, **machine, **recipe)
        classifiers += TUNED if classifiers else ()
    stage_two = {name: fields[name] for name in ("store_dtype", "views", "test_views") if name in fields}
    return Pipeline(
        ExtractRequest(data, base, parts, poolings, cache=cache, **device),
        CompareRequest(data, base, tuple(fields["layers"]), classifiers, poolings, seed, cache=cache, **stage_two),
        finetune,
    )
