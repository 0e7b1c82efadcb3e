"""What a decoding process runs: it takes files from its parent, limits itself, and ends with its parent."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO

from featx.images.decoding_process import Decoded, NeedsMemory, list_bands, send_words
from featx.images.memory_budget import count_data_bytes, return_freed_memory
from featx.images.upright import find_shown_box
from featx.keys import ValueRange

try:
    import resource
except ImportError:
    # Windows has no such limits: time alone ends a process there.
    resource = None  # type: ignore[assignment]

PROCESSOR_SECONDS = 30
"""Seconds of a core after which the system ends a process whose parent could not."""

PARENT_SECONDS = 1.0
"""How often a process looks whether its parent still lives."""

MOST_KEPT = 2**27
"""Bytes that a picture may take without being returned to the system: they count as taken for the next one."""

DecodeWithin = Callable[[bytes, ValueRange | None, int, int | None], Decoded]
"""Decodes a file with a range of values, some bytes of memory and the least side of a scaled JPEG; raises NeedsMemory,
or ValueError with a reason."""


def serve(decode_within: DecodeWithin) -> None:
    """Be the process: decode what comes in until there is no more."""
    # Ctrl-C on a terminal is for the process that the user started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    source = sys.stdin.buffer
    # What a decoder prints must not be taken for an answer.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    while line := source.readline():
        request = json.loads(line)
        data = source.read(request["bytes"])
        value_range = tuple(request["range"]) if request["range"] else None
        try:
            with limits(request["allowed"]):
                decoded = decode_within(data, value_range, request["allowed"], request["least_side"])
        except NeedsMemory as error:
            send_words(sink, {"needs": error.needed})
        except ValueError as error:
            send_words(sink, {"reason": str(error)})
        else:
            send_decoded(sink, decoded)
            # Or the picture would still lie there when the next one is decoded.
            del decoded
        sink.flush()
        if request["allowed"] >= MOST_KEPT:
            return_freed_memory()


def send_decoded(sink: IO[bytes], decoded: Decoded) -> None:
    """Write what is known of a picture, and its pixels."""
    picture = decoded.picture
    use = asdict(decoded.range_use) if decoded.range_use else None
    words = {"size": picture.size, "use": use, "more": decoded.has_more_pages, "jpeg_side": decoded.jpeg_side}
    send_words(sink, {**words, "box": find_shown_box(picture)})
    for box in list_bands(*picture.size):
        sink.write(picture.crop(box).tobytes())


def end_with_parent(parent: int) -> None:
    """End this process once its parent is gone."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(1)


@contextmanager
def limits(allowed: int) -> Iterator[None]:
    """Limit what this process may take: bytes of memory beyond what it has, and seconds of a core."""
    if resource is None:
        yield
        return
    set_limit(resource.RLIMIT_CORE, 0)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    set_limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + PROCESSOR_SECONDS)
    set_limit(resource.RLIMIT_DATA, count_data_bytes() + allowed)
    try:
        yield
    finally:
        set_limit(resource.RLIMIT_DATA, None)


def set_limit(kind: int, most: int | None) -> None:
    """Limit what this process may take, or lift the limit as far as the system lets it."""
    hard = resource.getrlimit(kind)[1]
    soft = hard if most is None else most
    if most is not None and hard != resource.RLIM_INFINITY:
        soft = min(most, hard)
    resource.setrlimit(kind, (soft, hard))
