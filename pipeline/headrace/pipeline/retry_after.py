"""Reading from an exception when its sender wants to be asked again (RFC 9110, `Retry-After`)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any, Final

_LONGEST: Final = timedelta(days=36_525) // timedelta(seconds=1)


def http_retry_after(error: BaseException) -> timedelta | None:
    """Tell how long the `Retry-After` of a failed HTTP call asks to wait; None without one.

    For `Retry(retry_after=http_retry_after)`. It is found in `error.response.headers` (httpx,
    requests), in `error.headers` (aiohttp, urllib), or as an attribute `retry_after` of the
    exception itself: seconds, a timedelta, or what the header would say. A date counts from the
    response's own `Date`, so that clocks need not agree; one in the past asks for no wait.
    """
    headers = _headers(error)
    said = getattr(error, "retry_after", None)
    if said is None:
        said = headers.get("retry-after")
    if isinstance(said, timedelta):
        return max(said, timedelta())
    if said is None or isinstance(said, bool):
        return None
    return _seconds(said) if _is_number(said) else _until(said, headers.get("date"))


def _headers(error: BaseException) -> dict[str, Any]:
    """Give the headers by lower-case name, wherever the client library keeps them."""
    response = getattr(error, "response", None)
    found: Any = getattr(response, "headers", None) or getattr(error, "headers", None)
    pairs = found.items() if isinstance(found, Mapping | Message) else ()
    return {str(name).lower(): value for name, value in pairs}


def _is_number(said: object) -> bool:
    return isinstance(said, int | float) or str(said).strip().isdecimal()


def _seconds(said: Any) -> timedelta | None:
    seconds = float(said)
    return timedelta(seconds=min(seconds, _LONGEST)) if seconds >= 0 else None


def _until(said: object, sent: object) -> timedelta | None:
    moment = _date(said)
    if moment is None:
        return None
    return max(moment - (_date(sent) or datetime.now(UTC)), timedelta())


def _date(text: object) -> datetime | None:
    """Read an HTTP date; they are always in UTC."""
    try:
        moment = parsedate_to_datetime(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
