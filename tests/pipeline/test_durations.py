from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from headrace.pipeline.durations import (
    Duration,
    PositiveDuration,
    format_duration,
    parse_duration,
    to_milliseconds,
)

MILLISECONDS = st.integers(0, 10**13)


@given(MILLISECONDS)
def test_what_is_written_is_read_back_to_the_millisecond(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@given(st.timedeltas(timedelta(), timedelta(days=36_525)))
def test_a_wait_is_never_written_shorter_than_it_is(duration: timedelta) -> None:
    written = parse_duration(format_duration(duration))
    assert duration <= written < duration + timedelta(milliseconds=1)
    assert timedelta(milliseconds=to_milliseconds(duration)) == written


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(["ms", "s", "m", "h", "d"]))))
def test_parts_add_up_in_any_order(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    backwards = "".join(f"{number}{unit}" for number, unit in reversed(parts))
    if parts:
        assert parse_duration(text) == parse_duration(backwards)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100ms", timedelta(milliseconds=100)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("0.5s", timedelta(milliseconds=500)),
        (" 2d ", timedelta(days=2)),
        ("0s", timedelta()),
    ],
)
def test_durations_read_as_people_write_them(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "m", "-5m", "5 m", "5M", "1h 30m", "5m!", "\u0665m", "1e3s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration: .* such as 100ms, 5m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["9999999999d", "9" * 400 + "s"])
def test_a_duration_beyond_what_python_knows_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is too long: 999999999d is the most"):
        parse_duration(text)


def test_a_negative_duration_is_written_with_a_sign() -> None:
    assert format_duration(timedelta(seconds=-90)) == "-1m30s"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (5, "write 5s or 5m"),
        (0.5, "write 0.5s or 0.5m"),
        (timedelta(seconds=-1), "-1s is negative"),
    ],
)
def test_a_field_refuses_bare_numbers_and_negative_times(value: object, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TypeAdapter(Duration).validate_python(value)


def test_only_a_positive_field_refuses_zero() -> None:
    assert TypeAdapter(Duration).validate_python("0s") == timedelta()
    with pytest.raises(ValidationError, match="longer than zero"):
        TypeAdapter(PositiveDuration).validate_python("0s")


def test_a_field_is_written_as_it_is_read() -> None:
    assert TypeAdapter(Duration).dump_python(timedelta(minutes=90)) == "1h30m"
