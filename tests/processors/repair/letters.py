"""Dead letters for tests, without a broker."""

from typing import Any

from headrace.processors.dead_letter import DeadLetter, letter_of
from headrace.processors.repair.raw_records import RawRecord
from headrace.processors.sightings import Location, Sighting
from headrace.schemas import headers
from headrace.schemas.headers import JobHeaders, PastAttempt
from headrace.schemas.states import JobState

TRACEBACK = """Traceback (most recent call last):
  File "/opt/app/headrace/consumers/running.py", line 41, in call
    return handler(**arguments)
  File "/opt/app/shop/jobs.py", line 17, in charge
    raise PaymentError(f"card {card} of order {order} was refused")
PaymentError: card 4711 of order 17 was refused
"""
DLQ = "shop.default.dlq"


def letter(**changes: Any) -> DeadLetter:
    """A letter as a worker writes it; `changes` are fields of its headers, or of the letter."""
    job = JobHeaders(
        job_id=changes.pop("job_id", "0190-a"),
        job_type=changes.pop("job_type", "card.charge"),
        source=headers.source("shop"),
        created=1_000,
        lane="shop.default.normal",
        attempt=3,
        step=5,
        generation=changes.pop("generation", 0),
        tenant=changes.pop("tenant", "acme"),
        history=changes.pop("history", (PastAttempt(1, 2_000, "PaymentError", "refused"),)),
        extra=((headers.TRACEPARENT, b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),),
    )
    dead = {
        headers.REASON: changes.pop("reason", "exhausted"),
        headers.DIED: str(changes.pop("died", 5_000)),
        headers.ERROR_TYPE: changes.pop("error_type", "PaymentError"),
        headers.ERROR_MESSAGE: changes.pop("error_message", "card 4711 of order 17 was refused"),
        headers.TRACEBACK: changes.pop("traceback", TRACEBACK),
        headers.ORIGIN: "shop.default.normal/2/77",
        headers.WORKER: "w1",
    }
    written = (*job.encode(), *((name, text.encode()) for name, text in dead.items()))
    key = (changes.pop("key", None) or job.job_id).encode()
    value = changes.pop("payload", b"\xc3\x01arguments of Ada")
    at = Location(DLQ, 1, changes.pop("offset", 9))
    record = RawRecord(at.topic, at.partition, key, value, written)
    seen = Sighting(job, JobState.DEAD, at, key, value, 6_000, dict(written))
    found = letter_of(seen, record, changes.pop("queue", "default"))
    return _with(found, **changes)


def _with(found: DeadLetter, **changes: Any) -> DeadLetter:
    from dataclasses import replace

    return replace(found, **changes)
