"""`fcntl`, which locks files and sizes pipes: of the standard library, but None on Windows, which has neither."""

from __future__ import annotations

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

__all__ = ["fcntl"]
