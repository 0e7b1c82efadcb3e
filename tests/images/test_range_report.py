from __future__ import annotations

import pytest

from featx.images.depth import RangeUse
from featx.images.range_report import RangeReport, suggest_range

DEEP = RangeUse(False, 0, 65535, 0, 65535)
TEN_BITS = RangeUse(False, 0, 65535, 0, 1019)
FLOAT = RangeUse(True, 0, 1, 0, 254.5)


def report_of(*uses: RangeUse | None) -> RangeReport:
    report = RangeReport()
    for use in uses:
        report.add(use, has_more_pages=False)
    return report


@pytest.mark.parametrize(
    ("uses", "warning"),
    [
        ([TEN_BITS] * 12, "12 pictures of more than 8 bits use 0 to 1019 of 0 to 65535: give --value-range 0:1023"),
        ([TEN_BITS], "1 picture of more than 8 bits uses 0 to 1019 of 0 to 65535: give --value-range 0:1023"),
        ([TEN_BITS, DEEP], "1 of 2 pictures of more than 8 bits uses 0 to 1019 of 0 to 65535: "),
        ([FLOAT] * 2, "2 pictures of floating-point numbers hold 0 to 254.5, beyond 0 to 1: give --value-range 0:255"),
        (
            [RangeUse(False, -32768, 32767, -1024, 3000)],
            "-1024 to 3000 of -32768 to 32767: ",
        ),
        ([RangeUse(True, 0, 1, 0, 1, has_nan=True)], "1 picture with NaN: NaN was read as black"),
    ],
)
def test_one_line_tells_the_true_range_and_the_flag(uses: list[RangeUse], warning: str) -> None:
    (line,) = report_of(*uses).list_warnings(is_range_given=False)
    assert warning in line


def test_pictures_that_fit_their_range_are_not_worth_a_word() -> None:
    black = RangeUse(False, 0, 65535, 0, 0)
    rounded = RangeUse(False, 0, 4294967295, 0, 4294967296)
    assert report_of(DEEP, None, black, rounded).list_warnings(is_range_given=False) == []


def test_pictures_to_which_the_flag_does_not_apply_are_counted() -> None:
    assert report_of(DEEP, None, None).list_warnings(is_range_given=True) == [
        "--value-range is for more than 8 bits: 2 pictures of 8 bits were read without it"
    ]


def test_sbit_that_is_meant_in_two_ways_is_said() -> None:
    low = RangeUse(False, 0, 4095, 0, 4000, alignment="low")
    high = RangeUse(False, 0, 65535, 0, 65520, alignment="high")
    (line,) = report_of(low, high).list_warnings(is_range_given=False)
    assert "1 fill 16 bits and 1 hold no value beyond" in line
    assert report_of(low, low).list_warnings(is_range_given=False) == []


def test_reports_of_several_processes_add_up() -> None:
    merged = report_of(TEN_BITS, None)
    merged.merge(report_of(TEN_BITS, DEEP, FLOAT))
    both = report_of(TEN_BITS, None, TEN_BITS, DEEP, FLOAT)
    assert merged == both


@pytest.mark.parametrize(
    ("least", "greatest", "is_float", "expected"),
    [
        (3, 1000, False, (0, 1023)),
        (0, 200, False, (0, 255)),
        (0, 20, False, (0, 20)),
        (60000, 61000, False, (60000, 61000)),
        (0, 0.9, True, (0, 1)),
        (0.01, 0.02, True, (0.01, 0.02)),
        (-1.0, 1.0, True, (-1, 1)),
        (7, 7, False, (7, 8)),
    ],
)
def test_the_range_suggested_is_a_plain_one_that_gives_no_further_warning(
    least: float, greatest: float, is_float: bool, expected: tuple[float, float]
) -> None:
    low, high = suggest_range(least, greatest, is_float)
    assert (low, high) == expected
    if least != greatest:
        assert not report_of(RangeUse(is_float, low, high, least, greatest)).list_warnings(is_range_given=False)
