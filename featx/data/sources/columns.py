"""Which columns of a table hold paths, labels, splits, weights and groups."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from featx.data.listing import SPLITS
from featx.errors import DataError, shorten, unknown

PATH_NAMES = (
    "path",
    "file",
    "file_name",
    "filename",
    "image",
    "filepath",
    "file_path",
    "image_path",
    "img",
    "img_path",
)
LABEL_NAMES = ("label", "class", "category", "target", "y", "class_name", "label_name", "labels")
SPLIT_NAMES = ("split", "set", "subset", "partition")
"""Names of the columns in any case, the standard one first; blanks and hyphens count as underscores."""

MAYBE_SPLIT_NAMES = ("fold", "phase", "stage", "mode", "usage", "part", "type", "dataset")
"""Names of columns that often hold something else: they count as splits where every value names one. So does
a column of any other name whose values name several."""

WEIGHT_NAMES = ("weight", "sample_weight")
"""Names of the column that says how often an image counts in training, if it holds numbers."""
GROUP_NAMES = (
    *("group", "group_id", "groups"),
    *("patient", "patient_id", "patientid", "subject", "subject_id", "participant", "participant_id"),
    *("person", "person_id", "individual", "individual_id", "animal_id", "specimen", "specimen_id"),
    *("site", "site_id", "session", "session_id", "burst", "burst_id", "case", "case_id", "study_id", "video_id"),
)
"""Names of columns whose values say which pictures belong together; of several in one table the first here counts."""

TRUE_OR_FALSE = {
    "is_valid": ("val", "train"),
    "is_val": ("val", "train"),
    "is_validation": ("val", "train"),
    "is_test": ("test", "train"),
    "is_train": ("train", "test"),
    "is_training": ("train", "test"),
}
"""Columns that say the split by yes or no: what either means."""

YES = frozenset({"true", "t", "yes", "y", "1", "1.0"})
NO = frozenset({"false", "f", "no", "n", "0", "0.0"})


@dataclass(frozen=True)
class ColumnChoice:
    """The columns that a user named: `--path-column` and its like; None where featx is to find them.

    Attributes
    ----------
    path, label, group : str or None
    finds_groups : bool
        Whether a column of groups is looked for where none was named: only where there is something to split.
    reads_labels : bool
        Whether labels are wanted; else tables that hold images are read without any other column.
    """

    path: str | None = None
    label: str | None = None
    group: str | None = None
    finds_groups: bool = False
    reads_labels: bool = True

    def __bool__(self) -> bool:
        """Whether any was named."""
        return bool(self.path or self.label or self.group)


@dataclass(frozen=True)
class ChosenColumns:
    """The columns of a table that are read, by their names in the file; None where there is none of a kind."""

    path: str
    label: str
    split: str | None = None
    weight: str | None = None
    group: str | None = None


def choose_columns(names: Sequence[str], choice: ColumnChoice, naming_splits: Collection[str] = ()) -> ChosenColumns:
    """Choose the columns that are read.

    Parameters
    ----------
    names : sequence of str
        As the file has them.
    choice : ColumnChoice
    naming_splits : collection of str
        Columns in which every value names a split.

    Raises
    ------
    DataError
        If there is no column of paths or labels, or several may be meant.
    UnknownName
        If a column that was asked for does not exist.
    """
    path = choose_column(names, PATH_NAMES, choice.path, "path")
    label = choose_column([name for name in names if name != path or choice.label], LABEL_NAMES, choice.label, "label")
    if path is None or label is None:
        missing = [standard for standard, name in (("label", label), ("path", path)) if name is None]
        columns = "columns" if len(missing) > 1 else "column"
        flags = " and ".join(f"--{standard}-column" for standard in missing)
        raise DataError(
            f"there is no {columns} {' or '.join(missing)}. The columns are {shorten(map(repr, filter(None, names)))}: "
            f"choose with {flags}, or name the columns path,label or path,label,split"
        )
    group = choose_column(names, (), choice.group, "group") if choice.group else None
    others = [name for name in names if name not in (path, label, group)]
    split = choose_split(others, naming_splits)
    weight = choose_weight(others)
    if choice.finds_groups and group is None:
        group = find_group_column([name for name in others if name not in (split, weight)])
    return ChosenColumns(path, label, split, weight, group)


def choose_column(names: Sequence[str], known: Sequence[str], chosen: str | None, standard: str) -> str | None:
    """Choose one column: the one that was asked for, else the one of the standard name, else of another known name.

    Raises
    ------
    DataError
        If several may be meant.
    UnknownName
        If the column that was asked for does not exist.
    """
    if chosen is not None:
        column = find_chosen(names, chosen)
        found = [name for name in names if name == column]
    else:
        found = find_known(names, known)
    check_distinct(found)
    if len(found) > 1:
        raise DataError(
            f"the columns {' and '.join(map(repr, found))} may all hold the {standard}: choose with --{standard}-column"
        )
    return found[0] if found else None


def check_distinct(found: Sequence[str]) -> None:
    """Refuse columns that have the same name.

    Raises
    ------
    DataError
        With the name.
    """
    twice = [name for name in found if found.count(name) > 1]
    if twice:
        raise DataError(f"two columns are called '{twice[0]}': rename one of them")


def find_chosen(names: Sequence[str], chosen: str) -> str:
    """Find the column that was asked for, by its very name or in another case.

    Raises
    ------
    UnknownName
        If there is none, or only several in other cases.
    """
    if chosen in names:
        return chosen
    similar = [name for name in names if simplify_column(name) == simplify_column(chosen)]
    if len(similar) != 1:
        raise unknown("column", chosen, names)
    return similar[0]


def find_known(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """List the columns of a known name; where one has the standard name, only that one."""
    for standard in (lambda name: name == known[0], lambda name: simplify_column(name) == known[0]):
        exact = [name for name in names if standard(name)]
        if exact:
            return exact
    return [name for name in names if simplify_column(name) in known]


def choose_split(names: Sequence[str], naming_splits: Collection[str]) -> str | None:
    """Choose the column of splits, if there is one.

    Raises
    ------
    DataError
        If several may be meant.
    """
    found = find_known(names, [*SPLIT_NAMES, *TRUE_OR_FALSE]) or [name for name in names if name in naming_splits]
    check_distinct(found)
    if len(found) > 1:
        raise DataError(
            f"the columns {' and '.join(map(repr, found))} may all hold the split: rename the one that does to 'split'"
        )
    return found[0] if found else None


def choose_weight(names: Sequence[str]) -> str | None:
    """Choose the column of weights, if there is one.

    Raises
    ------
    DataError
        If several may be meant.
    """
    found = find_known(names, WEIGHT_NAMES)
    if len(found) > 1:
        raise DataError(
            f"the columns {' and '.join(map(repr, found))} may all hold the weight: rename all but one of them"
        )
    return found[0] if found else None


def read_weight(value: str) -> float | None:
    """Read how often a row counts: once where it says nothing, None where that is not a finite number of at least 0."""
    if not value.strip():
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return None
    return weight if 0 <= weight < math.inf else None


def holds_numbers(values: Iterable[str]) -> bool:
    """Whether any value of a column is a number; a weight that is only ever "heavy" or "light" is something else."""
    for value in values:
        try:
            float(value)
        except ValueError:
            continue
        return True
    return False


def describe_weights(values: Iterable[str]) -> list[str]:
    """Say how many rows have no weight where others have one."""
    without = sum(not value.strip() for value in values)
    if not without:
        return []
    return ["1 row has no weight and counts once" if without == 1 else f"{without} rows have no weight and count once"]


def find_group_column(names: Sequence[str]) -> str | None:
    """Find the column of groups by its name, if there is one."""
    found = find_known(names, GROUP_NAMES)
    return min(found, key=lambda name: GROUP_NAMES.index(simplify_column(name)), default=None)


def simplify_column(name: str) -> str:
    """Write the name of a column in small letters, with underscores for blanks and hyphens."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def read_split(column: str | None, value: str) -> str | None:
    """Translate what a row says of its split: "" where it says nothing, None where that is not known."""
    value = value.strip().lower()
    if column is None or not value:
        return ""
    if simplify_column(column) not in TRUE_OR_FALSE:
        return SPLITS.get(value)
    if_true, if_false = TRUE_OR_FALSE[simplify_column(column)]
    if value in YES:
        return if_true
    return if_false if value in NO else None


