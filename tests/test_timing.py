from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from featx.timing import Clock, describe_decoding, format_seconds, format_shares, round_roughly


def test_seconds_of_all_threads_are_added_up() -> None:
    clock = Clock()

    def work(_: int) -> None:
        with clock.timed("decode"):
            time.sleep(0.02)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert clock.seconds["decode"] >= 0.08


def test_a_step_that_raises_is_counted_too() -> None:
    clock = Clock()
    with pytest.raises(ValueError, match="broken"), clock.timed("decode"):
        raise ValueError("broken")
    assert "decode" in clock.seconds


def test_what_the_steps_do_not_take_is_waiting() -> None:
    clock = Clock()
    clock.seconds = {"read": 1.0, "forward": 5.0}
    assert clock.with_idle(2, 4.0) == {"read": 1.0, "forward": 5.0, "waiting": 2.0}


def test_shares_are_of_the_sum_and_the_largest_comes_first() -> None:
    assert format_shares({"read": 1.0, "forward": 3.0}) == "forward 75.0 %, read 25.0 %"
    assert format_shares({}) == ""


def test_decoding_is_the_bottleneck_where_threads_spend_half_of_their_time_on_it() -> None:
    assert describe_decoding({"decode": 3.0, "forward": 1.0}) == "decoding is the bottleneck: 75%"
    assert describe_decoding({"decode": 3.0, "forward": 1.0, "waiting": 4.0}) == ""
    assert describe_decoding({"forward": 1.0}) == describe_decoding({}) == ""


@pytest.mark.parametrize(
    ("seconds", "exactly", "roughly"),
    [
        (0.2, "0 s", "1 s"),
        (12.4, "12 s", "10 s"),
        (42, "42 s", "40 s"),
        (86, "86 s", "90 s"),
        (250, "4 min", "4 min"),
        (1300, "22 min", "20 min"),
        (7300, "2.0 h", "2.0 h"),
        (60000, "16.7 h", "20.0 h"),
    ],
)
def test_times_are_in_the_unit_that_suits_them(seconds: float, exactly: str, roughly: str) -> None:
    assert format_seconds(seconds) == exactly
    assert format_seconds(round_roughly(seconds)) == roughly
