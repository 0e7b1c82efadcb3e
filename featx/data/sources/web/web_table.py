"""What an address of the web names as a data set: a table whose rows name pictures."""

from __future__ import annotations

from pathlib import Path

from featx.data.listing import Listing
from featx.data.sources.buckets.bucket_files import find_named_objects
from featx.data.sources.buckets.bucket_folder import BucketTables
from featx.data.sources.columns import ColumnChoice
from featx.data.sources.content import PICTURE_SUFFIXES, find_suffix
from featx.data.sources.csv_file import CSV_SUFFIXES, parse_csv
from featx.data.sources.jsonl_file import parse_jsonl
from featx.data.sources.metadata import TABLE_SUFFIXES
from featx.data.sources.table import ImageTable, list_paths, list_table
from featx.data.sources.web.web_files import refuse_users
from featx.data.text_file import decode_text
from featx.errors import DataError
from featx.files import show_size
from featx.storage.addresses import find_address_path
from featx.storage.paths import is_web_url
from featx.storage.web import look_at, read_address

MOST_TABLE_BYTES = 2**28
"""Larger tables are refused before they are read: some three million rows."""

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".parquet", ".arrow")
"""Files of pictures that are read in many small pieces."""


class WebTables(BucketTables):
    """Tables at addresses of the web; what they name is asked for once all rows are known."""

    def read_text(self, file: str) -> str:
        """Read a table.

        Raises
        ------
        DataError
            If it is not there, cannot be read, is too large, or is not UTF-8.
        """
        name = find_address_path(file)
        try:
            entry = look_at(file)
            if entry.size > MOST_TABLE_BYTES:
                most = show_size(MOST_TABLE_BYTES)
                raise DataError(f"'{name}': {show_size(entry.size)} are more than the {most} that are read of a table")
            data = read_address(file, entry.tag, entry.size)
        except OSError as error:
            raise DataError(f"'{name}' cannot be read: {error.strerror or error}") from None
        return decode_text(name, data)


def is_web(data: str) -> bool:
    """Whether DATA is an address of the web."""
    return is_web_url(data)


def list_web(data: str, cache: Path | None, strict: bool, choice: ColumnChoice) -> Listing:
    """List the pictures that a table at an address names.

    Parameters
    ----------
    data : str
        The address.
    cache : pathlib.Path or None
    strict : bool
    choice : ColumnChoice
        Columns that the user named.

    Raises
    ------
    DataError
        If it is no table, cannot be read, or names no picture that can be read.
    """
    if not is_table_address(data):
        raise refuse_address(data)
    return list_table(read_web_table(data, choice), choice, data)


def list_web_pictures(data: str, path_column: str | None) -> Listing | None:
    """List every picture that a table at an address names, without labels; None where the address is one of a picture.

    Raises
    ------
    DataError
        If it is neither, or the table cannot be read.
    """
    refuse_users([data])
    if is_table_address(data):
        choice = ColumnChoice(path_column)
        paths = list_paths(read_web_table(data, choice), choice)
        nothing = [""] * len(paths)
        return Listing(data, paths, nothing, nothing, find_named_objects(paths))
    path = find_address_path(data).lower()
    if path.endswith(("/", *ARCHIVE_SUFFIXES)):
        raise refuse_address(data)
    return None


def read_web_table(data: str, choice: ColumnChoice) -> ImageTable:
    """Read a table; its rows count from its own address, without what follows "?" in it.

    Raises
    ------
    DataError
        As `list_web` does.
    """
    refuse_users([data])
    place = WebTables()
    text = place.read_text(data)
    name = find_address_path(data)
    if name.lower().endswith(CSV_SUFFIXES):
        return parse_csv(name, text, choice, place)
    return parse_jsonl(name, text, place)


def is_table_address(url: str) -> bool:
    """Whether an address is one of a table, by its suffix."""
    return find_address_path(url).lower().endswith(TABLE_SUFFIXES)


def refuse_address(url: str) -> DataError:
    """Build the error for an address that names no table."""
    refuse_users([url])
    path = find_address_path(url)
    if path.lower().endswith(ARCHIVE_SUFFIXES):
        what = "is not read over the network: copy it to this machine"
    elif find_suffix(path) in PICTURE_SUFFIXES:
        what = "is a single picture: name it in a table, or to `featx predict`"
    else:
        what = "is not the address of a table, and a web server does not list what lies in a folder"
    return DataError(f"'{path}' {what}. DATA may be https://HOST/rows.csv (or .tsv, .jsonl), whose rows name pictures")
