"""Decodes files in a process beside this one: it gets so much memory and so many seconds, and is ended beyond them.

Decoders are written in C, run at the speed of what a file demands, and cannot be stopped within a process. Starting one
takes a tenth of a second or two, once; handing a picture over takes some nanoseconds a byte. So it serves files that
are not plain (`file_structure`), and all others are decoded where they are needed.

A request is a line of JSON and the file's bytes; so is the answer, with the pixels. What the process runs is
`decoding_worker`.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from PIL import Image

from featx.images.depth import BAND_PIXELS, RangeUse
from featx.images.upright import note_shown_box
from featx.keys import ValueRange
from featx.processes.posix import fcntl

PICTURE_SECONDS = 20.0
"""Seconds after which a picture counts as one that cannot be decoded."""

MOST_PROCESSES = os.cpu_count() or 1
"""Processes that decode at a time: more would only make each other slower, and so late."""

PIPE_BYTES = 2**20
"""Bytes that a pipe holds: as many as Linux grants to everybody."""

RGB_BYTES = 3
"""Bytes of a pixel on its way."""

DECODING_SCRIPT = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from featx.images.decoding_worker import serve
from featx.images.decode import decode_within
serve(decode_within)
"""
"""What a process runs, with the folders that this one imports from."""


class NeedsMemory(Exception):
    """A picture that takes more memory than was granted.

    Parameters
    ----------
    needed : int
        Bytes that decoding it takes.
    """

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


class NotDecoded(Exception):
    """A picture that another process could not decode, with the reason."""


class TookTooLong(NotDecoded):
    """A picture that was given up after `PICTURE_SECONDS`."""


class ProcessEnded(NotDecoded):
    """A picture whose decoder ended the process, or for which none could be started."""


@dataclass(frozen=True)
class Decoded:
    """A decoded picture, and what is to be known about how it was read.

    Attributes
    ----------
    picture : PIL.Image.Image
        Mode RGB.
    range_use : RangeUse or None
        Which values it holds; None of pictures of 8 bits, and of DICOM pictures that state their window.
    has_more_pages : bool
        Whether the file holds more pages or frames than this first one.
    jpeg_side : int
        Pixels of the shorter side of a JPEG as it lies in the file; 0 of other kinds.
    """

    picture: Image.Image
    range_use: RangeUse | None = None
    has_more_pages: bool = False
    jpeg_side: int = 0


