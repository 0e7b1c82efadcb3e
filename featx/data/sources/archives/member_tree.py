"""Names of members of an archive as a tree of folders, for `featx.data.sources.layout`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from featx.data.listing import find_split
from featx.data.sources.content import is_picture_name
from featx.data.sources.passed_over import HIDDEN_FOLDER, NOT_A_PICTURE, SIDE_FOLDER, SYSTEM_FILE, UNSAFE_NAME
from featx.data.sources.side_files import is_hidden, is_side_folder, is_system_file
from featx.data.sources.tree import Contents, Folder, Tree
from featx.errors import DataError

MOST_FOLDERS = 2**20
"""Folders that an archive may have, those above them counted for each: a few hundred bytes of memory each."""

BELOW = "\0"
"""Stands for the slash in names that are sorted, so that folders come in the order that folders on disk have."""

AFTER_BELOW = "\1"


class MemberTree(Tree):
    """Everything in an archive, read as it is asked for.

    Parameters
    ----------
    root : str
        Path of the archive.
    names : sequence of str
        Names of members with slashes between folders.
    paths : sequence of str
        Under which path each of them is listed.
    read_head : callable
        Path to the first bytes of a member, to see what it is; raises OSError.
    strict : bool
        Whether members that are not pictures are listed, too.

    Raises
    ------
    DataError
        If there are more folders than memory is meant for.
    """

    is_on_disk = False

    def __init__(
        self,
        root: str,
        names: Sequence[str],
        paths: Sequence[str],
        read_head: Callable[[str], bytes],
        strict: bool = False,
    ) -> None:
        super().__init__(root, None, strict)
        self._read_head = read_head
        safe: list[tuple[str, str]] = []
        for name, path in zip(names, paths, strict=True):
            clean = clean_member_name(name)
            if clean is None:
                self.skip(path, UNSAFE_NAME)
            else:
                safe.append((clean.replace("/", BELOW), path))
        safe.sort()
        self._names = [name for name, _ in safe]
        self._paths = [path for _, path in safe]
        self._prefixes = {self.root.path: ""}
        check_folders(root, self._names)

    def descend(self) -> None:
        """Take the only folder of an archive for its root, as long as that holds nothing but folders."""
        while True:
            contents = self.scan(self.root)
            pictured = [folder for folder in contents.folders if self.holds_files(folder)]
            if contents.files or len(pictured) != 1 or self.scan(pictured[0]).files or find_split(pictured[0].name):
                return
            self.root = pictured[0]

    def apart(self, path: str) -> Tree:
        """Give a tree of a folder that this one passes over."""
        prefix = self._prefixes[path]
        begin, end = self._find_range(prefix)
        names = [name[len(prefix) :].replace(BELOW, "/") for name in self._names[begin:end]]
        return MemberTree(path, names, self._paths[begin:end], self._read_head)

    def _find_range(self, prefix: str) -> tuple[int, int]:
        """Find the members in a folder: places among the sorted names."""
        if not prefix:
            return 0, len(self._names)
        return bisect_left(self._names, prefix), bisect_left(self._names, prefix[:-1] + AFTER_BELOW)

    def _read(self, folder: Folder) -> Contents:
        contents = Contents(folder)
        prefix = self._prefixes[folder.path]
        place, end = self._find_range(prefix)
        while place < end:
            name, separator, _ = self._names[place][len(prefix) :].partition(BELOW)
            if separator:
                inner = prefix + name + BELOW
                self._take_members(contents, name, inner)
                place = self._find_range(inner)[1]
            else:
                self._take_member(contents, name, self._paths[place])
                place += 1
        return contents

    def _take_members(self, contents: Contents, name: str, prefix: str) -> None:
        path = f"{contents.folder.path}/{name}"
        self._prefixes[path] = prefix
        if is_side_folder(name):
            self.skip(path, SIDE_FOLDER)
        elif is_hidden(name):
            self.skip(path, HIDDEN_FOLDER)
            contents.hidden.append(path)
        else:
            contents.entries.append(Folder(path, path))

    def _take_member(self, contents: Contents, name: str, path: str) -> None:
        if is_system_file(name):
            self.skip(path, SYSTEM_FILE)
        elif not self.strict and not is_picture_name(name, lambda: self._read_head(path)):
            self.skip(path, NOT_A_PICTURE)
        else:
            contents.entries.append(path)


def clean_member_name(name: str) -> str | None:
    """Write the name of a member with single slashes; None if it leads out of its archive, or is none.

    Nothing is ever written under such a name, but as a class or a group it would mean nothing.
    """
    if "/" not in name:
        # Some programs of Windows write their own separator.
        name = name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or name.startswith("/") or ".." in parts or "\0" in name or "\1" in name:
        return None
    return "/".join(parts)


def check_folders(root: str, names: Sequence[str]) -> None:
    """Refuse an archive with more folders than memory is meant for.

    Raises
    ------
    DataError
        With the limit.
    """
    total = 0
    last = ""
    for name in names:
        folder = name.rpartition(BELOW)[0]
        if folder == last:
            continue
        last = folder
        total += folder.count(BELOW) + 1
        if total > MOST_FOLDERS:
            raise DataError(f"'{root}' has too many folders in folders to be read, more than {MOST_FOLDERS:,}")
