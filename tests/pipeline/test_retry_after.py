"""`Retry-After`, as client libraries carry it on their exceptions."""

import urllib.error
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from typing import Any

import pytest

from headrace.pipeline import Retry, http_retry_after

SECOND = timedelta(seconds=1)
SENT = datetime(2024, 3, 31, 1, 59, 30, tzinfo=UTC)


class Response:
    def __init__(self, headers: Any) -> None:
        self.headers = headers


class HttpError(Exception):
    """As httpx and requests raise it: with the response."""

    def __init__(self, **headers: str) -> None:
        self.response = Response({name.replace("_", "-"): each for name, each in headers.items()})


class BareError(Exception):
    """As some libraries do: with the number itself, or the headers."""

    def __init__(self, retry_after: object = None, headers: object = None) -> None:
        self.retry_after = retry_after
        self.headers = headers


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def test_seconds_are_read_whatever_the_case_of_the_headers_name() -> None:
    assert http_retry_after(HttpError(Retry_After="120")) == 120 * SECOND
    assert http_retry_after(HttpError(retry_after=" 7 ")) == 7 * SECOND


def test_a_date_counts_from_the_responses_own_date_so_that_clocks_need_not_agree() -> None:
    error = HttpError(Retry_After=http_date(SENT + 90 * SECOND), Date=http_date(SENT))
    assert http_retry_after(error) == 90 * SECOND


def test_without_a_date_of_the_response_it_counts_from_now() -> None:
    wait = http_retry_after(HttpError(Retry_After=http_date(datetime.now(UTC) + 3_600 * SECOND)))
    assert wait is not None
    assert 3_590 * SECOND < wait <= 3_600 * SECOND


def test_a_date_in_the_past_asks_for_no_wait() -> None:
    error = HttpError(Retry_After=http_date(SENT - SECOND), Date=http_date(SENT))
    assert http_retry_after(error) == timedelta()


@pytest.mark.parametrize("said", [30, 30.0, "30", 30 * SECOND])
def test_an_attribute_of_the_exception_itself_is_read_too(said: object) -> None:
    assert http_retry_after(BareError(said)) == 30 * SECOND


def test_headers_of_the_exception_itself_are_read_too() -> None:
    headers = Message()
    headers["Retry-After"] = "3"
    error = urllib.error.HTTPError("http://x", 429, "Too Many Requests", headers, None)
    with error:
        assert http_retry_after(error) == 3 * SECOND


@pytest.mark.parametrize(
    "error",
    [
        ValueError("nothing of the kind"),
        HttpError(),
        HttpError(Retry_After="soon"),
        HttpError(Retry_After="-5"),
        BareError(-5),
        BareError(True),
        BareError(float("nan")),
        BareError(headers="not a mapping"),
    ],
)
def test_what_says_nothing_that_can_be_read_asks_for_nothing(error: Exception) -> None:
    assert http_retry_after(error) is None


def test_a_policy_asks_its_reader_and_takes_nonsense_for_no_answer() -> None:
    def asked(answer: Any) -> timedelta | None:
        return Retry(retry_after=lambda _: answer).asked_wait(ValueError())

    assert asked(5 * SECOND) == 5 * SECOND
    assert asked(None) is None
    assert asked(5) is None
    assert asked(-SECOND) is None
    assert asked(timedelta.max) == timedelta(days=36_525), "a hundred years at most"


def test_a_reader_that_raises_has_said_nothing() -> None:
    def broken(error: BaseException) -> timedelta:
        raise KeyError(error)

    assert Retry(retry_after=broken).asked_wait(ValueError()) is None


def test_an_exceptions_own_policy_asks_its_own_reader_else_that_of_the_outer_one() -> None:
    outer = Retry(
        retry_after=lambda _: SECOND,
        per_exception={
            KeyError: Retry(retry_after=lambda _: 2 * SECOND),
            IndexError: Retry(max_attempts=9),
        },
    )
    assert outer.asked_wait(KeyError()) == 2 * SECOND
    assert outer.asked_wait(IndexError()) == SECOND
    assert outer.asked_wait(ValueError()) == SECOND
