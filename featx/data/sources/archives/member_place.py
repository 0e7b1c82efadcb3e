"""The members of an archive, or the objects in a folder of a bucket, as a table among them names them."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from featx.data.listing import ImageFiles, find_split
from featx.data.sources.archives.member_tree import clean_member_name
from featx.data.sources.metadata import LABELS_NAME, METADATA_NAMES
from featx.data.sources.written_paths import is_visible
from featx.data.text_file import decode_text
from featx.errors import DataError

TABLE_NAMES = (*METADATA_NAMES, LABELS_NAME)


class MemberFiles(ImageFiles, Protocol):
    """Image files that are known by their paths."""

    @property
    def rows(self) -> Mapping[str, int]:
        """Path to its row."""
        ...


class MemberPlace:
    """Members by their paths, which begin with that of the archive; nothing outside of it is ever looked at.

    Parameters
    ----------
    root : str
        Path of the archive.
    names : sequence of str
        Names of members; each is listed as `root/name`.
    files : MemberFiles
        How they are read.
    """

    is_on_disk = False
    takes_urls = False

    def __init__(self, root: str, names: Sequence[str], files: MemberFiles) -> None:
        self.root = root
        self.files = files
        self._listed_as: dict[str, str] = {}
        for name in names:
            clean = clean_member_name(name)
            if clean is not None and clean != name:
                self._listed_as.setdefault(f"{root}/{clean}", f"{root}/{name}")
        self._folders = gather_folders([*filter(None, map(clean_member_name, names))])

    def is_file(self, path: str) -> bool:
        """Whether there is a member of a path."""
        return self.name_path(path) in self.files.rows

    def exists(self, path: str) -> bool:
        """Whether there is a member of a path."""
        return self.is_file(path)

    def list_folders(self, folder: str) -> list[str]:
        """List the visible folders in a folder, sorted by name."""
        inside = folder[len(self.root) + 1 :]
        return [f"{folder}/{name}" for name in sorted(self._folders.get(inside, ())) if is_visible(name)]

    def read_text(self, file: str) -> str:
        """Read a table.

        Raises
        ------
        DataError
            If it cannot be read, or is not UTF-8.
        """
        try:
            data = self.files.find(self.name_path(file)).read()
        except OSError as error:
            raise DataError(f"'{file}' cannot be read: {error.strerror or error}") from error
        return decode_text(file, data)

    def name_path(self, path: str) -> str:
        """Give the path by which a member is listed, without `..`; what lies outside is never found."""
        if not path.startswith(f"{self.root}/"):
            return path
        inside = path[len(self.root) + 1 :]
        if "." in inside:
            inside = posixpath.normpath(inside)
        path = f"{self.root}/{inside}"
        return self._listed_as.get(path, path)

    def find_root(self) -> str:
        """Find the folder that a table may lie in: the archive, or the one around everything in it."""
        root = self.root
        while not any(self.is_file(f"{root}/{name}") for name in TABLE_NAMES):
            folders = self.list_folders(root)
            if len(folders) != 1 or find_split(posixpath.basename(folders[0])):
                return root
            root = folders[0]
        return root


def holds_tables(names: Sequence[str]) -> bool:
    """Whether any member has the name of such a table."""
    return any(name.endswith(TABLE_NAMES) for name in names)


def gather_folders(names: Iterable[str]) -> dict[str, set[str]]:
    """Gather the names of folders by the folder that they lie in, "" being the archive itself."""
    folders: defaultdict[str, set[str]] = defaultdict(set)
    seen: set[str] = set()
    for name in names:
        folder = posixpath.dirname(name)
        while folder and folder not in seen:
            seen.add(folder)
            folder, _, last = folder.rpartition("/")
            folders[folder].add(last)
    return folders
