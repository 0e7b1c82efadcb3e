"""The digest of the weights file that a request names: what finds the base in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from featx.base_choice import BaseChoice
from featx.bases.weights import digest_file
from featx.store.base_json import StoredBase


def digest_weights(choice: BaseChoice, named: Sequence[StoredBase]) -> str:
    """Digest the weights file that a choice names, as the cached bases of its name were digested.

    Parameters
    ----------
    named : sequence of StoredBase
        The cached bases of that name.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    digest = digest_file(Path(choice.weights or "").expanduser())
    if any(base.id.weights == digest for base in named):
        return digest
    # The file may hold more than the network, or behind another prefix: what is what, only the network's names tell.
    # That needs torch, so it is asked last.
    from featx.bases.loading import digest_choice

    return digest_choice(choice)
