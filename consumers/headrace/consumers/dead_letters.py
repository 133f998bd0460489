"""What a dead letter says beyond the job that it was: why, when, where it lay."""

from dataclasses import dataclass

from headrace.consumers.outcomes import ErrorInfo
from headrace.schemas import headers
from headrace.schemas.states import DeadReason


@dataclass(frozen=True, slots=True)
class Place:
    """The record that died, and the worker that gave it up."""

    topic: str
    partition: int
    offset: int
    worker: str


def headers_of(
    reason: DeadReason, error: ErrorInfo, place: Place, now: int
) -> list[tuple[str, bytes | None]]:
    """Give the headers that a dead letter has and a job record has not."""
    return [
        (headers.REASON, reason.value.encode()),
        (headers.DIED, b"%d" % now),
        (headers.ERROR_TYPE, error.type[: headers.MAX_MESSAGE].encode(errors="replace")),
        (headers.ERROR_MESSAGE, error.message[: headers.MAX_MESSAGE].encode(errors="replace")),
        (headers.TRACEBACK, error.traceback.encode(errors="replace")),
        (headers.ORIGIN, f"{place.topic}/{place.partition}/{place.offset}".encode()),
        (headers.WORKER, place.worker.encode()),
    ]
