"""Columns of Arrow schemas: which one holds images, which one labels, and what Hugging Face says of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.data.class_names import clean_name, warn_of_similar_classes
from featx.data.groups import clean_group
from featx.data.listing import FailedImage, ImageFiles, Listing, RowGroups
from featx.data.sources.archives.shards import NO_SAMPLE_LABEL
from featx.data.sources.columns import (
    LABEL_NAMES,
    PATH_NAMES,
    ChosenColumns,
    ColumnChoice,
    choose_columns,
    describe_columns,
    describe_weights,
    find_chosen,
    find_known,
    holds_numbers,
    read_split,
    read_weight,
)
from featx.errors import DataError, FeatxError, shorten
from featx.log import note

log = logging.getLogger(__name__)

BYTES_FIELD = "bytes"
"""Field of a column of images that holds the file, where the column has fields."""

HUGGING_FACE = b"huggingface"
"""Key of the schema under which Hugging Face says what columns mean."""


@dataclass(frozen=True)
class ImageColumns:
    """Columns that are read.

    Attributes
    ----------
    chosen : ChosenColumns
        The column of images stands as `path`.
    has_fields : bool
        Whether images are the field `bytes` of their column.
    class_names : sequence of str or None
        The names of labels that are numbers.
    remarks : sequence of str
        What was found out and should be said.
    is_labelled : bool
        Whether any column is read beside that of images.
    """

    chosen: ChosenColumns
    has_fields: bool
    class_names: Sequence[str] | None
    remarks: Sequence[str]
    is_labelled: bool = True

    @property
    def values(self) -> list[str]:
        """The columns beside that of images."""
        if not self.is_labelled:
            return []
        chosen = self.chosen
        named = [chosen.label, chosen.split, chosen.weight, chosen.group]
        return list(dict.fromkeys(name for name in named if name is not None))


@dataclass
class TableRows:
    """What a table says of its images, as texts, by column; and where each image is listed."""

    paths: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)

    def add(self, paths: Sequence[str], split: str, values: dict[str, list[str]]) -> None:
        """Add the rows of a file, whose name says their split or not."""
        self.paths += paths
        self.splits += [split] * len(paths)
        for name, texts in values.items():
            self.values.setdefault(name, []).extend(texts)


def find_columns(file: str, schema: Any, choice: ColumnChoice) -> ImageColumns:
    """Find out what is in which column.

    Parameters
    ----------
    file : str
        Whose schema it is.
    schema : pyarrow.Schema
    choice : ColumnChoice
        The column of images as `path`.

    Raises
    ------
    DataError, UnknownName
        If there are no images or labels, or several columns may hold them; the error begins with the file.
    """
    types = dict(zip(schema.names, schema.types, strict=True))
    try:
        image = find_image_column(types, choice)
        if not choice.reads_labels:
            return ImageColumns(ChosenColumns(image, ""), is_nested(types[image]), None, (), is_labelled=False)
        names = [name for name in schema.names if name == image or not is_nested(types[name])]
        class_names = read_class_names(schema)
        label = choice.label
        if label is None and not find_known([name for name in names if name != image], LABEL_NAMES):
            label = next(iter(class_names)) if len(class_names) == 1 else None
        chosen = choose_columns(names, replace(choice, path=image, label=label))
    except FeatxError as error:
        raise type(error)(f"'{file}': {error}") from error
    remarks = describe_columns(chosen, schema.names, replace(choice, path=image))
    if image not in PATH_NAMES and choice.path is None:
        remarks.insert(0, f"images are from column '{image}'")
    return ImageColumns(chosen, is_nested(types[image]), class_names.get(chosen.label), remarks)


def find_image_column(types: dict[str, Any], choice: ColumnChoice) -> str:
    """Find the column of images.

    Raises
    ------
    DataError
        If there is none, or several may be meant.
    UnknownName
        If the column that was asked for does not exist.
    """
    images = [name for name in types if holds_files(types[name])]
    if choice.path is not None:
        chosen = find_chosen(list(types), choice.path)
        if chosen not in images:
            raise DataError(f"column '{chosen}' is of type {types[chosen]}: images are bytes, or {{bytes, path}}")
        return chosen
    found = find_known(images, ("image", *PATH_NAMES)) or images
    if not found:
        raise DataError(
            f"there is no column of images, as bytes or {{bytes, path}}. The columns are {shorten(map(repr, types))}"
        )
    if len(found) > 1:
        raise DataError(f"the columns {shorten(map(repr, found))} may all hold the images: choose with --path-column")
    return found[0]


def is_nested(kind: Any) -> bool:
    """Whether a type has fields."""
    from pyarrow import types

    return bool(types.is_nested(kind))


def holds_files(kind: Any) -> bool:
    """Whether values of a type may be files: bytes, or fields one of which is called so and holds some."""
    from pyarrow import types

    if types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        return any(field.name == BYTES_FIELD and holds_files(field.type) for field in fields)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def read_class_names(schema: Any) -> dict[str, list[str]]:
    """Read the names of classes by column, where Hugging Face has left them in the schema."""
    text = (schema.metadata or {}).get(HUGGING_FACE, b"{}")
    try:
        features = json.loads(text)["info"]["features"]
        named = {column: feature["names"] for column, feature in features.items() if is_class_label(feature)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return {column: [str(name) for name in names] for column, names in named.items() if isinstance(names, list)}


def is_class_label(feature: Any) -> bool:
    """Whether Hugging Face describes a column as labels with names."""
    return isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and "names" in feature


def read_texts(column: Any, class_names: Sequence[str] | None = None) -> list[str]:
    """Read a column as texts, "" where a row has none.

    Parameters
    ----------
    column : pyarrow.Array
    class_names : sequence of str, optional
        What its numbers stand for.
    """
    if hasattr(column, "dictionary"):
        texts = read_texts(column.dictionary, class_names)
        return ["" if place is None else texts[place] for place in column.indices.to_pylist()]
    values = column.to_pylist()
    # One text a class, not one a row.
    texts_of = {value: write_value(value, class_names) for value in set(values)}
    return [texts_of[value] for value in values]


def write_value(value: Any, class_names: Sequence[str] | None) -> str:
    """Write a value as a table of texts would have it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if class_names is not None and isinstance(value, int):
        # Hugging Face writes -1 for labels that are kept secret.
        return class_names[value] if 0 <= value < len(class_names) else ""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value)


