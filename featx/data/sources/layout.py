"""How the folders of a data set are laid out: which of them are classes, which are splits, or that nobody can tell.

CLASS/photo.jpg     SPLIT/CLASS/photo.jpg     CLASS/SPLIT/photo.jpg     photo.jpg, without classes
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from featx.data.listing import find_split, looks_like_split
from featx.data.sources.doubts import (
    MOST_NAMES,
    doubt_masks,
    doubt_outer_folders,
    name_folders,
    suggest_parent,
    suggest_table,
)
from featx.data.sources.passed_over import NO_PICTURES, OUTSIDE
from featx.data.sources.side_files import is_side_folder
from featx.data.sources.tree import Contents, Folder, Tree
from featx.errors import DataError, shorten


@dataclass(frozen=True)
class FolderPart:
    """A folder all of whose pictures share a label and a split; each is "" where there is none."""

    label: str
    split: str
    contents: Contents


@dataclass
class FolderLayout:
    """What the folders of a data set stand for.

    Attributes
    ----------
    parts : list of FolderPart
    notes : list of str
        What was taken for what, where names alone had to tell.
    warnings : list of str
        What may have been meant otherwise.
    """

    parts: list[FolderPart] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find_layout(tree: Tree) -> FolderLayout:
    """Find out what the folders of a data set stand for.

    Raises
    ------
    DataError
        If there are neither class folders nor pictures, or if folders may be read in two ways.
    """
    top = tree.scan(tree.root)
    folders = keep_pictured(tree, top.folders)
    if not folders:
        return find_flat_layout(tree, top)
    splits: list[Folder] = []
    others: list[Folder] = []
    for folder in folders:
        if find_split(folder.name):
            splits.append(folder)
        else:
            others.append(folder)
    if splits and not others:
        layout = read_splits(tree, splits)
    elif splits:
        layout = read_mixture(tree, splits, others)
    else:
        check_split_names(tree, others)
        layout = read_classes(tree, others)
    pass_over_files(tree, layout, [top])
    warn_of_hidden(tree, layout, [top])
    return layout


def keep_pictured(tree: Tree, folders: Iterable[Folder]) -> list[Folder]:
    """Keep the folders that hold pictures at any depth; the others are passed over."""
    pictured = []
    for folder in folders:
        if tree.holds_files(folder):
            pictured.append(folder)
        else:
            tree.skip(folder.path, NO_PICTURES)
    return pictured


def find_flat_layout(tree: Tree, top: Contents) -> FolderLayout:
    """Read pictures that lie in the folder itself, without classes.

    Raises
    ------
    DataError
        If there are none.
    """
    root = tree.root.path
    if top.files:
        note = f"'{root}' holds no class folders: its pictures are read without labels"
        parent = suggest_parent(root) if tree.is_on_disk else ""
        line = note + parent + suggest_table(tree, [tree.root])
        return FolderLayout([FolderPart("", "", top.without_folders())], [line])
    if top.folders:
        raise DataError(f"'{root}' is empty: its class folders hold no images")
    name = tree.root.name or root
    hidden = f"; hidden folders such as '{top.hidden[0]}' are passed over" if top.hidden else ""
    raise DataError(
        f"'{root}' holds no class folders. Expected is {name}/CLASS/photo.jpg, "
        f"or {name}/train/CLASS/photo.jpg with val/ or test/ beside train/{hidden}"
    )


def read_splits(tree: Tree, splits: Sequence[Folder]) -> FolderLayout:
    """Read SPLIT/CLASS/photo.jpg, or SPLIT/photo.jpg where no split has class folders.

    Raises
    ------
    DataError
        If the class folders lie one folder deeper.
    """
    layout = FolderLayout(notes=[describe_splits(folder.name for folder in splits)])
    classes_of = {split: keep_pictured(tree, tree.scan(split).folders) for split in splits}
    split_contents = [tree.scan(split) for split in splits]
    if not any(classes_of.values()):
        unlabelled = f"'{tree.root.path}' holds no class folders: its pictures are read without labels"
        layout.notes.append(unlabelled + suggest_table(tree, [tree.root, *splits]))
        for each in split_contents:
            layout.parts.append(FolderPart("", find_split(each.folder.name) or "", each.without_folders()))
        return layout
    check_depth(tree, classes_of)
    for split, classes in classes_of.items():
        for folder in classes:
            layout.parts.append(FolderPart(folder.name, find_split(split.name) or "", tree.scan(folder)))
    note_nested(tree, layout, chain.from_iterable(classes_of.values()))
    pass_over_files(tree, layout, split_contents)
    warn_of_hidden(tree, layout, split_contents)
    return layout


def check_depth(tree: Tree, classes_of: dict[Folder, list[Folder]]) -> None:
    """Refuse splits each of which holds one folder with the classes in it.

    Raises
    ------
    DataError
        With the folder that is too much.
    """
    for split, classes in classes_of.items():
        if len(classes) != 1 or not holds_folders_only(tree, classes[0]):
            return
        if tree.scan(split).files:
            return
    first = next(classes[0] for classes in classes_of.values())
    raise DataError(
        f"'{tree.root.path}' is one folder too deep: each split holds one folder only, such as '{first.path}', and the "
        f"classes seem to lie in that. Move them up, to {Path(first.path).parent}/CLASS/photo.jpg"
    )


def holds_folders_only(tree: Tree, folder: Folder) -> bool:
    """Whether all pictures of a folder lie in folders inside it."""
    contents = tree.scan(folder)
    return not contents.files and any(tree.holds_files(inner) for inner in contents.folders)


def read_mixture(tree: Tree, splits: Sequence[Folder], others: Sequence[Folder]) -> FolderLayout:
    """Read folders only some of which have names of splits: as classes, if each of them holds its pictures itself.

    Raises
    ------
    DataError
        If they hold folders, and so nobody can tell.
    """
    root = tree.root.path
    split_names = name_folders(splits)
    other_names = name_folders(others)
    if any(tree.scan(folder).folders for folder in (*splits, *others)):
        are_splits = "is the name of a split" if len(splits) == 1 else "are names of splits"
        are_not = "is not" if len(others) == 1 else "are not"
        raise DataError(
            f"'{root}' mixes splits with other folders: {split_names} {are_splits}, {other_names} {are_not}. "
            "Name every folder train, val or test, or move the others out; where a class has such a name, list the "
            "images in a CSV file (path,label)"
        )
    layout = read_classes(tree, sorted((*splits, *others), key=lambda folder: folder.name))
    layout.warnings.append(
        f"{split_names} in '{root}' is read as a class, not as a split: like {other_names} beside it, it holds "
        "pictures and no class folders"
    )
    return layout


def check_split_names(tree: Tree, folders: Sequence[Folder]) -> None:
    """Refuse folders all of whose names look like splits, though none is one that is known.

    Raises
    ------
    DataError
        With their names.
    """
    is_like_train = any("train" in folder.name.lower() for folder in folders)
    if len(folders) < 2 or not is_like_train or not all(looks_like_split(folder.name) for folder in folders):
        return
    names = name_folders(folders)
    raise DataError(
        f"'{tree.root.path}' holds {names}, which look like splits and are not names that featx knows: "
        "rename them to train, val and test"
    )


def read_classes(tree: Tree, folders: Sequence[Folder]) -> FolderLayout:
    """Read CLASS/photo.jpg, or CLASS/SPLIT/photo.jpg where every class is divided.

    Raises
    ------
    DataError
        If the classes lie one folder deeper, or only some classes are divided into splits.
    """
    if len(folders) == 1:
        check_only_folder(tree, folders[0])
    inner = {folder: keep_pictured(tree, tree.scan(folder).folders) for folder in folders}
    has_splits = [folder for folder in folders if any(find_split(each.name) for each in inner[folder])]
    divided = [folder for folder in folders if is_divided(tree, folder, inner[folder])]
    if len(divided) == len(folders):
        return read_divided_classes(tree, inner)
    if has_splits:
        raise undivided(tree, has_splits, [folder for folder in folders if folder not in divided])
    layout = FolderLayout()
    for folder in folders:
        layout.parts.append(FolderPart(folder.name, "", tree.scan(folder)))
    table = suggest_table(tree, [tree.root]) if len(folders) == 1 else ""
    if table:
        layout.notes.append(f"all pictures are of one class, the folder '{folders[0].name}'{table}")
    layout.warnings += filter(None, [doubt_masks(tree, folders)])
    outer = doubt_outer_folders(tree, folders)
    if outer:
        layout.warnings.append(outer)
    else:
        note_nested(tree, layout, folders)
    return layout


def check_only_folder(tree: Tree, folder: Folder) -> None:
    """Refuse one folder that holds nothing but folders: its own folders are probably the classes.

    Raises
    ------
    DataError
        With the path that was probably meant.
    """
    if not holds_folders_only(tree, folder) or tree.scan(tree.root).files:
        return
    inner = name_folders(tree.scan(folder).folders)
    meant = folder
    while holds_folders_only(tree, meant):
        pictured = list(filter(tree.holds_files, tree.scan(meant).folders))
        if len(pictured) > 1 or find_split(pictured[0].name) or not holds_folders_only(tree, pictured[0]):
            break
        meant = pictured[0]
    raise DataError(
        f"'{tree.root.path}' holds one folder only, '{folder.name}', and its pictures lie deeper, in {inner}: "
        f"did you mean '{meant.path}'?"
    )


def is_divided(tree: Tree, folder: Folder, inner: Sequence[Folder]) -> bool:
    """Whether a class folder holds splits and nothing else."""
    return bool(inner) and all(find_split(each.name) for each in inner) and not tree.scan(folder).files


def read_divided_classes(tree: Tree, inner: dict[Folder, list[Folder]]) -> FolderLayout:
    """Read CLASS/SPLIT/photo.jpg."""
    layout = FolderLayout()
    names: list[str] = []
    for folder, splits in inner.items():
        for split in splits:
            layout.parts.append(FolderPart(folder.name, find_split(split.name) or "", tree.scan(split)))
            names.append(split.name)
    layout.notes.append(f"{describe_splits(names)} inside the class folders")
    note_nested(tree, layout, chain.from_iterable(inner.values()))
    return layout


def undivided(tree: Tree, has_splits: Sequence[Folder], others: Sequence[Folder]) -> DataError:
    """Build the error for a data set of which only some class folders are divided into splits."""
    root = tree.root.path
    first = has_splits[0]
    odd = next(iter(others))
    if odd in has_splits:
        strange = [each for each in tree.scan(odd).folders if not find_split(each.name) and tree.holds_files(each)]
        beside = name_folders(strange) or "pictures"
        return DataError(
            f"'{odd.path}' holds splits and, beside them, {beside}: move that elsewhere, so that each class folder of "
            f"'{root}' holds train, val or test only; or did you mean '{odd.path}' itself?"
        )
    names = name_folders(others)
    return DataError(
        f"'{root}': the folder '{first.name}' is divided into splits and {names} is not: "
        f"divide every class or none; or did you mean '{first.path}'?"
    )


def describe_splits(names: Iterable[str]) -> str:
    """Say which folders were taken for which splits."""
    named = dict.fromkeys(names)
    splits = list(dict.fromkeys(find_split(name) or "" for name in named))
    in_order = [split for split in ("train", "val", "test") if split in splits]
    renamed = [f"'{name}' is {find_split(name)}" for name in named if name != find_split(name)]
    source = f"from folder names: {', '.join(renamed)}" if renamed else "from folder names"
    return f"splits: {', '.join(in_order)} ({source})"


def note_nested(tree: Tree, layout: FolderLayout, folders: Iterable[Folder]) -> None:
    """Say that folders inside class folders are no labels."""
    nested: list[Folder] = []
    for folder in folders:
        nested += filter(tree.holds_files, tree.scan(folder).folders)
    if nested:
        inside = "1 folder" if len(nested) == 1 else f"{len(nested)} folders"
        layout.notes.append(
            f"pictures of {inside} inside class folders, such as '{nested[0].path}', count for the class; "
            "names of folders that deep are not read"
        )


def pass_over_files(tree: Tree, layout: FolderLayout, places: Iterable[Contents]) -> None:
    """Pass over pictures that lie beside class folders, with a warning."""
    outside: list[str] = []
    for contents in places:
        outside += contents.files
    for path in outside:
        tree.skip(path, OUTSIDE)
    if outside:
        lie = "1 picture lies" if len(outside) == 1 else f"{len(outside)} pictures lie"
        are = "is" if len(outside) == 1 else "are"
        layout.warnings.append(f"{lie} outside the class folders and {are} passed over, such as '{outside[0]}'")


def warn_of_hidden(tree: Tree, layout: FolderLayout, places: Iterable[Contents]) -> None:
    """Warn of hidden folders that hold pictures where classes lie: somebody may have named a class so."""
    hidden: list[str] = []
    for contents in places:
        hidden += [path for path in contents.hidden if holds_pictures(tree, path)]
    if hidden:
        names = shorten((f"'{path}'" for path in hidden), MOST_NAMES)
        is_hidden = "is hidden and holds pictures" if len(hidden) == 1 else "are hidden and hold pictures"
        layout.warnings.append(f"{names} {is_hidden}: passed over; rename what is a class")


def holds_pictures(tree: Tree, path: str) -> bool:
    """Whether a folder that is no part of the data set holds pictures."""
    if is_side_folder(Path(path).name):
        return False
    apart = tree.apart(path)
    try:
        return apart.holds_files(apart.root)
    except DataError:
        return False
