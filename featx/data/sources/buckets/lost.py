"""What ends a run that reads images by requests."""

from __future__ import annotations

from featx.errors import FeatxError


class BucketLost(FeatxError, RuntimeError):
    """A bucket that cannot be read at all: this ends a run, where an image that cannot be read does not."""