def make_listing(
    data: str, rows: TableRows, files: ImageFiles, columns: ImageColumns, choice: ColumnChoice, remarks: Sequence[str]
) -> Listing:
    """Make a listing of what tables say; what was taken for what is said in one line.

    Raises
    ------
    DataError
        If a split or a weight cannot be understood.
    """
    if not columns.is_labelled:
        nothing = [""] * len(rows.paths)
        return Listing(data, rows.paths, nothing, nothing, files)
    chosen = columns.chosen
    labels = [clean_name(text) for text in rows.values[chosen.label]]
    said = [*columns.remarks, *remarks]
    weights = None
    if chosen.weight is not None and holds_numbers(rows.values[chosen.weight]):
        weights = read_weights(data, rows.values[chosen.weight])
        said += describe_weights(rows.values[chosen.weight])
    groups = None
    if chosen.group is not None:
        names = [clean_group(text) for text in rows.values[chosen.group]]
        groups = RowGroups(names, f"column '{chosen.group}'", is_guess=choice.group is None)
    kept = [row for row, label in enumerate(labels) if label]
    skipped = [FailedImage(rows.paths[row], NO_SAMPLE_LABEL) for row, label in enumerate(labels) if not label]
    if skipped and kept:
        said.append(f"rows without a label are passed over: {len(skipped)}, such as '{skipped[0].path}'")
    notes = (f"'{data}': {'; '.join(said)}",) if said else ()
    for line in notes:
        note(log, line)
    warn_of_similar_classes(set(labels), data)
    splits = read_splits(data, rows, chosen.split)
    listing = Listing(data, rows.paths, labels, splits, files, tuple(skipped), notes, weights, groups)
    return listing.subset(kept) if skipped and kept else listing


def read_splits(data: str, rows: TableRows, column: str | None) -> list[str]:
    """Read the split of each row: its own where the table has one, else that of its file.

    Raises
    ------
    DataError
        If a split is not one that is known.
    """
    if column is None:
        return rows.splits
    splits = []
    for path, text, of_file in zip(rows.paths, rows.values[column], rows.splits, strict=True):
        split = read_split(column, text)
        if split is None:
            raise DataError(f"'{data}': '{path}' has the unknown split '{text}': use train, val or test")
        splits.append(split or of_file)
    return splits


def read_weights(data: str, texts: Sequence[str]) -> NDArray[np.float64]:
    """Read how often each row counts.

    Raises
    ------
    DataError
        If a weight is not a number of at least 0.
    """
    weights = [read_weight(text) for text in texts]
    if None in weights:
        wrong = texts[weights.index(None)]
        raise DataError(f"'{data}': the weight '{wrong}' is not a number of at least 0")
    return np.array(weights, np.float64)


def check_installed(data: str) -> None:
    """Refuse a table where pyarrow is not installed.

    Raises
    ------
    DataError
        With the command that installs it.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise DataError(f"'{data}' is read by pyarrow, which is not installed: pip install 'featx[parquet]'") from error
