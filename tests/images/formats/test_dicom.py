from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from featx.images.decode import BrokenImage, decode, decoding

pydicom = pytest.importorskip("pydicom")

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


def dicom(values: Any, bits: int = 12, **tags: Any) -> bytes:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = values.tobytes()
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


OF_12_BITS = np.rint(GREY.astype(float) * 4095 / 255).astype(np.uint16)


def grey(data: bytes, *value_range: Any) -> Any:
    return np.asarray(decode(data, *value_range))[..., 0]


def test_the_bits_stored_are_the_range() -> None:
    assert np.array_equal(grey(dicom(OF_12_BITS)), GREY)
    assert np.array_equal(grey(dicom(OF_12_BITS, PhotometricInterpretation="MONOCHROME1")), 255 - GREY)


def test_the_window_of_the_file_goes_before_them_and_is_in_rescaled_values() -> None:
    data = dicom(OF_12_BITS, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=[1024, 40], WindowWidth=[4096, 400])
    assert np.array_equal(grey(data), GREY)
    with decoding(data) as decoded:
        assert decoded.range_use is None, "what a window cuts off is meant to be cut off"
    narrow = grey(dicom(OF_12_BITS, WindowCenter=100, WindowWidth=100))
    assert np.isin(narrow, [0, 255]).mean() > 0.9


def test_a_value_range_goes_before_the_window() -> None:
    data = dicom(OF_12_BITS, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400)
    assert np.array_equal(grey(data, (-1024, 3071)), GREY)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"NumberOfFrames": 3}, "of 3 frames: export each"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, r"in colour \(RGB\), of which only grey is read"),
        ({"Rows": 0}, "without a picture"),
        ({"Rows": 40}, "pixels cannot be read"),
        ({"Rows": 60_000, "Columns": 60_000}, "would take 72.0 GB"),
    ],
)
def test_other_files_are_refused_in_one_line(tags: dict[str, Any], reason: str) -> None:
    with pytest.raises(BrokenImage, match=reason) as caught:
        decode(dicom(OF_12_BITS, **tags))
    assert "\n" not in str(caught.value)
