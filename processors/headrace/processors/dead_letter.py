"""One dead letter, as its record tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headrace.processors.payloads import Payload
from headrace.processors.repair.fingerprints import Fingerprint, fingerprint
from headrace.processors.repair.letter_states import LetterMark, LetterState
from headrace.processors.repair.raw_records import RawRecord
from headrace.processors.sightings import Location, Sighting
from headrace.processors.times import both_times
from headrace.schemas import headers, trace_context
from headrace.schemas.headers import PastAttempt


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One job that will not be tried again by itself. Times in epoch milliseconds.

    Attributes:
        reason: One of `DeadReason`.
        died: When.
        attempts: How often it was tried; 0 for a record that is no job.
        created: When it was submitted; None for a record that is no job.
        generation: How often it had been replayed.
        lane: The topic that the job belongs to.
        origin: `topic/partition/offset` of the lane's record that died.
        history: What became of its last attempts, oldest first.
        location: Where it lies.
        appended: When Kafka stored it; for an imported one, when Kafka stored the original.
        record: The record itself.
        headers: The record's other headers, as the producer wrote them; the last of a repeated one.
        state: What has become of it.
        mark: Who did what about it; None while it is open.
    """

    job_id: str
    job_type: str
    queue: str
    reason: str
    died: int
    attempts: int
    error_type: str
    error_message: str
    traceback: str
    created: int | None
    generation: int
    tenant: str | None
    key: str | None
    lane: str
    worker: str | None
    origin: str | None
    history: tuple[PastAttempt, ...]
    location: Location
    appended: int
    record: RawRecord
    headers: Mapping[str, str | None]
    state: LetterState = LetterState.OPEN
    mark: LetterMark | None = None

    @property
    def payload(self) -> bytes | None:
        """The arguments, as they were submitted."""
        return self.record.value

    @property
    def fingerprint(self) -> Fingerprint:
        """What alike errors share. Computed each time."""
        return fingerprint(self.error_type, self.error_message, self.traceback)

    @property
    def first_failed(self) -> int:
        """When its first attempt failed, as far as its history goes back."""
        return self.history[0].at if self.history else self.died

    @property
    def trace_id(self) -> str | None:
        """The id of the trace that it belongs to (W3C Trace Context), if it carries one."""
        context = trace_context.current(dict(self.record.headers))
        return None if context is None else context.trace_id

    @property
    def origin_trace_id(self) -> str | None:
        """The id of the trace that it was submitted in: another one, where attempts are apart."""
        context = trace_context.origin(dict(self.record.headers))
        return None if context is None else context.trace_id

    def as_json(self) -> dict[str, object]:
        """Keys: `job_id`, `job_type`, `queue`, `reason`, `state`, `died_ms`, `died`,
        `first_failed_ms`, `first_failed`, `attempts`, `error_type`, `error_message`,
        `fingerprint`, `created_ms`, `created`, `generation`, `tenant`, `key`, `worker`, `origin`,
        `trace_id`, `origin_trace_id`, `location`."""  # noqa: D205, D209
        return {
            "job_id": self.job_id,
            "job_type": self.job_type,
            "queue": self.queue,
            "reason": self.reason,
            "state": self.state.value,
            **both_times("died", self.died),
            **both_times("first_failed", self.first_failed),
            "attempts": self.attempts,
            "error_type": self.error_type,
            "error_message": self.error_message,
            "fingerprint": self.fingerprint.id,
            **both_times("created", self.created),
            "generation": self.generation,
            "tenant": self.tenant,
            "key": self.key,
            "worker": self.worker,
            "origin": self.origin,
            "trace_id": self.trace_id,
            "origin_trace_id": self.origin_trace_id,
            "location": self.location.as_json(),
        }

    def in_full(self, arguments: Payload | None) -> dict[str, object]:
        """Keys of `as_json`, and `mark` (None while open), `traceback`, `history`, `headers`,
        `arguments` (left out when None)."""  # noqa: D205, D209
        full = self.as_json() | {
            "mark": None if self.mark is None else self.mark.as_json(),
            "traceback": self.traceback,
            "history": [
                {
                    "attempt": past.attempt,
                    **both_times("at", past.at),
                    "error_type": past.error_type,
                    "error_message": past.error_message,
                }
                for past in self.history
            ],
            "headers": dict(self.headers),
        }
        return full if arguments is None else full | {"arguments": arguments.as_json()}


def letter_of(found: Sighting, record: RawRecord, queue: str) -> DeadLetter:
    """Understand a record of a dead-letter topic, as an open letter."""
    job = found.job
    appended = _number(found.text(headers.APPENDED), found.appended)
    return DeadLetter(
        job.job_id,
        job.job_type,
        queue,
        found.text(headers.REASON) or "",
        _number(found.text(headers.DIED), appended),
        job.attempt if job.job_type else 0,
        found.text(headers.ERROR_TYPE) or "",
        found.text(headers.ERROR_MESSAGE) or "",
        found.text(headers.TRACEBACK) or "",
        job.created if job.job_type else None,
        job.generation,
        job.tenant,
        found.ordering_key,
        job.lane,
        found.text(headers.WORKER),
        found.text(headers.ORIGIN),
        job.history,
        found.location,
        appended,
        record,
        {name: found.text(name) for name in found.raw if name not in _TOLD},
    )


_TOLD: Final = frozenset(
    {
        headers.REASON, headers.DIED, headers.ERROR_TYPE, headers.ERROR_MESSAGE,
        headers.TRACEBACK, headers.ORIGIN, headers.WORKER, headers.HISTORY,
    }
)  # fmt: skip


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdigit() else otherwise
