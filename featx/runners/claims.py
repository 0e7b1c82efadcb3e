"""Which images an extraction has to compute, and which of several equal rows computes each."""

from __future__ import annotations

from featx.runners.feature_writers import FeatureWriters


class Claims:
    """A table of the images that this run computes, each with the row that computes it.

    Parameters
    ----------
    writers : FeatureWriters
        Know what the store lacks.
    """

    def __init__(self, writers: FeatureWriters) -> None:
        self.writers = writers
        self._rows: dict[bytes, int] = {}

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._rows

    def claim(self, digest: bytes, row: int) -> bool:
        """Claim an image for a row, from any thread.

        Returns
        -------
        bool
            Whether the row is to compute it: the store lacks it, and no earlier row shows the same image.
        """
        if not self.writers.lacks(digest):
            return False
        # Threads may ask for a later row first. Then both compute the image, and `settle` drops the later one.
        return self._rows.setdefault(digest, row) >= row

    def settle(self, digest: bytes, row: int) -> bool:
        """Say whether a row computes its image for the run; asked in order of the rows, once for each."""
        is_first = self._rows.get(digest, -1) >= row
        if is_first:
            self._rows[digest] = row
        return is_first
