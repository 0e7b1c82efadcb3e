"""An experiment as one TOML file: the same requests that the commands make from flags."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from featx.base_choice import GROUP_FIELDS, BaseChoice
from featx.bases.names import is_python_file
from featx.bases.weights import is_file_name
from featx.classifiers.registry import find_classifier
from featx.data.sources import is_built_in
from featx.data.text_file import read_text
from featx.errors import DataError, FeatxError, RequestError
from featx.evaluation.result import TUNED
from featx.fields import (
    convert_fields,
    find_missing,
    find_unknown,
    list_written_names,
    prefix_errors,
    raise_problems,
)
from featx.paths import expand_home, is_file, is_folder
from featx.requests import CompareRequest, ExtractRequest, FinetuneRequest
from featx.requests.evaluation import choose_solver_device
from featx.storage.paths import CachePath, side_folder

Values = dict[str, Any]

GIVEN = ("cache", "rehash", "refit", "shard", "memory", "beside", "groups")
"""Fields that belong to one run of an experiment, not to the experiment."""

SHARED = ("data", "base", "seed", "device", "workers", "path_column", "label_column", "class_weight", *GROUP_FIELDS)
"""Fields of fine-tuning that the experiment states once for all of its requests."""


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
    path = expand_home(name)
    if is_file(path):
        return Path(path)
    if is_folder(path):
        raise RequestError(f"experiment '{name}' is a folder: give the path of a TOML file")
    package = Path(str(files("featx")))
    # The first as installed, the second in a checkout.
    folders = [package / "pipelines", package.parent / "pipelines"]
    built_in = {file.stem: file for folder in folders for file in folder.glob("*.toml")}
    if name in built_in:
        return built_in[name]
    raise RequestError(
        f"experiment '{name}' does not exist: give the path of a TOML file, or one of {', '.join(sorted(built_in))}"
    )


def read_toml(path: Path) -> Values:
    """Read a TOML file.

    Raises
    ------
    RequestError
        If it cannot be read, is not UTF-8 or not valid TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    except DataError as error:
        raise RequestError(str(error)) from error
    except (ValueError, RecursionError) as error:
        # ValueError also of dates and numbers that TOML's grammar allows and Python refuses.
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise RequestError(f"'{path}' is not valid TOML: {reason}") from error


def resolve_paths(values: Values, folder: Path) -> Values:
    """Resolve relative paths against the folder of the experiment; names of data sets, bases and weights stay names."""
    resolved = dict(values)
    data = values.get("data")
    if isinstance(data, str) and not is_built_in(data):
        resolved["data"] = str(folder / expand_home(data))
    base = values.get("base")
    if isinstance(base, str) and is_python_file(base):
        resolved["base"] = str(folder / expand_home(base))
    weights = values.get("weights")
    # Also a file whose suffix does not tell it, wherever the command is given.
    if isinstance(weights, str) and (is_file_name(weights) or is_file_name(weights, folder)):
        resolved["weights"] = str(folder / expand_home(weights))
    exclude = values.get("exclude")
    if isinstance(exclude, str):
        resolved["exclude"] = str(folder / expand_home(exclude))
    return resolved


def allowed_keys(request: type, left_out: tuple[str, ...]) -> list[str]:
    """List the keys of a table that fill a request."""
    return [name for name in list_written_names(request).values() if name not in left_out]


def check_experiment(values: Values) -> list[FeatxError]:
    """Find everything that is wrong with the keys of an experiment, outside its table `[finetune]`."""
    known = ["finetune"]
    for request in (BaseChoice, ExtractRequest, CompareRequest):
        known += allowed_keys(request, GIVEN)
    problems = find_unknown(values, list(dict.fromkeys(known)))
    problems += find_missing(values, ["data", "base", "layers"])
    problems += find_empty(values, ["data", "base", "weights"])

    allowed = {name: value for name, value in values.items() if name in known}
    problems += convert_fields(BaseChoice, allowed)[1]
    # To the others, a base is more than its name.
    allowed.pop("base", None)
    problems += convert_fields(ExtractRequest, allowed)[1]
    of_extraction = list_written_names(ExtractRequest).values()
    evaluation = {name: value for name, value in allowed.items() if name not in of_extraction}
    problems += convert_fields(CompareRequest, evaluation)[1]
    return problems


