"""A cache in an object store: one object a file, written by one request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from featx.errors import BrokenPart, StoreError
from featx.files import show_size
from featx.storage.client import FETCHING_THREADS, LostConnection, ask, make_client, quote_tag
from featx.storage.copies import HEAD, Copies, open_in_memory, read_room
from featx.storage.opened import Data, MeasureHead, OpenedFile
from featx.storage.paths import ObjectMeta, ObjectPath, usual_folder
from featx.storage.threads import requesting_threads

HEAD_BYTES = 2**16
"""Bytes that are read of a head at first: the whole head of parts of up to 1,800 rows."""

MOST_OBJECT_BYTES = 2**29
"""Size of an object that is read whole. Parts end with 128 MiB and a row, which has 256 MiB at most."""


@cache
def storage_of_bucket(bucket: str, copies: Path | None) -> ObjectStorage:
    """Give the storage of a bucket, one in a process for each folder of copies.

    Raises
    ------
    RequestError, StoreError
        As `make_client` does.
    """
    return ObjectStorage(make_client(bucket), Copies(copies or usual_folder(), read_room()))


def read_meta(meta: Any) -> ObjectMeta:
    """Take what obstore says of an object."""
    modified = meta["last_modified"].timestamp()
    return ObjectMeta(meta["size"], quote_tag(meta["e_tag"] or str(modified)), modified, meta["version"] or "")


class ObjectStorage:
    """The methods of `Storage` for objects.

    An object of no bytes counts as none: it stands where something was taken away while somebody might write.

    Parameters
    ----------
    client : obstore.store.ObjectStore
    copies : Copies
    """

    # Listing and opening cost by the object. Large data sets have parts that end with their bytes.
    part_rows = (2**10, 2**16)
    merged_part_bytes = 2**27

    def __init__(self, client: Any, copies: Copies) -> None:
        self.client = client
        self.copies = copies

    def list_entries(self, folder: ObjectPath) -> list[ObjectPath]:
        """List the files and folders in a folder, sorted by name."""
        files, folders = self._list(folder)
        return sorted(files + folders)

    def list_folders(self, folder: ObjectPath) -> list[ObjectPath]:
        """List the folders in a folder, sorted by name, except hidden ones."""
        return [path for path in self._list(folder)[1] if not path.name.startswith(".")]

    def list_files(self, folder: ObjectPath) -> list[ObjectPath]:
        """List the objects in a folder, sorted by name; each knows its size and state."""
        return self._list(folder)[0]

    def _list(self, folder: ObjectPath) -> tuple[list[ObjectPath], list[ObjectPath]]:
        """List the objects and the folders in a folder.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        prefix = folder.name_in_bucket or None
        found = ask(folder, lambda: self.client.list_with_delimiter(prefix))
        files = []
        for meta in found["objects"]:
            if meta["size"]:
                name = meta["path"].rpartition("/")[2]
                files.append(ObjectPath(*split(folder / name), meta=read_meta(meta)))
        folders = [folder / prefix.rpartition("/")[2] for prefix in found["common_prefixes"]]
        return sorted(files), sorted(folders)

    def exists(self, path: ObjectPath) -> bool:
        """Whether there is an object, or any below this name."""
        try:
            self._head(path)
        except FileNotFoundError:
            return bool(self.list_entries(path))
        return True

    def _head(self, path: ObjectPath) -> ObjectMeta:
        """Ask for the size and state of an object."""
        return read_meta(self._ask_head(path))

    def _ask_head(self, path: ObjectPath) -> Any:
        """Ask for what obstore says of an object."""
        meta = ask(path, lambda: self.client.head(path.name_in_bucket))
        if not meta["size"]:
            raise FileNotFoundError(2, "no such object", str(path))
        return meta

    def read_file(self, file: ObjectPath, most_bytes: int, what: str) -> bytes:
        """Read a whole small object."""

        def read() -> bytes:
            result = self.client.get(file.name_in_bucket)
            size = result.meta["size"]
            if size > most_bytes:
                raise StoreError(f"{show_size(size)} are more than the {show_size(most_bytes)} that are read of {what}")
            data = bytes(result.bytes())
            check_length(file, len(data), size)
            return data

        return ask(file, read)

    def write_file(self, file: ObjectPath, data: Sequence[Data], is_read_again: bool = False) -> None:
        """Write an object by one request, which is carried out whole or not at all, and survives once it is answered.

        Never in several parts, of which a dead writer would leave some, hidden and paid for.
        """
        joined = b"".join([memoryview(piece).cast("B") for piece in data])
        result = ask(file, lambda: self.client.put(file.name_in_bucket, joined, use_multipart=False))
        if is_read_again and result["e_tag"]:
            self.copies.keep(file, ObjectMeta(len(joined), quote_tag(result["e_tag"]), 0.0), joined)

    def open_file(self, file: ObjectPath, measure_head: MeasureHead | None = None) -> OpenedFile:
        """Open the copy of an object, or of its head, which is made if there is none."""
        meta = file.meta or self._head(file)
        opened = self.copies.open(file, meta)
        if opened is None and measure_head is not None:
            opened = self.copies.open(file, meta, HEAD) or self._fetch_head(file, measure_head)
        return opened or self._fetch(file, is_kept=True)

    def open_anew(self, file: ObjectPath) -> OpenedFile:
        """Read an object whole, whatever copies there are; no copy is made."""
        return self._fetch(file, is_kept=False)

    def _fetch(self, file: ObjectPath, is_kept: bool) -> OpenedFile:
        """Read a whole object."""

        def fetch() -> tuple[ObjectMeta, Any]:
            result = self.client.get(file.name_in_bucket)
            size = result.meta["size"]
            # Before any of it is read into memory.
            if size > MOST_OBJECT_BYTES:
                raise BrokenPart(
                    f"'{file}' has {show_size(size)}, more than the {show_size(MOST_OBJECT_BYTES)} of a part"
                )
            data = result.bytes()
            check_length(file, len(data), size)
            return read_meta(result.meta), data

        meta, data = ask(file, fetch)
        if not meta.size:
            raise FileNotFoundError(2, "no such object", str(file))
        if is_kept:
            self.copies.keep(file, meta, memoryview(data))
            opened = self.copies.open(file, meta)
            if opened is not None:
                return opened
        return open_in_memory(memoryview(data), meta, is_whole=True)

    def _fetch_head(self, file: ObjectPath, measure_head: MeasureHead) -> OpenedFile:
        """Read the head of an object: by one request where it is of the usual length, else by two."""

        def fetch(stop: int) -> tuple[ObjectMeta, bytes]:
            result = self._get_range(file, stop)
            data = bytes(result.bytes())
            check_length(file, len(data), min(stop, result.meta["size"]))
            return read_meta(result.meta), data

        meta, data = ask(file, lambda: fetch(HEAD_BYTES))
        length = min(measure_head(data), meta.size)
        if length > len(data):
            meta, data = ask(file, lambda: fetch(length))
        head = data[: length or len(data)]
        self.copies.keep(file, meta, head, HEAD)
        return self.copies.open(file, meta, HEAD) or open_in_memory(head, meta, is_whole=False)

    def _get_range(self, file: ObjectPath, stop: int) -> Any:
        from obstore import get

        return get(self.client, file.name_in_bucket, options={"range": (0, stop)})

    def fetch_heads(self, files: Sequence[ObjectPath], measure_head: MeasureHead) -> None:
        """Read the heads of objects of which there are no copies, many at a time.

        Raises
        ------
        StoreError
            If the bucket cannot be read.
        """
        missing = [file for file in files if file.meta is not None and not self.copies.has(file, file.meta)]
        if len(missing) < 2:
            return

        def fetch(file: ObjectPath) -> None:
            # Removed meanwhile: whoever opens it finds out.
            with suppress(FileNotFoundError):
                self._fetch_head(file, measure_head).close()

        with requesting_threads(FETCHING_THREADS, "fetch") as pool:
            futures = [pool.submit(fetch, file) for file in missing]
            for future in futures:
                future.result()

    def forget_copy(self, file: ObjectPath) -> bool:
        """Remove all copies of an object; tell whether there were any."""
        return self.copies.forget(file)

    def read_modified(self, file: ObjectPath) -> int:
        """When an object was written, in ns since 1970."""
        meta = file.meta or self._head(file)
        return int(meta.modified * 1e9)

    def remove_file(self, file: ObjectPath) -> None:
        """Remove an object and its copies; no error where it is gone."""
        self.copies.forget(file)
        with suppress(FileNotFoundError):
            ask(file, lambda: self.client.delete(file.name_in_bucket))

    def finish_removal(self, folder: ObjectPath) -> None:
        """Do nothing: what was removed stays so."""

    def remove_folder(self, folder: ObjectPath) -> None:
        """Do nothing: folders are there as long as objects lie in them."""

    def remove_given_up(self, root: ObjectPath) -> list[str]:
        """Remove unfinished copies; in the bucket nothing can be unfinished."""
        return self.copies.remove_given_up()

    @contextmanager
    def holding(self, file: ObjectPath) -> Iterator[str]:
        """Give the tag and the version of an object, which are others once somebody writes it."""
        meta = self._ask_head(file)
        # The tag as the store writes it, which is to be told so.
        yield f"{meta['e_tag']}\n{meta['version'] or ''}"

    def move_file(self, file: ObjectPath, target: ObjectPath, state: str) -> bool:
        """Move an object that has this tag and version; tell whether it was.

        It is replaced by an object of no bytes on condition that it still has them, which the store checks. Deleting
        would take away what a writer may just have put there.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        tag, _, version = state.partition("\n")
        # Google asks for the version, the others for the tag.
        condition = {"e_tag": tag, "version": version} if version else {"e_tag": tag}
        ask(file, lambda: self.client.copy(file.name_in_bucket, target.name_in_bucket))
        ask(target, lambda: self._check_copy(target))

        def replace() -> bool:
            try:
                self.client.put(file.name_in_bucket, b"", mode=condition, use_multipart=False)
            except (PreconditionError, AlreadyExistsError):
                # Done already, where an answer was lost: then nothing is there.
                return not self.exists(file)
            # A store that knows no conditions, such as folders: nobody writes there but tests.
            except NotImplementedError:
                if self._ask_head(file)["e_tag"] != tag:
                    return False
                self.client.delete(file.name_in_bucket)
            return True

        is_moved = ask(file, replace)
        if not is_moved:
            self.remove_file(target)
        self.forget_copy(file)
        return is_moved

    def _check_copy(self, target: ObjectPath) -> None:
        """Raise LostConnection where a copy has no bytes yet: Azure may answer before it copies."""
        if not self.client.head(target.name_in_bucket)["size"]:
            raise LostConnection(f"'{target}' has not been copied yet: run the command again")


def split(path: ObjectPath) -> tuple[str, str, Path | None]:
    """Give what a path is made of, but for what a listing said."""
    return path.bucket, path.name_in_bucket, path.copies


def check_length(file: ObjectPath, read: int, expected: int) -> None:
    """Raise LostConnection where an answer ended early."""
    if read != expected:
        raise LostConnection(f"'{file}' cannot be read: the answer ended after {read} of {expected} bytes")