def describe_columns(columns: ChosenColumns, names: Sequence[str], choice: ColumnChoice) -> list[str]:
    """Say which columns were taken where they were not asked for and have not the standard name, and which ignored."""
    taken = []
    if columns.path != "path" and choice.path is None:
        taken.append(f"paths are from column '{columns.path}'")
    if columns.label != "label" and choice.label is None:
        taken.append(f"labels are from column '{columns.label}'")
    if columns.split not in (None, "split"):
        taken.append(f"splits are from column '{columns.split}'{explain_true_or_false(str(columns.split))}")
    if columns.weight is not None:
        taken.append(
            f"images are weighted in training by column '{columns.weight}' (rename it if it is something else)"
        )
    if columns.group is not None and choice.group is None:
        taken.append(f"images of one '{columns.group}' are kept together (--group-column names another column)")
    used = [columns.path, columns.label, columns.split, columns.weight, columns.group]
    # Extraction and scoring divide nothing: the same table's groups count later.
    unread = None if choice.finds_groups or choice.group else find_group_column([n for n in names if n not in used])
    if unread is not None:
        taken.append(f"column '{unread}' is for training and evaluation only")
        used.append(unread)
    ignored = [name for name in names if name and name not in used]
    if ignored:
        noun = "ignored column" if len(ignored) == 1 else "ignored columns"
        taken.append(f"{noun}: {shorten(ignored)}")
    return taken


def explain_true_or_false(column: str) -> str:
    """Say what yes and no mean in a column; "" for one that names splits."""
    meaning: Mapping[str, tuple[str, str]] = TRUE_OR_FALSE
    if simplify_column(column) not in meaning:
        return ""
    if_true, if_false = meaning[simplify_column(column)]
    return f" (true: {if_true}, false: {if_false})"


def check_unchosen(data: str, choice: ColumnChoice) -> None:
    """Refuse columns for what has none.

    Raises
    ------
    DataError
        If columns were named.
    """
    if choice:
        flags = "--path-column and --label-column are"
        if choice.group and not (choice.path or choice.label):
            flags = "--group-column is"
        raise DataError(f"'{data}' is not a table: {flags} for CSV and JSON Lines files")
