"""The trace that a record belongs to: W3C Trace Context in a record's headers. No tracing system.

Two contexts travel with a job. `traceparent` is the current hop: whoever writes the record anew puts
its own span there. `ce_traceparent` is the origin: the submission's, kept for the job's life, as the
CloudEvents extension for distributed tracing has it. A process without tracing passes both on.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from headrace.schemas import headers

_PARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_LONGEST_STATE: Final = 512
"""Characters of `tracestate` that are passed on; a longer one is left out, as the standard allows."""
_CURRENT: Final = (headers.TRACEPARENT, headers.TRACESTATE)
_ORIGIN: Final = (headers.ORIGIN_TRACEPARENT, headers.ORIGIN_TRACESTATE)

HeaderList = list[tuple[str, bytes | None]]


class TraceContext(NamedTuple):
    """One span, as others name it.

    Attributes:
        parent: A valid `traceparent`.
        state: The `tracestate` beside it, empty when there is none.
    """

    parent: str
    state: str = ""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return self.parent[3:35]

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""
        return self.parent[36:52]


def current(found: Mapping[str, bytes | None]) -> TraceContext | None:
    """Give the current hop; the origin where there is none; None when neither can be read."""
    return _read(found, _CURRENT) or _read(found, _ORIGIN)


def origin(found: Mapping[str, bytes | None]) -> TraceContext | None:
    """Give the origin; the current hop where nobody noted one; None when neither can be read."""
    return _read(found, _ORIGIN) or _read(found, _CURRENT)


def advance(written: HeaderList, context: TraceContext) -> None:
    """Make `context` the current hop of a header list, in place.

    What was current before becomes the origin, if there is none yet. The last header stays the last.
    """
    found = dict(written)
    first = origin(found) or context
    written[:] = [each for each in written if each[0] not in _CURRENT + _ORIGIN]
    written[:0] = [*_pairs(_CURRENT, context), *_pairs(_ORIGIN, first)]


def log_fields(context: TraceContext | None) -> dict[str, str]:
    """Give the fields of a log line: `trace` and `span`; none when there is no context."""
    return {} if context is None else {"trace": context.trace_id, "span": context.span_id}


def log_fields_of(written: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """Give them for the current hop of a record."""
    return log_fields(current(dict(written)))


def _read(found: Mapping[str, bytes | None], names: tuple[str, str]) -> TraceContext | None:
    parent = _text(found.get(names[0]))
    if not _PARENT.match(parent):
        return None
    state = _text(found.get(names[1]))
    return TraceContext(parent[:55], state if len(state) <= _LONGEST_STATE else "")


def _pairs(names: tuple[str, str], context: TraceContext) -> HeaderList:
    pairs: HeaderList = [(names[0], context.parent.encode())]
    return [*pairs, (names[1], context.state.encode())] if context.state else pairs


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", errors="replace").strip()