class DecodingProcess:
    """A process that decodes one file after the other.

    Raises
    ------
    ProcessEnded
        If none can be started.
    """

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        # Without the current folder, whose files must never be taken for modules.
        folders = [root, *(folder for folder in sys.path if folder)]
        # One thread of arithmetic, which is not needed, and one arena: threads and arenas count as memory.
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", DECODING_SCRIPT, json.dumps(folders)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            reason = error.strerror or error
            raise ProcessEnded(f"no process could be started to decode it ({reason}): convert it to PNG") from error
        self.parent = os.getpid()
        for pipe in self.pipes():
            widen_pipe(pipe)

    def decode(
        self,
        data: bytes,
        value_range: ValueRange | None,
        allowed: int,
        seconds: float = PICTURE_SECONDS,
        least_side: int | None = None,
    ) -> Decoded:
        """Decode a file.

        Parameters
        ----------
        data : bytes
        value_range : pair of float or None
        allowed : int
            Bytes of memory that decoding may take.
        seconds : float
            How long it may take.
        least_side : int or None
            Pixels that are left at least of the shorter side of a JPEG; None leaves all.

        Raises
        ------
        NeedsMemory, NotDecoded
            After which the process can decode another one.
        TookTooLong, ProcessEnded
            After which it cannot.
        """
        source, sink = self.pipes()
        is_late = threading.Event()

        def give_up() -> None:
            is_late.set()
            self.process.kill()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            how = {"range": value_range, "allowed": allowed, "least_side": least_side}
            send_words(sink, {"bytes": len(data), **how})
            sink.write(data)
            sink.flush()
            answer = receive_words(source)
        except (OSError, EOFError, ValueError) as error:
            if is_late.is_set():
                raise TookTooLong(f"takes longer than {PICTURE_SECONDS:.0f} s to decode") from error
            raise ProcessEnded("its decoder crashed") from error
        finally:
            timer.cancel()
        if "needs" in answer:
            raise NeedsMemory(answer["needs"])
        if "reason" in answer:
            raise NotDecoded(answer["reason"])
        use = answer["use"]
        try:
            picture = receive_picture(source, *answer["size"])
        except (OSError, EOFError) as error:
            raise ProcessEnded("its decoder crashed") from error
        note_shown_box(picture, tuple(answer["box"]) if answer["box"] else None)
        return Decoded(picture, RangeUse(**use) if use else None, answer["more"], answer["jpeg_side"])

    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Give the ends that answers come from and requests go to."""
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        return self.process.stdout, self.process.stdin

    def close(self) -> None:
        """End the process and wait for its end."""
        self.process.kill()
        for pipe in self.pipes():
            with suppress(OSError):
                pipe.close()
        self.process.wait()


class DecodingProcesses:
    """Processes that wait for the next file."""

    def __init__(self) -> None:
        self.idle: list[DecodingProcess] = []
        self.places = threading.Semaphore(MOST_PROCESSES)
        self.lock = threading.Lock()

    @contextmanager
    def take(self) -> Iterator[DecodingProcess]:
        """Take a process that nobody uses, or start one; keep it unless something went wrong.

        Raises
        ------
        ProcessEnded
            If none can be started.
        """
        with self.places:
            process = self.find_idle() or DecodingProcess()
            is_usable = False
            try:
                yield process
                is_usable = True
            except (NeedsMemory, NotDecoded) as error:
                is_usable = not isinstance(error, TookTooLong | ProcessEnded)
                raise
            finally:
                if is_usable:
                    with self.lock:
                        self.idle.append(process)
                else:
                    process.close()

    def find_idle(self) -> DecodingProcess | None:
        """Take a process that waits, lives and is this one's own, not that of one which forked it."""
        with self.lock:
            while self.idle:
                process = self.idle.pop()
                if process.parent == os.getpid() and process.process.poll() is None:
                    return process
        return None

    def close(self) -> None:
        """End the processes that wait."""
        with self.lock:
            idle = self.idle
            self.idle = []
        for process in idle:
            # Those of a parent that was forked are the parent's.
            if process.parent == os.getpid():
                process.close()


PROCESSES = DecodingProcesses()
"""What all threads of this process share."""

atexit.register(PROCESSES.close)


def widen_pipe(pipe: IO[bytes]) -> None:
    """Let a pipe hold more, where the system lets us: a small picture then passes at once."""
    # Windows has pipes of one size.
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def send_words(sink: IO[bytes], words: dict[str, Any]) -> None:
    """Write a line of JSON."""
    sink.write(json.dumps(words).encode() + b"\n")


def receive_words(source: IO[bytes]) -> dict[str, Any]:
    """Read a line of JSON.

    Raises
    ------
    EOFError
        If the other end is closed.
    ValueError
        If it is not JSON, since the process ended within it.
    """
    line = source.readline()
    if not line:
        raise EOFError("the decoding process ended")
    words: dict[str, Any] = json.loads(line)
    return words


def receive_picture(source: IO[bytes], width: int, height: int) -> Image.Image:
    """Read the pixels of a picture, in bands so that they lie in memory once.

    Raises
    ------
    EOFError
        If the process ends within them.
    """
    picture = Image.new("RGB", (width, height))
    for box in list_bands(width, height):
        size = (width, box[3] - box[1])
        expected = size[0] * size[1] * RGB_BYTES
        pixels = source.read(expected)
        if len(pixels) < expected:
            raise EOFError("the decoding process ended")
        picture.paste(Image.frombuffer("RGB", size, pixels, "raw", "RGB", 0, 1), box)
    return picture


def list_bands(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """List the boxes in which pixels are handed over."""
    lines = max(1, BAND_PIXELS // width)
    for top in range(0, height, lines):
        yield 0, top, width, min(top + lines, height)