def find_empty(values: Values, names: Sequence[str]) -> list[FeatxError]:
    """Find texts that are empty; as a path, one would be the folder of the experiment itself."""
    return [RequestError(f"'{name}' is empty") for name in names if values.get(name) == ""]


def check_finetuning(tuning: Any) -> list[FeatxError]:
    """Find everything that is wrong with the table `[finetune]` of an experiment."""
    if not isinstance(tuning, Mapping):
        return [RequestError(f"'finetune' must be a table, not {tuning!r}")]
    known = allowed_keys(FinetuneRequest, (*GIVEN, *SHARED, "out"))
    allowed = {name: value for name, value in tuning.items() if name in known}
    return [
        *find_unknown(tuning, known, "key of [finetune]"),
        *find_missing(tuning, ["from"]),
        *convert_fields(FinetuneRequest, allowed)[1],
    ]


def choose(request: type, values: Values) -> Values:
    """Take the values of an experiment that fill a request, converted, by attribute."""
    return convert_fields(request, {name: value for name, value in values.items() if name != "base"})[0]


def check_classifiers(names: Sequence[str]) -> Sequence[str]:
    """Check names of classifiers before hours of extraction; "all" is every classifier, as on the command line.

    Raises
    ------
    UnknownName
        If there is no such classifier.
    """
    if "all" in names:
        return ()
    for name in names:
        if name not in TUNED:
            find_classifier(name)
    return names


def split_layer_sets(layer_sets: Sequence[str]) -> list[str]:
    """List the layers that layer sets such as "layer3+layer4" are made of, each once."""
    layers: dict[str, None] = {}
    for layer_set in layer_sets:
        layers.update(dict.fromkeys(layer_set.split("+")))
    return list(layers)


def choose_training_device(device: str) -> str:
    """Choose the device to train on where several extract."""
    return "auto" if device == "all" or "," in device else device


def load_pipeline(name: str, cache: CachePath) -> Pipeline:
    """Read an experiment.

    Parameters
    ----------
    name : str
        Path of a TOML file or name of a built-in experiment.
    cache : pathlib.Path

    Raises
    ------
    UnknownName
        If it holds an unknown key and nothing else is wrong.
    RequestError
        If it does not exist, is not TOML, or for all that is wrong with its keys.
    """
    path = find_experiment(name)
    values = read_toml(path)
    tuning = values.pop("finetune", None)
    problems = check_experiment(values)
    if tuning is not None:
        problems += check_finetuning(tuning)
        if "exclude" in values:
            problems.append(RequestError("'exclude' and [finetune] do not go together: fine-tuning takes all images"))
    raise_problems(problems, f"'{path}'")
    values = resolve_paths(values, path.parent)

    with prefix_errors(f"'{path}'"):
        base = BaseChoice(**convert_fields(BaseChoice, values)[0])
        extract = ExtractRequest(base=base, cache=cache, **choose(ExtractRequest, values))
        values["device"] = choose_solver_device(extract.device)
        compare = CompareRequest(base=base, cache=cache, **choose(CompareRequest, values))
        # Other experiments may have left other poolings in the cache.
        compare = replace(compare, poolings=extract.poolings, classifiers=check_classifiers(compare.classifiers))
        extract = replace(extract, layers=split_layer_sets(extract.layers))
        if tuning is None:
            return Pipeline(extract, compare)
        if compare.classifiers:
            compare = replace(compare, classifiers=(*compare.classifiers, *TUNED))
        finetune = FinetuneRequest(
            extract.data,
            base,
            out=side_folder(cache) / "models" / f"{path.stem}.featx",
            seed=compare.seed,
            device=choose_training_device(extract.device),
            workers=extract.workers,
            cache=cache,
            path_column=extract.path_column,
            label_column=extract.label_column,
            class_weight=compare.class_weight,
            **compare.group_fields(),
            **convert_fields(FinetuneRequest, tuning)[0],
        )
    return Pipeline(extract, compare, finetune)
