"""What `jobs`, `dlq` and `lag` share: progress of a long reading, and times for people."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from headrace.console import output

if TYPE_CHECKING:
    from headrace.pipeline.settings import KafkaSettings
    from headrace.processors.payloads import Payload
    from headrace.processors.reader import Progress

_QUIET: Final = 1.0
"""Seconds that a reading may take before it shows its progress."""
_REDRAW: Final = 0.1
_LINE: Final = "\r\x1b[K"


def kafka() -> "KafkaSettings":
    """Read where Kafka is."""
    from headrace.pipeline.settings import KafkaSettings, load

    return load(KafkaSettings)


@contextmanager
def progress() -> Iterator["Progress | None"]:
    """Give what shows the progress of a reading on a terminal, once it takes over a second."""
    if not sys.stderr.isatty():
        yield None
        return
    started = time.monotonic()
    drawn = 0.0

    def show(done: int, total: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - started > _QUIET and now - drawn > _REDRAW:
            drawn = now
            share = f"{done / total:.0%}" if total else ""
            print(f"{_LINE}reading: {done:,} of {total:,} offsets, {share}", end="", file=sys.stderr, flush=True)  # fmt: skip

    try:
        yield show
    finally:
        if drawn:
            print(_LINE, end="", file=sys.stderr, flush=True)


def now() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def epoch(moment: timedelta | datetime | None) -> int | None:
    """Give a time, or how long ago it was, in epoch milliseconds."""
    if moment is None:
        return None
    if isinstance(moment, timedelta):
        return now() - int(moment.total_seconds() * 1000)
    return int(moment.timestamp() * 1000)


def age(milliseconds: int, at: int) -> str:
    """How long ago a time was, or how far it is: `3m 12s ago`, `in 5s`."""
    distance = timedelta(milliseconds=abs(at - milliseconds))
    text = output.shown_duration(distance)
    return f"{text} ago" if milliseconds <= at else f"in {text}"


def moment(milliseconds: int | None, at: int) -> str | None:
    """A time in UTC, and how far it is."""
    from headrace.schemas.headers import format_time

    if milliseconds is None:
        return None
    return f"{format_time(milliseconds)} ({age(milliseconds, at)})"


def took(milliseconds: int | None) -> str | None:
    """How long an attempt took: `12 ms`, `3.4s`."""
    if milliseconds is None:
        return None
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    return output.shown_duration(timedelta(milliseconds=milliseconds))


def one_line(text: str | None, most: int) -> str:
    """A text without line breaks and control characters, cut to a number of characters."""
    plain = " ".join((text or "").split())
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in plain)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def error_line(error_type: str | None, message: str | None, most: int = 60) -> str:
    """An error in one line: `ValueError: order 17 is broken`."""
    parts = [part for part in (error_type, message) if part]
    return one_line(": ".join(parts), most)


def print_payload(name: str, payload: "Payload | None", missing: str) -> None:
    """Print arguments or a result: JSON, or why it cannot be decoded, with a dump."""
    import json

    out = output.console()
    if payload is None:
        out.print(f"\n[dim]{name}[/dim]  {missing}")
    elif payload.problem is not None:
        out.print(f"\n[dim]{name}[/dim]  {output.shown_bytes(payload.size)}, not decoded: ", end="")
        out.print(payload.problem, markup=False)
        out.print(payload.dump or "", markup=False)
    else:
        out.print(f"\n[dim]{name}[/dim]")
        text = json.dumps(payload.value, ensure_ascii=False, indent=2)
        out.print(text, markup=False)
