"""Single grey DICOM pictures, such as X-rays and slices of CT, through pydicom (`pip install 'featx[dicom]'`).

Values are what the file's slope and intercept make of the stored ones (Hounsfield units in CT). Black and white are the
user's value range, else the first window that the file states, else the bits stored: never taken from the picture's own
values.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from featx.errors import first_line
from featx.images.depth import BAND_PIXELS, Depth, RangeUse, to_8_bits
from featx.keys import ValueRange

DEFLATED = b"1.2.840.10008.1.2.1.99"
"""Transfer syntax of files that are compressed as a whole: how large they become cannot be told beforehand."""

HEADER_BYTES = 2**11
"""Bytes in which a file's transfer syntax lies."""

DEFAULT_BITS = 12
"""Bits stored where a file does not say: what most scanners give."""

DICOM_BYTES_PER_PIXEL = 20
"""What decoding takes at its peak: stored values, float32 twice, grey and RGB."""

CONVERT = "convert it to PNG"


class UnreadableDicom(ValueError):
    """A DICOM file that is not a single grey picture, or that pydicom cannot read."""


@dataclass(frozen=True)
class DicomPicture:
    """A DICOM picture whose header is read.

    Attributes
    ----------
    dataset : pydicom.Dataset
    width, height : int
    orientation : int
        As in EXIF: DICOM pictures are upright.
    """

    dataset: Any
    width: int
    height: int
    orientation: int = 1

    def count_bytes(self) -> int:
        """Estimate the bytes that decoding takes."""
        return self.width * self.height * DICOM_BYTES_PER_PIXEL

    def read(self, value_range: ValueRange | None) -> tuple[Image.Image, RangeUse | None]:
        """Decode the pixels to 8 bits of grey; what they hold is told unless the file states a window.

        Raises
        ------
        UnreadableDicom
            If the pixels are compressed in a way that is not read, or missing.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                stored = self.dataset.pixel_array
        except Exception as error:  # pydicom raises what it likes
            reason = first_line(error).rstrip(".")
            raise UnreadableDicom(
                f"a DICOM picture whose pixels cannot be read ({reason}): decompress it or {CONVERT}"
            ) from error
        slope = self.number("RescaleSlope", 1.0)
        intercept = self.number("RescaleIntercept", 0.0)
        values = np.asarray(stored, np.float32) * np.float32(slope) + np.float32(intercept)
        window = self.read_window()
        depth = Depth(window or self.stored_range(), is_inverted=self.is_inverted())
        grey, use = to_8_bits(depth, Image.fromarray(values), b"", value_range, BAND_PIXELS)
        # A window is meant to cut off what lies beyond it.
        return grey, use if value_range is not None or window is None else None

    def is_inverted(self) -> bool:
        """Whether 0 is white."""
        return str(self.dataset.get("PhotometricInterpretation", "")) == "MONOCHROME1"

    def number(self, name: str, default: float) -> float:
        """Read a number, the first one where there are several."""
        value = self.dataset.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, str | int | float):
            return float(value)
        return float(value[0]) if len(value) else default

    def read_window(self) -> ValueRange | None:
        """Read the first window that the file states, as in PS3.3, C.11.2.1.2."""
        width = self.number("WindowWidth", 0.0)
        if "WindowCenter" not in self.dataset or not width >= 1:
            return None
        centre = self.number("WindowCenter", 0.0) - 0.5
        half = max(width - 1, 1.0) / 2
        return centre - half, centre + half

    def stored_range(self) -> ValueRange:
        """Give the range of the bits stored, rescaled as the values are."""
        bits = int(self.number("BitsStored", DEFAULT_BITS))
        is_signed = self.number("PixelRepresentation", 0.0) == 1
        lowest = -(2.0 ** (bits - 1)) if is_signed else 0.0
        slope = self.number("RescaleSlope", 1.0) or 1.0
        intercept = self.number("RescaleIntercept", 0.0)
        ends = sorted((lowest * slope + intercept, (lowest + 2.0**bits - 1) * slope + intercept))
        return ends[0], ends[1]


def open_dicom(data: bytes) -> DicomPicture:
    """Read the header of a DICOM file.

    Raises
    ------
    UnreadableDicom
        If it is not a single grey picture.
    """
    import pydicom

    if DEFLATED in data[:HEADER_BYTES]:
        raise UnreadableDicom(f"a DICOM file that is compressed as a whole: decompress it or {CONVERT}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(io.BytesIO(data))
            width = int(dataset.get("Columns") or 0)
            height = int(dataset.get("Rows") or 0)
            frames = int(dataset.get("NumberOfFrames") or 1)
            samples = int(dataset.get("SamplesPerPixel") or 1)
            photometric = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2")
    except Exception as error:  # pydicom raises what it likes
        raise UnreadableDicom(f"a DICOM file that cannot be read ({first_line(error).rstrip('.')})") from error
    if width < 1 or height < 1 or "PixelData" not in dataset:
        raise UnreadableDicom("a DICOM file without a picture")
    if frames != 1:
        raise UnreadableDicom(f"a DICOM file of {frames} frames: export each as a file of its own")
    if samples != 1 or not photometric.startswith("MONOCHROME"):
        raise UnreadableDicom(f"a DICOM picture in colour ({photometric}), of which only grey is read: {CONVERT}")
    return DicomPicture(dataset, width, height)
