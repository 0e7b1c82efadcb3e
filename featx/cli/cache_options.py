"""The options that say where the feature store lies, and what is done anew all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from featx.cli.options import UserPath, join_options
from featx.errors import RequestError
from featx.requests import default_cache
from featx.storage.paths import parse_cache


class CachePlace(UserPath):
    """A folder, or the URL of an object store; copies of its parts go where --local-cache says."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Read where the cache is."""
        copies = context.meta.get(LOCAL_CACHE) if context is not None else None
        try:
            cache = parse_cache(value, copies)
        except RequestError as error:
            self.fail(str(error), parameter, context)
        return super().convert(cache, parameter, context) if isinstance(cache, Path) else cache


LOCAL_CACHE = "featx.local_cache"
"""Where the context of a command keeps what --local-cache says, which is read first."""


def remember_local_cache(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Keep what --local-cache says for --cache."""
    context.meta[LOCAL_CACHE] = value


cache_option = join_options(
    click.option(
        "--cache",
        type=CachePlace(file_okay=False),
        default=default_cache,
        help="Feature store: a folder, or s3://BUCKET/FOLDER, gs://, az://.  [default: $FEATX_CACHE, else ./cache]",
    ),
    click.option(
        "--local-cache",
        type=UserPath(file_okay=False),
        is_eager=True,
        expose_value=False,
        callback=remember_local_cache,
        help="Folder for copies of parts of a --cache in an object store.  [default: $FEATX_LOCAL_CACHE, else "
        "~/.cache/featx]",
    ),
)
"""Where the feature store lies."""

rehash_option = click.option("--rehash", is_flag=True, help="Read every file again, even if it looks unchanged.")

refit_option = click.option("--refit", is_flag=True, help="Fit again, even if an earlier run left the result.")

feature_cache_options = join_options(rehash_option, cache_option)
"""For commands that take features from the store."""

fit_cache_options = join_options(rehash_option, refit_option, cache_option)
"""For commands that take results of fits from it, too."""
